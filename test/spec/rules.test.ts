import { describe, expect, test } from 'vitest'
import { evaluate, parseExpression } from '../../src/spec/expression.ts'
import { type Occasion, parseSpec, readSpec } from '../../src/spec/index.ts'
import { compilePattern } from '../../src/spec/pattern.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const push: Occasion = {
  variables: {
    COMPOPS_BRANCH: 'calc/heat',
    COMPOPS_CAUSE: 'push',
    COMPOPS_COMMIT_MESSAGE: 'finer mesh\n\n[bench]',
    COMPOPS_DEFAULT_BRANCH: 'main',
    COMPOPS_MERGE_REQUEST_IID: null,
    COMPOPS_PROJECT: 'physics/heat',
    COMPOPS_SHA: 'a'.repeat(40),
    COMPOPS_TARGET_BRANCH: null,
  },
  changed: async compareTo =>
    compareTo === 'main' ? ['src/a.c', 'docs/x.md'] : compareTo === null ? ['docs/x.md'] : null,
  files: async () => ['Makefile', 'src/a.c'],
}

async function jobs(text: string, occasion: Occasion = push) {
  const result = await parseSpec(text, { ...contextWith(), occasion })
  return 'spec' in result
    ? { names: result.spec.jobs.map(job => job.name), notices: result.notices, jobs: result.spec.jobs }
    : { names: sentences(result), notices: [], jobs: [] }
}
const rule = async (text: string, occasion?: Occasion) =>
  (
    await jobs(`jobs: { all: { script: x }, a: { script: x, env: { MODE: fast }, rules: ${text} } }`, occasion)
  ).names.includes('a')

describe('rules', () => {
  test.each<[string, boolean]>([
    // the first that applies decides; where none does the job is not there
    ['[{ when: never }]', false],
    ['[{ if: $COMPOPS_CAUSE == "push" }]', true],
    ['[{ if: $COMPOPS_CAUSE == "schedule" }]', false],
    ['[{ if: $COMPOPS_CAUSE == "push", when: never }, { when: on_success }]', false],
    ['[{ if: $COMPOPS_CAUSE == "schedule", when: never }, { when: always }]', true],
    // all that stands in a rule must apply
    ['[{ if: $COMPOPS_CAUSE == "push", exists: [nothing] }]', false],
    ['[{ if: $MODE == "fast" }]', true],
    ['[{ changes: [docs/**] }]', true],
    ['[{ changes: ["src/**/*.{c,h}"] }]', false],
    ['[{ changes: { paths: ["src/**/*.{c,h}"], compare_to: main } }]', true],
    // nothing to compare with: everything counts as changed
    ['[{ changes: { paths: [nothing], compare_to: gone } }]', true],
    ['[{ exists: [Makefile] }]', true],
    ['[{ exists: ["*.f90"] }]', false],
  ])('%s', async (text, expected) => {
    expect(await rule(text)).toBe(expected)
  })

  test('what they leave out is told; needs of it must be optional; all may be left out', async () => {
    const file = (optional: string) => `jobs:
  nightly: { script: x, rules: [{ if: $COMPOPS_CAUSE == "schedule" }] }
  report: { needs: [{ job: nightly${optional} }], script: x }
`
    expect((await jobs(file(''))).names).toEqual([
      '3: `report` needs `nightly`, which its `rules` leave out of this run. Write `{ job: nightly, optional: true }`, or give both the same `rules`.',
    ])
    const right = await jobs(file(', optional: true'))
    expect(right.names).toEqual(['report'])
    expect(right.jobs[0]?.needs).toEqual([])
    expect(right.notices).toEqual(['left out by their rules: nightly (its rule does not apply)'])
    const never = await jobs(
      'jobs:\n  a: { script: x }\n  b:\n    script: x\n    rules:\n      - exists: [nothing]\n      - when: never\n',
    )
    expect(never.notices).toEqual(['left out by their rules: b (never, says .compops.yml line 7)'])
    const nightly = { ...push, variables: { ...push.variables, COMPOPS_CAUSE: 'schedule' } }
    expect((await jobs(file(''), nightly)).names).toEqual(['nightly', 'report'])
    expect((await jobs('jobs: { a: { script: x, rules: [{ when: never }] } }')).names).toEqual([])
  })

  test('`when: always` waits for the end of what the job needs, not for its success, as in GitLab', async () => {
    const { jobs: found } = await jobs(
      'jobs: { a: { script: x }, b: { script: x, needs: [a], rules: [{ when: always }] } }',
    )
    expect(found[1]?.needs).toEqual([{ job: 'a', kind: 'any' }])
  })

  test('without an occasion every job is there', () => {
    const result = readSpec('jobs: { a: { script: x, rules: [{ when: never }] } }', contextWith())
    expect('spec' in result && result.spec.jobs).toHaveLength(1)
  })

  test.each<[string, string]>([
    [
      '[{ if: $COMPOPS_BRANHC == "x" }]',
      'There is no variable `$COMPOPS_BRANHC` in `rules`. Did you mean `$COMPOPS_BRANCH`?',
    ],
    [
      '[{ if: $CI_COMMIT_BRANCH == "x" }]',
      'There is no variable `$CI_COMMIT_BRANCH` in `rules`. Here it is `$COMPOPS_BRANCH`.',
    ],
    [
      '[{ if: $COMPOPS_BRANCH = "x" }]',
      '`if`: `$COMPOPS_BRANCH = "x"` cannot be read from `=` on. It knows variables ($NAME), texts in quotes, /patterns/, == != =~ !~ && || and parentheses.',
    ],
    [
      '[{ if: $COMPOPS_BRANCH == main }]',
      '`if`: `$COMPOPS_BRANCH == main` has the word `main`. Texts stand in quotes, variables behind a `$`.',
    ],
    ['[{ if: "$COMPOPS_BRANCH =~ /(a/" }]', '`if`: `$COMPOPS_BRANCH =~ /(a/` has a pattern that has a `(` too many.'],
    [
      '[{ if: "$COMPOPS_BRANCH =~ \\"a\\"" }]',
      '`if`: `$COMPOPS_BRANCH =~ "a"` has no pattern behind `=~`. Write it between slashes: `=~ /^calc\\//`.',
    ],
    [
      '[{ when: manual }]',
      '`when` cannot be `manual` here. Leave the job out with `never`, and let a rule with `$COMPOPS_CAUSE == "command"` bring it in when somebody asks for it.',
    ],
    ['[{ iff: x }]', '`iff` is not a key of a rule. Did you mean `if`?'],
    [
      '[{ allow_failure: true }]',
      '`allow_failure` is not understood in `rules`. A rule only says whether the job is there.',
    ],
    [
      '[{ changes: ["src/[ab].c"] }]',
      '`src/[ab].c` is no pattern that is understood here. Write a path from the top folder; `*`, `**` and `{a,b}` stand for several.',
    ],
    ['[]', '`rules` has no rule: the job would never run. Write one, or leave the key out.'],
  ])('%s is a mistake', async (text, expected) => {
    const result = await jobs(`jobs: { a: { script: x, rules: ${text} } }`)
    expect(result.names).toContain(`1: ${expected}`)
  })
})

describe('an expression', () => {
  const variables = (name: string) => ({ A: 'a', B: 'b/c', EMPTY: '' })[name] ?? null
  test.each<[string, boolean]>([
    ['$A', true],
    ['$EMPTY', false],
    ['$UNSET', false],
    ['$UNSET == null', true],
    ['$EMPTY == null', false],
    ['$A == "a" && $B == "x" || $A', true],
    ['$A == "a" && ($B == "x" || $UNSET)', false],
    ['$UNSET || $A && $B', true],
    ["'a' == $A", true],
    ['${A} != "a"', false],
    ['$B =~ /^b\\/c$/', true],
    ['$B =~ /B/', false],
    ['$B =~ /B/i', true],
    ['$B !~ /x/', true],
    ['$UNSET =~ /.*/', false],
    ['$UNSET !~ /.*/', true],
  ])('%s is %s', (text, expected) => {
    const parsed = parseExpression(text)
    expect(parsed.ok && evaluate(parsed.value, variables)).toBe(expected)
  })
})

describe('a pattern', () => {
  const samples = [
    '',
    'a',
    'b',
    'ab',
    'abc',
    'aab',
    'xaby',
    'a\nb',
    'a-b',
    'ab ab',
    'AB',
    '12',
    'é',
    'calc/heat/4d',
    'aaaa',
  ]
  test.each([
    'a',
    '^a',
    'a$',
    '^a$',
    'a|b',
    '^(a|b)+$',
    '^(?:ab)*$',
    'a?b',
    'a+?b',
    'a{2}',
    '^a{1,2}b',
    'a{3,}',
    '[ab]c',
    '[^a]',
    '[a-c]$',
    '\\d+',
    '\\bab\\b',
    '\\w\\W',
    '^.$',
    'a.b',
    '^calc\\/(heat|flow)\\/\\d',
    '[\\d-]',
    '()',
    '^$',
    'a||b',
    '(a*)*b',
    '[]a]',
    'a{',
    '{',
    'é',
  ])('%s is what JavaScript makes of it', source => {
    const ours = compilePattern(source, '')
    // JavaScript's `[]a]` is another thing than POSIX', RE2's and Ruby's.
    const theirs = new RegExp(source === '[]a]' ? '[\\]a]' : source)
    expect(samples.map(text => ours.test(text))).toEqual(samples.map(text => theirs.test(text)))
    expect(samples.map(text => compilePattern(source, 'i').test(text))).toEqual(
      samples.map(text => new RegExp(theirs.source, 'i').test(text)),
    )
  })

  test('that would keep JavaScript busy for ever is answered at once', () => {
    const began = performance.now()
    expect(compilePattern('^(([a-z])+.)+[A-Z]([a-z])+$', '').test('a'.repeat(500))).toBe(false)
    expect(performance.now() - began).toBeLessThan(2_000)
  })

  test.each([
    '(a',
    'a)',
    '[a',
    '*a',
    'a**',
    '(?=a)',
    '\\1',
    '[b-a]',
    'a{2,1}',
    '((a{99}){99}){99}',
    '[[:alpha:]]',
    'a\\',
  ])('%s is refused', source => {
    expect(() => compilePattern(source, '')).toThrow()
  })
})
