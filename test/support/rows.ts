import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asc, eq } from 'drizzle-orm'
import type { Cluster } from '../../src/cluster/cluster.ts'
import type { Context } from '../../src/context.ts'
import { createSecrets } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { readTasks, writeTasks } from '../../src/model/array.ts'
import { newId } from '../../src/model/id.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { isFinal, type JobState } from '../../src/model/job-state.ts'
import type { Need } from '../../src/model/needs.ts'
import type { QueueRow, Seen } from '../../src/model/observation.ts'
import { unshared } from '../../src/store/leases.ts'
import { openStore } from '../../src/store/open.ts'
import { saveProject } from '../../src/store/projects.ts'
import { attempts, jobs, runs } from '../../src/store/schema.ts'
import { emptyDatabase } from './empty-database.ts'

export interface JobToWrite {
  readonly name: string
  readonly state: JobState
  readonly needs?: readonly Need[]
  readonly cancelReason?: string
  readonly spec?: Partial<JobSpec>
  /** An array of these tasks; its attempt has all but `tasksLeft`. */
  readonly array?: string
  readonly tasksLeft?: string
  readonly attempt?: { readonly state: JobState; readonly nativeId?: string; readonly dependsOn?: readonly string[] }
}

/** A real store with runs as a test wants them, and a context whose cluster does what the test says: for races between the verbs of a run. */
export async function openRows() {
  const dataDir = await mkdtemp(join(tmpdir(), 'compops-rows-'))
  await cp(await emptyDatabase(), dataDir, { recursive: true })
  const store = await openStore({ databaseUrl: null, dataDir })
  const { db } = store
  await saveProject(db, { id: 1, path: 'physics/heat', defaultBranch: 'main' })
  let cluster: Partial<Cluster> = {}
  const log = { child: () => log, info() {}, warn() {}, error() {} }
  const context = {
    store,
    db,
    log,
    metrics: createMetrics(),
    clock: { now: () => new Date() },
    audit: { record() {} },
    claimant: 'test main',
    lease: unshared,
    secrets: createSecrets(),
    wake: { call() {} },
    config: {
      dataDir,
      gitlab: { url: 'https://gitlab.example.org' },
      intervals: { accounting: 60_000, retry: 0 },
      projects: [{ path: 'physics/*', clusters: ['falcon'] }],
    },
    clusterOf: () => ({
      nativeDependencies: true,
      inWords: (reason: string) => reason,
      facts: async () => facts,
      needsSession: async () => null,
      ...cluster,
    }),
    clusterConfig: () => ({ maxSubmitted: 500 }),
  } as unknown as Context

  return {
    context,
    db,
    dataDir,
    set cluster(fake: Partial<Cluster>) {
      cluster = fake
    },
    async run(list: readonly JobToWrite[]) {
      const runId = newId()
      await db.insert(runs).values({
        id: runId,
        projectId: 1,
        branchId: newId(),
        ref: 'refs/heads/calc',
        sha: 'a'.repeat(40),
        cause: `api:${runId}`,
        causedHow: 'push by alice',
        state: 'waiting',
      })
      const ids: Record<string, { job: string; attempt: string }> = {}
      const jobRows: (typeof jobs.$inferInsert)[] = []
      const attemptRows: (typeof attempts.$inferInsert)[] = []
      for (const [position, job] of list.entries()) {
        const id = newId()
        const attempt = newId()
        ids[job.name] = { job: id, attempt }
        const array = job.array === undefined ? {} : { array: { tasks: job.array, throttle: null } }
        const spec = { name: job.name, needs: job.needs ?? [], ...array, ...job.spec } as never
        jobRows.push({
          id,
          runId,
          projectId: 1,
          position,
          name: job.name,
          spec,
          cluster: 'falcon',
          connection: 'falcon',
          state: job.state,
          cancelReason: job.cancelReason ?? null,
          tasksLeft: job.tasksLeft ?? null,
        })
        if (job.attempt === undefined) continue
        const { state, nativeId = null, dependsOn = [] } = job.attempt
        attemptRows.push({
          id: attempt,
          jobId: id,
          runId,
          projectId: 1,
          connection: 'falcon',
          number: 1,
          state,
          nativeId,
          dependsOn,
          final: isFinal(state),
          array:
            job.array === undefined
              ? null
              : { tasks: without(job.array, job.tasksLeft ?? ''), throttle: null, renumbered: false },
        })
      }
      if (jobRows.length > 0) await db.insert(jobs).values(jobRows)
      if (attemptRows.length > 0) await db.insert(attempts).values(attemptRows)
      return { runId, ids }
    },
    /** `name: state of the job / state of its newest attempt` */
    async states(runId: string): Promise<Record<string, string>> {
      const found = await db
        .select({ name: jobs.name, state: jobs.state, attempt: attempts.state, message: jobs.message })
        .from(jobs)
        .leftJoin(attempts, eq(attempts.jobId, jobs.id))
        .where(eq(jobs.runId, runId))
        .orderBy(asc(jobs.position), asc(attempts.number))
      return Object.fromEntries(found.map(row => [row.name, `${row.state} / ${row.attempt}`]))
    },
    async messages(runId: string): Promise<Record<string, string | null>> {
      const found = await db.select().from(jobs).where(eq(jobs.runId, runId))
      return Object.fromEntries(found.map(row => [row.name, row.message]))
    },
    async close() {
      await store.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

const without = (all: string, left: string) => {
  const later = new Set(readTasks(left))
  return writeTasks(readTasks(all).filter(index => !later.has(index)))
}

const facts = {
  version: 'slurm 22.05.8',
  accounting: false,
  remembers: 0,
  nativeDependencies: true,
  maxArraySize: 1001,
}

/** What a round saw of one attempt in the queue. */
export function inQueue(row: Partial<QueueRow>): Seen {
  const queue: QueueRow = {
    nativeId: '2',
    tasks: null,
    name: 'compops-x',
    state: 'queued',
    nativeState: 'PENDING',
    verdict: null,
    reason: null,
    queue: null,
    submittedAt: null,
    startAt: null,
    endAt: null,
    nodes: [],
    restarts: 0,
    ...row,
  }
  return { queue, accounting: 'off', exit: null, started: null }
}

/** A promise and the hand that opens it: holds a fake cluster's answer back until a test has done something else. */
export function gate<T = void>() {
  const { promise, resolve } = Promise.withResolvers<T>()
  return { opened: promise, open: resolve }
}
