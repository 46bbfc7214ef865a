import { expect, test } from 'vitest'
import { harmless } from '../../src/cli/logs.ts'
import { bar, showProgress } from '../../src/cli/progress.ts'

test('a bar of files and bytes that fits into the terminal', () => {
  const of = { files: 30, bytes: 10_000_000 }
  expect(bar({ files: 12, bytes: 3_200_000 }, of, 80)).toBe(
    `${'█'.repeat(10)}${'░'.repeat(20)}  12 of 30 files, 3.2 of 10.0 MB`,
  )
  expect(bar({ files: 30, bytes: 10_000_000 }, of, 80)).toMatch(/^█{30} {2}30 of 30 files, 10\.0 of 10\.0 MB$/)
  for (const columns of [1, 20, 40, 200]) expect(bar({ files: 1, bytes: 1 }, of, columns).length).toBeLessThan(columns)
  expect(bar({ files: 0, bytes: 0 }, { files: 0, bytes: 0 }, 80)).toContain('0 of 0 files')
})

test('only where a person looks, and not at every byte', () => {
  const written: string[] = []
  const out = (isTTY: boolean) => ({ write: (text: string) => written.push(text), isTTY, columns: 80 })
  let now = 0
  const quiet = showProgress(out(false), { files: 1, bytes: 1 }, () => now)
  quiet.bytes(1)
  quiet.end()
  expect(written).toEqual([])
  const shown = showProgress(out(true), { files: 1, bytes: 100 }, () => now)
  for (let i = 0; i < 100; i++) shown.bytes(1)
  expect(written).toHaveLength(1)
  now = 200
  shown.file()
  shown.end()
  expect(written).toHaveLength(3)
  expect(written.at(-1)).toMatch(/\n$/)
})

test('the output of a job does not steer the terminal', () => {
  expect(harmless('\x1b[31mred\x1b[0m\tok\r\n')).toBe('\x1b[31mred\x1b[0m\tok\r\n')
  expect(harmless('\x1b]0;title\x07\x1b[2J\x1bc\x9b1m\x08x')).toBe(']0;title[2Jc1mx')
})
