import { statfs } from 'node:fs/promises'
import type { Context } from './context.ts'
import { describeError } from './errors.ts'
import { describeHold } from './model/hold.ts'
import { type Overview, overview, probeInsert, probeWrite } from './store/health.ts'
import { isStoreError, isTroubleWithRow } from './store/open.ts'

export interface PeerState {
  readonly ok: boolean
  readonly since: string | null
  readonly error: string | null
}

/** What `/readyz` says. The page is open: names of clusters and figures, never a project, a branch or a person. */
export interface Readiness {
  /** Deliveries can be stored. Nothing else makes it false: a GitLab or cluster that is away does not keep us from taking them. */
  readonly ready: boolean
  readonly database: PeerState
  readonly gitlab: PeerState
  readonly clusters: Readonly<
    Record<
      string,
      PeerState & { readonly lastRoundAt: string | null; readonly recovering: boolean; readonly held: string | null }
    >
  >
  readonly projects: { readonly troubled: number; readonly since: string | null; readonly recovering: number }
  readonly disk: { readonly freeBytes: number | null }
  readonly parked: Overview['parked'] & { readonly total: number }
  /** Stored and not acted on; written and not told to GitLab. */
  readonly waiting: Readonly<
    Record<'deliveries' | 'reports', { readonly count: number; readonly oldestSeconds: number }>
  >
  /** Who owns what: this process, or another by its id; null where nobody does. */
  readonly leases: Readonly<Record<string, { readonly own: boolean; readonly holder: string | null }>>
  /** When what is said of the store was read; null where it never could be. */
  readonly asOf: string | null
}

export interface Health {
  readiness(): Promise<Readiness>
  /** Brings the gauges of `/metrics` up to date, as far as they can be known now. */
  gauge(): Promise<void>
  /** How storing deliveries went: null, or what was thrown. */
  stored(error: unknown): void
}

/** No question is waited for longer, so that a page answers while everything behind it hangs. */
const deadline = 1_400
/** A good answer is believed so long. */
const fresh = 1_000
const freshWrite = 5_000

/** Watches over the peers of a process, without ever waiting for one of them. */
export function createHealth(context: Context): Health {
  const { db, metrics, clock, config } = context
  let insertTrouble: string | null = null
  let databaseTrouble: { since: Date; error: string } | null = null
  let known: { overview: Overview; at: Date; ms: number } | null = null
  let free: number | null = null

  // As in metrics.ts: what an alert waits for begins at 0.
  for (const connection of context.connections()) {
    metrics.jobsEnded.inc({ connection, state: 'failed', reason: 'lost' }, 0)
    metrics.copiesFenced.inc({ connection }, 0)
  }

  const askWrite = createQuestion(async () => {
    await probeWrite(db, context.holder)
    if (insertTrouble !== null) await probeInsert(db)
    insertTrouble = null
  }, freshWrite)
  const askOverview = createQuestion(async () => {
    known = { overview: await overview(db), at: clock.now(), ms: performance.now() }
  }, fresh)
  const askDisk = createQuestion(async () => {
    const { bavail, bsize } = await statfs(config.dataDir)
    free = bavail * bsize
  }, freshWrite)

  async function look(): Promise<void> {
    const [wrote, read, disk] = await Promise.all([askWrite(), askOverview(), askDisk()])
    if (disk !== null) free = null
    const error = wrote ?? read ?? insertTrouble
    if (error === null) databaseTrouble = null
    else {
      if (wrote !== null || read !== null) metrics.databaseErrors.inc({ where: 'health' })
      databaseTrouble = { since: databaseTrouble?.since ?? clock.now(), error }
    }
  }

  function gitlabState(): PeerState {
    const away = context
      .gitlabs()
      .map(client => client.reachability())
      .find(state => !state.reachable)
    const trouble = context.troubles.get('gitlab')
    return {
      ok: away === undefined && trouble === undefined,
      since: (away?.since ?? trouble?.since)?.toISOString() ?? null,
      error: away?.lastError ?? trouble?.error ?? null,
    }
  }

  const leaseNames = () => ['heads', 'evidence', ...context.connections().map(name => `cluster ${name}`)]

  return {
    async readiness() {
      await look()
      const seen = known?.overview
      const clusters: Record<string, Readiness['clusters'][string]> = {}
      for (const name of context.connections()) {
        const row = seen?.connections.find(one => one.name === name)
        clusters[name] = {
          ok: row === undefined || (row.unreachableSince === null && row.lastError === null),
          since: iso(row?.unreachableSince ?? row?.troubledSince ?? null),
          error: row?.lastError ?? null,
          lastRoundAt: iso(row?.lastRoundAt ?? null),
          recovering: row?.recovering ?? false,
          held: heldWords(seen, name),
        }
      }
      const parked = seen?.parked ?? {
        deliveries: 0,
        reports: 0,
        attempts: 0,
        runs: 0,
        comments: 0,
        schedules: 0,
        ci_jobs: 0,
      }
      const due = seen?.reports ?? []
      return {
        ready: databaseTrouble === null,
        database: {
          ok: databaseTrouble === null,
          since: databaseTrouble?.since.toISOString() ?? null,
          error: databaseTrouble?.error ?? null,
        },
        gitlab: gitlabState(),
        clusters,
        projects: {
          troubled: seen?.projects.troubled ?? 0,
          since: iso(seen?.projects.since ?? null),
          recovering: seen?.projects.recovering ?? 0,
        },
        disk: { freeBytes: free },
        parked: { ...parked, total: Object.values(parked).reduce((sum, n) => sum + n, 0) },
        waiting: {
          deliveries: { count: seen?.unread.n ?? 0, oldestSeconds: seconds(seen?.unread.age ?? 0) },
          reports: {
            count: due.reduce((sum, row) => sum + row.n, 0),
            oldestSeconds: seconds(Math.max(0, ...due.map(row => row.age))),
          },
        },
        leases: Object.fromEntries(
          leaseNames().map(name => {
            const holder = seen?.leases.find(lease => lease.name === name)?.holder ?? null
            return [name, { own: holder === context.holder, holder }]
          }),
        ),
        asOf: known?.at.toISOString() ?? null,
      }
    },

    async gauge() {
      await look()
      metrics.ready.set(databaseTrouble === null ? 1 : 0)
      metrics.unreachable.set({ peer: 'database' }, databaseTrouble === null ? 0 : 1)
      metrics.unreachable.set({ peer: 'gitlab' }, gitlabState().ok ? 0 : 1)
      if (free === null) metrics.diskFree.remove()
      else metrics.diskFree.set(free)
      metrics.sshConnects.reset()
      metrics.schedulerCommands.reset()
      for (const connection of context.connections()) {
        const { connects, schedulerCommands } = context.clusterOf(connection).stats()
        metrics.sshConnects.inc({ connection }, connects)
        metrics.schedulerCommands.inc({ connection }, schedulerCommands)
      }
      if (known === null) return
      metrics.overviewAge.set((performance.now() - known.ms) / 1000)
      gaugeStore(known.overview)
    },

    stored(error) {
      if (error === null) insertTrouble = null
      else {
        metrics.deliveryStoreFailures.inc()
        if (isStoreError(error)) metrics.databaseErrors.inc({ where: 'webhook' })
        // A row that no database takes says nothing about this one.
        if (!isTroubleWithRow(error)) insertTrouble = `deliveries cannot be stored: ${describeError(error, 300)}`
        // What was believed is asked again.
        if (insertTrouble !== null) askWrite.forget()
      }
    },
  }

  function gaugeStore(seen: Overview): void {
    for (const name of context.connections()) {
      const row = seen.connections.find(one => one.name === name)
      const away = row?.unreachableSince != null
      metrics.unreachable.set({ peer: name }, away ? 1 : 0)
      metrics.troubled.set({ peer: name }, !away && row?.lastError != null ? 1 : 0)
      if (row?.roundAge != null) metrics.roundAge.set({ connection: name }, row.roundAge)
    }
    for (const [table, n] of Object.entries(seen.parked)) metrics.parked.set({ table }, n)
    metrics.unreadDeliveries.set(seen.unread.n)
    metrics.unreadDeliveryAge.set(seen.unread.age ?? 0)
    for (const kind of ['status', 'note', 'reply', 'evidence']) {
      const row = seen.reports.find(one => one.kind === kind)
      metrics.reportsDue.set({ kind }, row?.n ?? 0)
      metrics.reportAge.set({ kind }, Math.max(0, row?.age ?? 0))
    }
    metrics.jobs.reset()
    metrics.ciJobs.reset()
    for (const { mode, state, n } of seen.ciJobs) metrics.ciJobs.set({ mode, state }, n)
    for (const { connection, state, n } of seen.jobs) metrics.jobs.set({ connection, state }, n)
    for (const lease of leaseNames()) {
      const own = seen.leases.some(one => one.name === lease && one.holder === context.holder)
      metrics.leaseHeld.set({ lease }, own ? 1 : 0)
    }
    metrics.held.reset()
    for (const { cluster, mode } of seen.holds) metrics.held.set({ cluster, mode }, 1)
    metrics.projectsTroubled.set(seen.projects.troubled)
    metrics.recovering.set({ what: 'projects' }, seen.projects.recovering)
    metrics.recovering.set({ what: 'clusters' }, seen.connections.filter(one => one.recovering).length)
  }
}

/** Why an operator holds the cluster of this account back; null where nobody does. */
function heldWords(seen: Overview | undefined, connection: string): string | null {
  const hold = seen?.holds.find(one => one.cluster === connection.split('#')[0])
  if (hold === undefined) return null
  return describeHold({
    ...hold,
    since: new Date(hold.since),
    until: hold.until === null ? null : new Date(hold.until),
  })
}

/** Postgres writes times into JSON with an offset; we say them as everywhere. */
function iso(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString()
}

const seconds = (age: number): number => Math.max(0, Math.round(age))

/**
 * Something that is asked at most once at a time, believed for `keep` ms when it went well, and waited for no longer than the deadline. Resolves
 * with null, or with what went wrong; while an answer is awaited, each who asks hears for how long.
 */
function createQuestion(ask: () => Promise<void>, keep: number) {
  let pending: Promise<string | null> | null = null
  let askedAt = 0
  let goodUntil = 0
  const question = async (): Promise<string | null> => {
    if (performance.now() < goodUntil) return null
    if (pending === null) {
      askedAt = performance.now()
      pending = ask()
        .then(
          () => {
            goodUntil = performance.now() + keep
            return null
          },
          (error: unknown) => describeError(error, 300),
        )
        .finally(() => {
          pending = null
        })
    }
    const { promise, resolve } = Promise.withResolvers<string>()
    const timer = setTimeout(() => {
      resolve(`no answer for ${Math.max(1, Math.round((performance.now() - askedAt) / 1000))} s`)
    }, deadline)
    try {
      return await Promise.race([pending, promise])
    } finally {
      clearTimeout(timer)
    }
  }
  return Object.assign(question, {
    forget() {
      goodUntil = 0
    },
  })
}
