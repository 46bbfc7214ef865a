import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Config } from '../../src/config/index.ts'
import { makeRoom, pruneBundles } from '../../src/run/bundle.ts'

/** Packages that the service has fetched and keeps. */

let place: string
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'compops-bundles-'))
})
afterEach(() => rmSync(place, { recursive: true, force: true }))

const around = (bundlesLimit: number) => ({
  config: { dataDir: place, bundlesLimit } as Config,
  clock: systemClock,
})

function keep(project: number, name: string, bytes: number, hoursAgo: number) {
  const path = join(place, 'bundles', String(project), name)
  mkdirSync(join(path, '..'), { recursive: true })
  if (name.endsWith('.making')) {
    mkdirSync(join(path, 'out'), { recursive: true })
    writeFileSync(join(path, 'out/a.whl'), Buffer.alloc(bytes))
  } else writeFileSync(path, Buffer.alloc(bytes))
  const at = new Date(Date.now() - hoursAgo * 3_600_000)
  utimesSync(path, at, at)
}

const kept = () =>
  readdirSync(join(place, 'bundles'))
    .flatMap(project => readdirSync(join(place, 'bundles', project)))
    .sort()

test('beyond the limit those go that nobody has asked for longest, of all projects, and what broken-off tries have left', async () => {
  keep(1, 'a.tar', 400, 30)
  keep(2, 'b.tar', 400, 50)
  keep(1, 'c.making', 400, 40)
  keep(2, 'd.tar', 400, 2)
  await pruneBundles(around(1000), 24 * 14)
  expect(kept()).toEqual(['a.tar', 'd.tar'])
  await pruneBundles(around(1000), 24)
  expect(kept()).toEqual(['d.tar'])
})

test('what was asked for within the hour stays: then there is no room for more', async () => {
  keep(1, 'a.tar', 600, 0)
  keep(2, 'b.tar', 600, 0.5)
  expect(await makeRoom(around(1000))).toBe(false)
  expect(kept()).toEqual(['a.tar', 'b.tar'])
  keep(2, 'b.tar', 600, 1.5)
  expect(await makeRoom(around(1000))).toBe(true)
  expect(kept()).toEqual(['a.tar'])
})

test('a cache of an earlier version goes', async () => {
  mkdirSync(join(place, 'bundles/cache/pip'), { recursive: true })
  await pruneBundles(around(1000), 24)
  expect(existsSync(join(place, 'bundles/cache'))).toBe(false)
})
