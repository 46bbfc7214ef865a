import type { PGlite } from '@electric-sql/pglite'
import { describe, expect, it } from 'vitest'
import { guardPglite } from '../../src/store/pglite-guard.ts'

/** A database whose next statement fails with `error`; counts how many came to it. */
function failing(error: unknown) {
  let asked = 0
  const client = {
    async execProtocolStream() {
      asked++
      throw error
    },
    execProtocolRawSync() {
      asked++
      throw error
    },
  } as unknown as PGlite
  const said: string[] = []
  const guard = guardPglite(client, why => said.push(why))
  return { client, guard, said, asked: () => asked }
}

const message = new Uint8Array()

describe('the embedded database', () => {
  it.each([
    ['cannot write its log', { severity: 'PANIC', code: '53100' }],
    ['cannot extend a table', { severity: 'ERROR', code: '53100' }],
    ['has a bad disk', { severity: 'ERROR', code: '58030' }],
    ['has trapped', { name: 'RuntimeError' }],
  ])('that %s is asked nothing more: the next statement would block the process for ever', async (_, is) => {
    const database = failing(Object.assign(new Error('could not write'), is))
    await expect(database.client.execProtocolStream(message)).rejects.toThrow('could not write')
    await expect(database.client.execProtocolStream(message)).rejects.toThrow(
      'the embedded database cannot go on: could not write',
    )
    expect(() => database.client.execProtocolRawSync(message)).toThrow('the embedded database cannot go on')
    expect(database.asked()).toBe(1)
    expect(database.guard.broken).toBe(true)
    expect(database.said).toEqual(['could not write'])
  })

  it('that refuses a statement for an ordinary reason goes on', async () => {
    const database = failing(Object.assign(new Error('duplicate key'), { severity: 'ERROR', code: '23505' }))
    await expect(database.client.execProtocolStream(message)).rejects.toThrow('duplicate key')
    await expect(database.client.execProtocolStream(message)).rejects.toThrow('duplicate key')
    expect(database.guard.broken).toBe(false)
  })
})
