import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { thenRemove } from '../../src/run/then-remove.ts'

/** A file on its way from one cluster to two others. */

let place: string
let file: string
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'compops-shared-'))
  file = join(place, 'file')
  writeFileSync(file, 'x')
})
afterEach(() => rmSync(place, { recursive: true, force: true }))

function held() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { end: resolve, fail: reject, of: thenRemove(file, () => promise) }
}

test('goes when the last of those who bring it has done', async () => {
  const [one, two] = [held(), held()]
  one.end('there')
  expect(await one.of).toBe('there')
  expect(existsSync(file)).toBe(true)
  const three = held()
  two.end('there')
  await two.of
  expect(existsSync(file)).toBe(true)
  three.end('there')
  await three.of
  expect(existsSync(file)).toBe(false)
})

test('stays for the next try where it could not be brought', async () => {
  const one = held()
  one.fail(new Error('the line was cut'))
  await expect(one.of).rejects.toThrow('the line was cut')
  expect(existsSync(file)).toBe(true)
  await thenRemove(file, async () => {})
  expect(existsSync(file)).toBe(false)
})
