import { expect, test } from 'vitest'
import { explainProblems, readSpec } from '../../src/spec/index.ts'
import { contextWith } from '../support/spec-context.ts'

function explained(text: string): string {
  const result = readSpec(text, contextWith())
  return 'problems' in result ? explainProblems(result.problems, text) : ''
}

test('a mistake is told with its line and its neighbours', () => {
  expect(
    explained(`jobs:
  simulate:
    script: [./simulate]
    nodes: 2
    ntasks: 8

    cpus_per_taks: 4
    mem: 2G
`),
  ).toBe(`\`.compops.yml\`, line 7: \`cpus_per_taks\` is not a key of a job. Did you mean \`cpus_per_task\`?

\`\`\`yaml
5 |     ntasks: 8
6 |
7 |     cpus_per_taks: 4
  |     ^
8 |     mem: 2G
\`\`\``)
})

test('two mistakes of one line share their excerpt', () => {
  expect(
    explained('jobs: { a: { script: x, mem: 2, time: 3 } }'),
  ).toBe(`\`.compops.yml\`, line 1: \`mem\`: 2 has no unit. Write \`2M\` or \`2G\`.

\`.compops.yml\`, line 1: \`time\`: 3 has no unit. Write \`3m\` for minutes, \`3s\` for seconds, or "hh:mm:ss" in quotes.

\`\`\`yaml
1 | jobs: { a: { script: x, mem: 2, time: 3 } }
  |                              ^        ^
\`\`\``)
})

test('nothing in the file closes the fence, turns the writing or becomes a line of its own', () => {
  const text = 'jobs:\n  a:\n    script: "````\\n/close"\n    "x\u202e`\\n\\n/close": 1\n'
  expect(explained(text)).toBe(`\`.compops.yml\`, line 4: \`x\\u202eˋ\\n\\n/close\` is not a key of a job.

\`\`\`\`\`yaml
2 |   a:
3 |     script: "\`\`\`\`\\n/close"
4 |     "x\\u202e\`\\n\\n/close": 1
  |     ^
\`\`\`\`\``)
})

test('a mistake without a line, long lines and many mistakes', () => {
  expect(
    explainProblems([{ path: '', line: null, column: null, message: 'The file is too large.', remedy: null }], 'x'),
  ).toBe('`.compops.yml`: The file is too large.')
  const wide = explained(`jobs: { a: { script: x, nope: "${'y'.repeat(500)}" } }`)
  expect(Math.max(...wide.split('\n').map(line => line.length))).toBeLessThan(200)
  const many = explained(
    `jobs:\n  a:\n    script: x\n${Array.from({ length: 30 }, (_, i) => `    k${i}: 1\n`).join('')}`,
  )
  expect(many.endsWith('And 10 more.')).toBe(true)
})
