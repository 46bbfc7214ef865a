import { describe, expect, test } from 'vitest'
import { locateYaml, quote } from '../../src/config/yaml.ts'

test('values come with their places', () => {
  expect(locateYaml('a: 1\nb: [x, "2"]\n')).toEqual({
    ok: true,
    root: {
      kind: 'map',
      line: 1,
      column: 1,
      entries: [
        {
          key: 'a',
          line: 1,
          column: 1,
          value: { kind: 'scalar', line: 1, column: 4, value: 1, plain: true, source: '1' },
        },
        {
          key: 'b',
          line: 2,
          column: 1,
          value: {
            kind: 'list',
            line: 2,
            column: 4,
            items: [
              { kind: 'scalar', line: 2, column: 5, value: 'x', plain: true, source: 'x' },
              { kind: 'scalar', line: 2, column: 8, value: '2', plain: false, source: '2' },
            ],
          },
        },
      ],
    },
  })
})

describe('what is refused', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x,x]',
    ...'bcdef'.split('').map((n, i) => `${n}: &${n} [${Array(10).fill(`*${'abcde'[i]}`).join(',')}]`),
  ].join('\n')
  test.each([
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 3, '`a` stands here twice; line 1 has it first. Keep one.'],
    ['__proto__', '__proto__: { x: 1 }\n', 1, '`__proto__` cannot be a key. Choose another name.'],
    [
      'constructor, deep down',
      'a:\n  b:\n    constructor: 1\n',
      3,
      '`constructor` cannot be a key. Choose another name.',
    ],
    ['a tab', 'a:\n\tb: 1\n', 2, 'A tab stands where YAML wants spaces. Replace it by spaces.'],
    ['two documents', 'a: 1\n---\nb: 1\n', 2, '`---` begins a second document. Keep one document in the file.'],
    [
      'a merge key',
      'a: &a { x: 1 }\nb:\n  <<: *a\n',
      3,
      'Merge keys (`<<`) belong to YAML 1.1 and are not supported. Use `defaults`, or repeat the values.',
    ],
    [
      'a tag',
      'a: !reference [x]\n',
      1,
      'The tag `!reference` is not supported. Take it out, or write the value in quotes.',
    ],
    [
      'a glob taken for an alias',
      'outputs:\n  - *.csv\n',
      2,
      '`*.csv` is an alias, but no anchor `&.csv` stands before it. A text that begins with `*` needs quotes, for example "*.csv".',
    ],
    ['an alias in its own anchor', 'a: &a [*a]\n', 1, 'The alias `*a` stands inside its own anchor. Take it out.'],
    ['an alias bomb', bomb, 5, 'The aliases multiply the file to more than 20000 values. Use fewer aliases.'],
    [
      'many aliases',
      `a: &a x\nb: [${Array(101).fill('*a').join(', ')}]\n`,
      2,
      'There are more than 100 aliases. Use `defaults` instead.',
    ],
    [
      'deep nesting',
      `a: ${'['.repeat(40)}${']'.repeat(40)}`,
      1,
      'The nesting is deeper than 32 levels. Make it flatter.',
    ],
    ['nesting without end', '['.repeat(5_000), 1, 'The nesting is far too deep. Make it flatter.'],
    [
      'a key in a value',
      'a: b: c\n',
      1,
      'YAML sees a key inside a value here. Indent it as a line of its own, or put a text that contains `: ` in quotes.',
    ],
    ['a reserved beginning', 'a: @x\n', 1, 'A value cannot begin with `@`. Put it in quotes.'],
    [
      'an open quote',
      'a: "x\n',
      2,
      'Something is not closed: missing closing "quote. Look for a missing quote or bracket here or above.',
    ],
    ['an older YAML', '%YAML 1.1\n---\na: 010\n', 1, 'Only YAML 1.2 is read here. Take the `%YAML` line out.'],
    [
      'a key that is a list',
      '? [a]\n: 1\n',
      1,
      'A key must be a simple word. A value with `{` or `[` in front needs quotes.',
    ],
  ])('%s', (_, text, line, sentence) => {
    const result = locateYaml(text)
    expect(result.ok).toBe(false)
    const [first] = result.ok ? [] : result.mistakes
    expect(`${first?.message} ${first?.remedy}`).toBe(sentence)
    expect(first?.line).toBe(line)
  })

  test('the number of values is limited', () => {
    const result = locateYaml(`[${Array(20_001).fill('1').join(',')}]`)
    expect(result.ok ? null : result.mistakes[0]?.message).toBe('The file holds more than 20000 values.')
  })
})

test('anchors and aliases are read', () => {
  const result = locateYaml('a: &a [x]\nb: *a\n')
  expect(result.ok && result.root.kind === 'map' && result.root.entries[1]?.value.kind).toBe('list')
})

test.each([
  ['a`b', '`aˋb`'],
  ['a\n/close', '`a\\n/close`'],
  ['\u202egnp', '`\\u202egnp`'],
  ['', '` `'],
  ['x'.repeat(100), `\`${'x'.repeat(59)}…\``],
])('a stranger’s %j cannot leave its code span', (text, shown) => {
  expect(quote(text)).toBe(shown)
})
