import { describe, expect, test } from 'vitest'
import { type Copyable, chooseCopies, kindOfBytes } from '../../src/model/copies.ts'

const limits = { file: 1_000, run: 2_500 }
const output = (path: string, size = 10, more: Partial<Copyable> = {}): Copyable => ({
  path,
  size,
  sha256: 'a'.repeat(64),
  ofOutputDirectory: false,
  ...more,
})
const names = (outputs: readonly Copyable[], room = limits.run, job = 'mesh') =>
  chooseCopies(job, outputs, limits, room).map(copy => copy.name)

describe('which outputs come back', () => {
  test('small ones with a digest, pictures first, as long as there is room', () => {
    expect(
      names([
        output('a.csv', 900),
        output('b.csv', 800),
        output('large.csv', 1_001),
        output('unhashed.csv', 1, { sha256: null }),
        output('plot.PNG', 1_000),
        output('c.txt', 100),
      ]),
    ).toEqual(['mesh/plot.PNG', 'mesh/c.txt', 'mesh/b.csv'])
    expect(names([output('a', 10)], 9)).toEqual([])
    expect(chooseCopies('mesh', [output('empty', 0)], { file: 0, run: 0 }, 100)).toEqual([])
    expect(names(Array.from({ length: 300 }, (_, i) => output(`${i}`, 1)))).toHaveLength(200)
  })

  test('under names that are legal in git and harmless in a page', () => {
    expect(
      names([
        output('.git/config'),
        output('a b/`x`](http:evil) <img>.csv'),
        output('con.txt'),
        output('rec-0190f3c2-0000-7000-8000-000000000000.yml'),
        output('ü/é.csv'),
      ]),
    ).toEqual([
      'mesh/%2Egit/config',
      'mesh/a%20b/%60x%60%5D%28http%3Aevil%29%20%3Cimg%3E.csv',
      'mesh/%63on.txt',
      'mesh/rec-0190f3c2-0000-7000-8000-000000000000%2Eyml',
      'mesh/ü/é.csv',
    ])
    expect(
      names([
        output('a\nb'),
        output('a\u{fffd}b'),
        output(' a'),
        output(`${'x/'.repeat(30)}y`),
        output(`${'ab/'.repeat(8)}${'c'.repeat(5_000)}`),
      ]),
    ).toEqual([expect.stringMatching(/^mesh\/ab\/.{1,400}$/)])
  })

  test('never a file and a folder of one name, nor two jobs at one place', () => {
    expect(names([output('a', 1), output('a/b', 2)])).toEqual(['mesh/a'])
    expect(names([output('a', 2), output('a/b', 1)])).toEqual(['mesh/a/b'])
    expect(names([output('x'), output('x', 10, { ofOutputDirectory: true })])).toEqual(['mesh/x', 'mesh+output/x'])
    const of = (job: string) => names([output('x')], 100, job)[0]
    expect(new Set([of('a/b'), of('a_b'), of('a%2Fb'), of('a+output')]).size).toBe(4)
  })
})

describe('what came', () => {
  const bytes = (text: string) => Buffer.from(text, 'latin1')
  test.each([
    ['p.png', bytes('\x89PNG\r\n\x1a\nrest'), 'image'],
    ['p.png', bytes('<html><script>'), 'text'],
    ['p.png', bytes('MZ\0'), null],
    ['p.jpeg', bytes('\xff\xd8\xff\xe0'), 'image'],
    ['p.svg', bytes('<?xml version="1.0"?><svg width="1"/>'), 'image'],
    ['p.svg', bytes('just words'), 'text'],
    ['data.csv', bytes('a,b\n1,2\n'), 'text'],
    ['data.npy', bytes('\x93NUMPY\0'), null],
    ['latin1.txt', bytes('\xe4'), null],
  ])('%s', (name, content, kind) => {
    expect(kindOfBytes(name, content)).toBe(kind)
  })
})
