import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Cluster } from '../../src/cluster/cluster.ts'
import { readPiece } from '../../src/results/piece.ts'
import { attempts } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

// Everything that is asked for is there.
const cluster = {
  files: { read: async () => [{ offset: 0, size: 6, bytes: Buffer.from('hunter') }] },
} as unknown as Cluster

it('shows the script of an attempt, and never what else lies beside it, such as its secrets', async () => {
  const { runId } = await rows.run([{ name: 'a', state: 'running', attempt: { state: 'running', nativeId: '1' } }])
  const [attempt] = await rows.db.select().from(attempts).where(eq(attempts.runId, runId))
  const read = (path: string) =>
    readPiece(rows.db, () => cluster, { attempt: attempt!.id, in: 'attempt', path, offset: 0, bytes: 100 })
  expect(await read('script')).toMatchObject({ size: 6 })
  for (const path of ['secrets', './secrets', 'script/../secrets', '', 'exit', 'constructor'])
    expect([path, await read(path)]).toEqual([path, { problem: 'is not to be had', ended: false }])
})
