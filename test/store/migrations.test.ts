import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const folder = new URL('../../migrations/', import.meta.url)
const entries: { when: number; tag: string }[] = JSON.parse(
  readFileSync(new URL('meta/_journal.json', folder), 'utf8'),
).entries

test('each migration is later than the one before: an existing database skips what seems older', () => {
  for (const [at, { when, tag }] of entries.entries())
    if (at > 0) expect(when, tag).toBeGreaterThan(entries[at - 1]!.when)
})

test('every file of a migration is in the journal', () => {
  const files = readdirSync(folder).filter(name => name.endsWith('.sql'))
  expect(files.map(name => name.replace('.sql', '')).sort()).toEqual(entries.map(({ tag }) => tag).sort())
})
