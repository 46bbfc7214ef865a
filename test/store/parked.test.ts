import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import { openStore, type Store } from '../../src/store/open.ts'
import { parkedRows, retryParked } from '../../src/store/parked.ts'
import { saveProject } from '../../src/store/projects.ts'
import { attempts, comments, deliveries, jobs, reports, runs } from '../../src/store/schema.ts'
import { startPostgres } from '../support/postgres.ts'

// One set of tests for both engines.
describe.each(['embedded PGlite', 'Postgres'] as const)('parked rows on %s', engine => {
  let dataDir: string
  let store: Store
  const id = { delivery: newId(), report: newId(), attempt: newId(), run: newId(), job: newId(), comment: newId() }
  const parked = {
    parkedAt: sql`now()`,
    attempts: 9,
    interrupted: 1,
    lastError: 'it went wrong',
    nextAt: sql`now() + interval '1 day'`,
  }

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'compops-parked-'))
    const postgres = engine === 'Postgres' ? await startPostgres() : null
    store = await openStore({ databaseUrl: (await postgres?.createDatabase()) ?? null, dataDir })
    const { db } = store
    await saveProject(db, { id: 7, path: 'physics/heat', defaultBranch: 'main' })
    const ref = 'refs/heads/calc/heat'
    await db.insert(deliveries).values({
      ...{ id: id.delivery, key: 'a-key', eventHeader: 'Push Hook', kind: 'push', projectId: 7 },
      ...{ projectPath: 'physics/heat', ref, outcome: 'accepted', bodySize: 2, bodySha256: 'x' },
      ...parked,
    })
    const sha = 'ab'.repeat(20)
    await db.insert(runs).values({
      ...{
        id: id.run,
        projectId: 7,
        branchId: newId(),
        ref,
        sha,
        cause: 'head:1',
        causedHow: 'push',
        state: 'waiting',
      },
      ...parked,
    })
    await db.insert(jobs).values({
      ...{ id: id.job, runId: id.run, projectId: 7, position: 0, name: 'mesh', spec: {} as never },
      ...{ cluster: 'falcon', connection: 'falcon', state: 'submitting' },
    })
    await db.insert(attempts).values({
      ...{ id: id.attempt, jobId: id.job, runId: id.run, projectId: 7, connection: 'falcon', number: 2 },
      ...{ state: 'submitting', ...parked },
    })
    await db.insert(comments).values({
      ...{ id: id.comment, projectId: 7, iid: 3, noteId: 41, authorId: 1, bodySha256: 'x', foundBy: 'webhook' },
      ...parked,
    })
    const desired = { kind: 'evidence', version: 1 } as const
    for (const [key, more] of [
      [`evidence ${id.run}`, { id: id.report, ...parked }],
      ['not parked', { id: newId() }],
    ] as const)
      await db
        .insert(reports)
        .values({ kind: 'evidence', key, projectId: 7, runId: id.run, desired, desiredHash: '1', ...more })
  })

  afterAll(async () => {
    await store.close()
    await rm(dataDir, { recursive: true, force: true })
  })

  it('are listed with what they are, since when, after how many tries, and why', async () => {
    const found = await parkedRows(store.db)
    expect(found.map(row => [row.table, row.id, row.what])).toEqual(
      expect.arrayContaining([
        ['deliveries', id.delivery, 'push of refs/heads/calc/heat'],
        ['reports', id.report, `evidence ${id.run}`],
        ['attempts', id.attempt, 'attempt 2 of job mesh on falcon'],
        ['runs', id.run, 'what GitLab should show of the run of refs/heads/calc/heat at abababab'],
        ['comments', id.comment, 'the commands of note 41 on !3'],
      ]),
    )
    expect(found).toHaveLength(5)
    for (const row of found)
      expect(row).toMatchObject({
        projectPath: 'physics/heat',
        tries: 9,
        lastError: 'it went wrong',
        parkedAt: expect.any(Date),
      })
  })

  it('get another chance: one, those of a table, all; nobody else is touched', async () => {
    expect(await retryParked(store.db, { id: newId() })).toBe(0)
    expect(await retryParked(store.db, { table: 'reports', id: id.delivery })).toBe(0)
    expect(await retryParked(store.db, { id: id.delivery })).toBe(1)
    const freed = (await store.db.select().from(deliveries).where(eq(deliveries.id, id.delivery)))[0]!
    expect(freed).toMatchObject({ parkedAt: null, attempts: 0, interrupted: 0, lastError: 'it went wrong' })
    expect(freed.nextAt.getTime()).toBeLessThan(Date.now() + 1_000)
    expect(await retryParked(store.db, { table: 'runs' })).toBe(1)
    expect((await parkedRows(store.db)).map(row => row.table).sort()).toEqual(['attempts', 'comments', 'reports'])
    expect(await retryParked(store.db)).toBe(3)
    expect(await parkedRows(store.db)).toEqual([])
  })
})
