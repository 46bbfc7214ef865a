import { describe, expect, test } from 'vitest'
import { readMetrics } from '../../src/cluster/metrics.ts'

describe('a metrics file is read by its ending', () => {
  test.each([
    ['m.json', '{"a":{"b":1.5},"s":"x"}', { 'a.b': 1.5 }],
    ['without-an-ending', '{"a":1}', { a: 1 }],
    ['m.csv', 'step,loss,note\n100,0.25,"a, ""quoted"" one"\n', { step: 100, loss: 0.25 }],
    ['m.csv', '\ufeffstep;rmse\r\n1;0,5\r\n', { step: 1, rmse: 0.5 }],
    ['m.tsv', 'step\te\n1\t-1.5e-3\n', { step: 1, e: -0.0015 }],
    ['one-column.csv', 'loss\n0.5\n', { loss: 0.5 }],
    ['m.csv', 'a,b\nnan,1e3\n', { b: 1000 }],
    [
      'm.yml',
      'loss: 0.5\nval:\n  acc: 0.9\n  name: best\nlist: [1, 2]\n',
      { loss: 0.5, 'val.acc': 0.9, 'list.0': 1, 'list.1': 2 },
    ],
    ['m.YAML', '{a: 1, b: .inf, c: yes}\n', { a: 1 }],
  ])('%s', async (name, text, values) => {
    expect(await readMetrics(text, name)).toEqual({ values, problem: null })
  })

  test.each([
    ['m.json', 'NaN', 'the metrics file is not JSON'],
    ['m.csv', 'a,b\n', 'the metrics file has no row below its header'],
    ['m.csv', 'a,b\n1\n', 'the metrics file has 2 names in its header and 1 values in its last row'],
    ['m.yml', '- 1\n', 'the metrics file is not a YAML map'],
    ['m.yml', 'a: &x [*x', 'the metrics file is not YAML that can be read'],
    ['m.yml', `a: ${'1'.repeat(70_000)}`, 'the metrics file is YAML of more than 64 KiB; write JSON'],
  ])('%s that is none says why', async (name, text, problem) => {
    const read = await readMetrics(text, name)
    expect(read.values).toEqual({})
    expect(read.problem?.slice(0, problem.length)).toBe(problem)
  })

  test('hostile ones are bounded, and no name is an object’s own', async () => {
    const many = await readMetrics(`a${',b'.repeat(2_000)}\n1${',1'.repeat(2_000)}\n`, 'm.csv')
    expect(Object.keys(many.values).length).toBeLessThanOrEqual(500)
    const header = Array.from({ length: 600 }, (_, i) => `c${i}`).join(',')
    expect((await readMetrics(`${header}\n${'1,'.repeat(599)}1\n`, 'm.csv')).problem).toMatch(/more than 500/)
    expect(Object.keys((await readMetrics('{"__proto__": {"x": 1}}', 'm.json')).values)).toEqual(['__proto__.x'])
    // Anchors that unfold to a billion values.
    const bomb = `a: &a [1,1]\n${'bcdefghijklmnopqrstuvwxyz'
      .split('')
      .map((c, i) => `${c}: &${c} [*${'abcdefghijklmnopqrstuvwxyz'[i]},*${'abcdefghijklmnopqrstuvwxyz'[i]}]`)
      .join('\n')}\n`
    expect((await readMetrics(bomb, 'm.yml')).problem).toMatch(/^the metrics file/)
  })
})
