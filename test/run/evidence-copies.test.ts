import { createHash } from 'node:crypto'
import { and, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import type { Mirror } from '../../src/git/mirror.ts'
import { newId } from '../../src/model/id.ts'
import { commitEvidenceOfRuns } from '../../src/run/commit-evidence.ts'
import { bringCopies, keepCopies } from '../../src/run/copies.ts'
import { fromEvidence } from '../../src/store/recovery.ts'
import { attempts, copies, jobs, reports, runs } from '../../src/store/schema.ts'
import { openScene, type Scene } from '../git/support.ts'
import { spec } from '../render/sample.ts'
import { runGit } from '../support/git-server.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// Small outputs on their way through the rows into git: never more of them in one commit, or in memory, than was agreed, and none of them is lost.
let rows: Awaited<ReturnType<typeof openRows>>
let scene: Scene
let mirror: Mirror
let dir: string
let context: Context

beforeAll(async () => {
  rows = await openRows()
  scene = await openScene()
  dir = (await scene.server.create('physics/heat')).dir
  mirror = await scene.mirror('physics/heat')
  const log = { child: () => log, info() {}, error() {}, warn: (...said: unknown[]) => console.warn(...said) }
  context = {
    ...rows.context,
    log,
    mirror: async () => mirror,
    secrets: { redact: (text: string) => text },
    config: {
      ...rows.context.config,
      timeZone: 'UTC',
      publicUrl: 'http://compops',
      projects: [
        {
          path: 'physics/heat',
          clusters: ['falcon'],
          evidence: { branch: 'compops/evidence' },
          collect: { file: 100, run: 100 },
        },
      ],
    },
  } as unknown as Context
}, 90_000 * patience)
afterAll(async () => {
  await rows.close()
  await scene.end()
})

const digest = (how: string, text: string) => createHash(how).update(text).digest('hex')

async function write(run: string, ids: { job: string; attempt: string }, name: string, text: string): Promise<void> {
  await rows.db.insert(copies).values({
    ...{ id: newId(), projectId: 1, runId: run, jobId: ids.job, attemptId: ids.attempt, name, kind: 'text' },
    ...{ size: text.length, sha256: digest('sha256', text), blob: digest('sha1', `blob ${text.length}\0${text}`) },
    content: Buffer.from(text).toString('base64'),
  })
}

async function ended(count: number): Promise<string> {
  const { runId, ids } = await rows.run([
    { name: 'a', state: 'completed', attempt: { state: 'completed', nativeId: newId() } },
  ])
  await rows.db.update(attempts).set({ final: true, collectProblem: 'nothing' }).where(eq(attempts.runId, runId))
  await rows.db.update(runs).set({ state: 'completed', endedAt: new Date() }).where(eq(runs.id, runId))
  for (let n = 0; n < count; n++) await write(runId, ids.a!, `a/${n}.txt`, `${runId} ${n}`.padEnd(100, '.'))
  await due(runId)
  return runId
}

async function due(runId: string): Promise<void> {
  for (const { id, name } of await rows.db
    .select()
    .from(jobs)
    .where(and(eq(jobs.runId, runId), sql`spec->'resources' is null`)))
    await rows.db
      .update(jobs)
      .set({ spec: spec(name) })
      .where(eq(jobs.id, id))
  const key = `evidence ${runId}`
  await rows.db
    .insert(reports)
    .values({ id: newId(), projectId: 1, runId, key, kind: 'evidence', desired: {} as never, desiredHash: newId() })
    .onConflictDoUpdate({ target: reports.key, set: { desiredHash: newId(), nextAt: sql`now()` } })
}

const committed = async () =>
  (await runGit(dir, ['ls-tree', '-r', '--name-only', 'refs/heads/compops/evidence']))
    .split('\n')
    .filter(path => path.includes('+outputs/'))
    .map(path => path.replace(/^.*\+outputs\//, ''))

describe('evidence with small outputs', () => {
  it('goes in commits of a limited size, one run at least in each, and all of it is there', async () => {
    const ids = [await ended(2), await ended(1), await ended(5), await ended(0), await ended(3)]
    expect(await commitEvidenceOfRuns(context, 300)).toBe(5)
    const subjects = (await runGit(dir, ['log', '--format=%s', 'refs/heads/compops/evidence'])).trim().split('\n')
    // 200 and 100, 500 alone, nothing and 300.
    expect(subjects).toEqual([
      'Evidence of 2 runs',
      expect.stringMatching(/^Evidence: calc completed/),
      'Evidence of 2 runs',
    ])
    expect(await committed()).toHaveLength(11)
    expect(await rows.db.select().from(copies).where(sql`content is not null`)).toEqual([])
    const path = (await runGit(dir, ['ls-tree', '-r', '--name-only', 'refs/heads/compops/evidence']))
      .split('\n')
      .find(one => one.includes(ids[2]!) && one.endsWith('a/4.txt'))
    expect(await runGit(dir, ['show', `refs/heads/compops/evidence:${path}`])).toBe(`${ids[2]} 4`.padEnd(100, '.'))
  })

  it('keeps the files of an array whose other tasks ran again, and of a job that is known from the branch only', async () => {
    const { runId, ids } = await rows.run(
      ['sweep', 'known', 'again'].map(name => ({
        name,
        state: 'completed' as const,
        attempt: { state: 'completed' as const, nativeId: newId() },
      })),
    )
    await rows.db.update(runs).set({ state: 'completed', endedAt: new Date() }).where(eq(runs.id, runId))
    await rows.db.update(attempts).set({ final: true, collectProblem: fromEvidence }).where(eq(attempts.runId, runId))
    for (const name of Object.keys(ids))
      for (const n of [0, 1]) await write(runId, ids[name]!, `${name}/${n}.txt`, name)
    await due(runId)
    await commitEvidenceOfRuns(context)
    const before = (await committed()).filter(path => /^(sweep|known|again)\//.test(path))
    expect(before).toHaveLength(6)

    // The backup that was restored knows none of these files; then one job runs again, and one task of the array.
    await rows.db.delete(copies).where(eq(copies.runId, runId))
    await rows.db
      .update(jobs)
      .set({ spec: spec('sweep', {}, { array: { tasks: '0-1', throttle: null } as never }) })
      .where(eq(jobs.id, ids.sweep!.job))
    for (const name of Object.keys(ids)) {
      const attempt = { id: newId(), jobId: ids[name]!.job, runId, projectId: 1, connection: 'falcon', number: 2 }
      const collectProblem = name === 'known' ? fromEvidence : 'nothing'
      await rows.db.insert(attempts).values({ ...attempt, state: 'completed', final: true, collectProblem })
      if (name !== 'known') await write(runId, { job: attempt.jobId, attempt: attempt.id }, `${name}/1.txt`, 'anew')
    }
    await due(runId)
    await commitEvidenceOfRuns(context)
    const after = (await committed()).filter(path => /^(sweep|known|again)\//.test(path))
    expect(after).toEqual(before.filter(path => path !== 'again/0.txt'))

    // What was a file is a folder now: the branch cannot hold both.
    const third = { id: newId(), jobId: ids.sweep!.job, runId, projectId: 1, connection: 'falcon', number: 3 }
    await rows.db.insert(attempts).values({ ...third, state: 'completed', final: true, collectProblem: 'nothing' })
    await write(runId, { job: third.jobId, attempt: third.id }, 'sweep/0.txt/deep.txt', 'anew')
    await due(runId)
    await commitEvidenceOfRuns(context)
    const last = (await committed()).filter(path => /^sweep\//.test(path))
    expect(last).toEqual(['sweep/0.txt/deep.txt', 'sweep/1.txt'])
  })
})

describe('the limit of a run', () => {
  it('holds for all portions of an array together, and what a task wrote anew makes room', async () => {
    const { runId, ids } = await rows.run([
      { name: 'sweep', state: 'running', attempt: { state: 'completed', nativeId: '1' } },
    ])
    const portion = async (number: number, sizes: Record<string, number>) => {
      const id = number === 1 ? ids.sweep!.attempt : newId()
      const row = { id, jobId: ids.sweep!.job, runId, projectId: 1, connection: 'falcon', number }
      const array = { tasks: '0-9' } as never
      await rows.db
        .insert(attempts)
        .values({ ...row, state: 'completed', array })
        .onConflictDoUpdate({ target: attempts.id, set: { array } })
      const [attempt] = await rows.db.select().from(attempts).where(eq(attempts.id, id))
      const texts = new Map(Object.entries(sizes).map(([path, size]) => [path, String(number).repeat(size)]))
      rows.cluster = {
        files: {
          read: async (_: unknown, asked: readonly { path: string }[]) =>
            asked.map(({ path }) => {
              const bytes = Buffer.from(texts.get(path)!)
              return { offset: 0, size: bytes.length, bytes }
            }),
        },
      } as never
      const outputs = [...texts].map(([path, text]) => ({
        ...{ path, size: text.length, sha256: digest('sha256', text), at: `/x/${path}` },
      }))
      const collected = { outputs, metrics: {} } as never
      await keepCopies(rows.db, attempt!, await bringCopies(context, attempt!, 'sweep', collected))
      const kept = await rows.db.select().from(copies).where(eq(copies.runId, runId)).orderBy(copies.name)
      return Object.fromEntries(kept.map(copy => [copy.name.replace(/^.*\//, ''), copy.size]))
    }
    expect(await portion(1, { '1.txt': 30, '2.txt': 30 })).toEqual({ '1.txt': 30, '2.txt': 30 })
    // The run has 100.
    expect(await portion(2, { '3.txt': 30, '4.txt': 31 })).toEqual({ '1.txt': 30, '2.txt': 30, '3.txt': 30 })
    expect(await portion(3, { '1.txt': 40, '5.txt': 41 })).toEqual({ '1.txt': 40, '2.txt': 30, '3.txt': 30 })
    // A folder where a file was.
    expect(await portion(4, { '1.txt/deep': 5 })).toEqual({ deep: 5, '2.txt': 30, '3.txt': 30 })
  })
})
