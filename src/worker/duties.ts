import { lookAfterCiJobs } from '../bridge/look-after.ts'
import { lookForNotes } from '../command/look-for-notes.ts'
import { obeyComments } from '../command/obey.ts'
import { takeNote } from '../command/take-note.ts'
import type { Context } from '../context.ts'
import { recoverConnection } from '../recover/connection.ts'
import { lookBack } from '../recover/look-back.ts'
import { recoverProjects } from '../recover/project.ts'
import { pruneInputs } from '../run/bring-inputs.ts'
import { pruneBundles } from '../run/bundle.ts'
import { cancelJobs } from '../run/cancel.ts'
import { collectResults } from '../run/collect.ts'
import { commitEvidenceOfRuns } from '../run/commit-evidence.ts'
import { compareHeads } from '../run/compare-heads.ts'
import { composeReports } from '../run/compose.ts'
import { releaseDependants } from '../run/dependants.ts'
import { fenceLost } from '../run/fence-lost.ts'
import { finishRuns } from '../run/finish.ts'
import { followNeeds, followParents } from '../run/gates.ts'
import { hurryAfterOutage } from '../run/hurry.ts'
import { listenToCluster } from '../run/listen.ts'
import { pollCluster } from '../run/poll.ts'
import { prepareJobs } from '../run/prepare.ts'
import { readDeliveries } from '../run/read-delivery.ts'
import { keepTidy } from '../run/remove-directories.ts'
import { rerunStale } from '../run/rerun-stale.ts'
import { sendReports } from '../run/send.ts'
import { prunePacks } from '../run/source.ts'
import { submitJobs } from '../run/submit.ts'
import { sweepRuns } from '../run/sweep.ts'
import { tendTrees } from '../run/tend-tree.ts'
import { startScheduledRuns } from '../run/tick.ts'
import { uploadPlots } from '../run/upload-plots.ts'
import { pruneTokens } from '../store/ci-jobs.ts'
import { pruneDeliveries } from '../store/deliveries.ts'
import { holdOf } from '../store/holds.ts'
import { pruneLeases } from '../store/leases.ts'
import { pruneLoad } from '../store/load.ts'
import type { Leases } from './leases.ts'
import type { LoadCount } from './load.ts'
import type { Duty } from './loop.ts'
import { createNews } from './news.ts'

type Work = Duty['run']

const count = async (done: Promise<number>) => ({ more: (await done) > 0 })

/** When things happen: the table of verbs and intervals. `leases` tells which clusters and shared duties this process owns. */
export function duties(context: Context, leases: Leases, load: LoadCount): Duty[] {
  const { gitlab } = context.config
  /** Only while we own it; the verb gets the lease, and writes nothing when it has passed to another meanwhile. */
  const as =
    (name: string, work: Work): Work =>
    async (c, signal) => {
      const lease = leases.of(name)
      return lease === null ? { more: false } : work({ ...c, lease }, signal)
    }
  /** By any process, as long as the others do not take it for dead. */
  const alive =
    (work: Work): Work =>
    async (c, signal) =>
      leases.process.held() ? work({ ...c, lease: leases.process }, signal) : { more: false }
  return [
    // Several side by side: one project whose git is slow does not hold up the others.
    ...['1', '2', '3', '4'].map(
      (lane): Duty => ({
        name: `read deliveries ${lane}`,
        topic: 'deliveries',
        every: 2_000,
        run: alive(c => count(readDeliveries(c, takeNote))),
      }),
    ),
    { name: 'obey comments', topic: 'comments', every: 2_000, run: alive(c => count(obeyComments(c))) },
    { name: 'look after CI jobs', topic: 'ci', every: 2_000, run: alive(c => count(lookAfterCiJobs(c))) },
    { name: 'finish runs', topic: 'finish', every: 5_000, run: alive(c => count(finishRuns(c))) },
    {
      name: 'follow parents',
      topic: 'tree',
      every: 5_000,
      run: alive(async c => ({ more: (await followParents(c)) + (await followNeeds(c)) > 0 })),
    },
    { name: 'rerun what is stale', topic: 'tree', every: 10_000, run: as('heads', c => count(rerunStale(c))) },
    { name: 'tend trees', topic: 'tree', every: 5_000, run: alive(c => count(tendTrees(c))) },
    { name: 'compose reports', topic: 'compose', every: 2_000, run: alive(c => count(composeReports(c))) },
    {
      name: 'sweep statuses',
      topic: 'sweep',
      every: 60_000,
      run: as('heads', c => count(sweepRuns(c))),
    },
    {
      name: 'hurry after an outage',
      topic: 'back',
      every: 3_600_000,
      run: async c => {
        await hurryAfterOutage(c)
        // A GitLab that comes and goes must not make every row try at each turn.
        return { more: false, notBefore: 5_000 }
      },
    },
    { name: 'upload plots', topic: 'send', every: 5_000, run: alive(c => count(uploadPlots(c))) },
    { name: 'send reports', topic: 'send', every: 1_000, run: alive(c => count(sendReports(c))) },
    {
      name: 'commit evidence',
      topic: 'evidence',
      every: 2_000,
      run: as('evidence', c => count(commitEvidenceOfRuns(c))),
    },
    {
      name: 'compare heads',
      topic: 'heads',
      every: gitlab.webhook ? context.config.intervals.heads : gitlab.pollInterval,
      run: as('heads', async c => {
        await compareHeads(c, lookForNotes)
        return { more: false }
      }),
    },
    {
      name: 'start scheduled runs',
      topic: 'schedule',
      every: 10_000,
      run: alive(c => count(startScheduledRuns(c))),
    },
    {
      name: 'recover projects',
      topic: 'recover',
      every: 10_000,
      run: as('heads', c => count(recoverProjects(c))),
    },
    {
      name: 'prune',
      topic: 'prune',
      every: 3_600_000,
      run: async c => {
        await pruneDeliveries(c.db, 30)
        await pruneLeases(c.db)
        await pruneTokens(c.db)
        await pruneLoad(c.db)
        await prunePacks(c, 24)
        await pruneBundles(c, 24 * 14)
        await pruneInputs(c, 24 * 2)
        return { more: false, notBefore: 600_000 }
      },
    },
    {
      name: 'count load',
      topic: 'load',
      every: 30_000,
      run: async () => {
        await load.count()
        return { more: false }
      },
    },
    ...context.connections().flatMap(name => clusterDuties(context, name, work => as(`cluster ${name}`, work))),
  ]
}

function clusterDuties(context: Context, connection: string, asOwner: (work: Work) => Work): Duty[] {
  const { pollInterval, maxPollInterval, events, scheduler } = context.clusterConfig(connection)
  let interval = pollInterval
  const news = createNews({
    now: () => context.clock.now().getTime(),
    gap: Math.min(1_000, pollInterval),
    // What is promised to those who run a scheduler, see test/bench. To look at the processes of this machine costs nobody anything.
    rate: scheduler === 'local' ? null : 0.2,
  })
  // Whether this process has seen that its database is not older than the run directories; what it does about it is in the rows.
  let lookedBack = false
  return [
    {
      name: `recover ${connection}`,
      topic: 'recover',
      every: 10_000,
      run: asOwner(async c => {
        if (!lookedBack) {
          lookedBack = await lookBack(c, connection)
          if (!lookedBack) return { more: false, after: pollInterval }
          for (const topic of ['prepare', 'submit'] as const) c.wake.call(topic)
        }
        return (await recoverConnection(c, connection)) ? { more: false, after: pollInterval } : { more: false }
      }),
    },
    {
      name: `prepare for ${connection}`,
      topic: 'prepare',
      // Another replica may have started the run, and can call nobody here.
      every: context.config.databaseUrl === null ? 10_000 : 2_000,
      run: asOwner(async c => {
        // Where somebody must sign in first, jobs are held and that is said; nothing is handed over by it.
        if (!lookedBack && (await c.clusterOf(connection).needsSession()) === null) return { more: false }
        const released = await releaseDependants(c, connection)
        const fenced = await fenceLost(c, connection)
        return { more: released + fenced + (await prepareJobs(c, connection)) > 0 }
      }),
    },
    {
      name: `submit to ${connection}`,
      topic: 'submit',
      every: 1_000,
      run: asOwner(async c => (lookedBack ? count(submitJobs(c, connection)) : { more: false })),
    },
    {
      name: `collect from ${connection}`,
      topic: 'collect',
      every: 2_000,
      run: asOwner(c => count(collectResults(c, connection))),
    },
    {
      name: `remove directories on ${connection}`,
      topic: 'prune',
      every: 3_600_000,
      run: asOwner(async c => {
        if (!lookedBack) return { more: false, after: pollInterval }
        return { notBefore: 1_000, ...(await keepTidy(c, connection)) }
      }),
    },
    {
      name: `cancel on ${connection}`,
      topic: 'cancel',
      every: 2_000,
      run: asOwner(async c => {
        await cancelJobs(c, connection)
        return { more: false }
      }),
    },
    ...(events
      ? [
          {
            name: `listen to ${connection}`,
            topic: 'poll',
            every: maxPollInterval,
            run: asOwner(async (c, signal) => {
              const { again } = await listenToCluster(c, connection, news.heard, signal)
              if (again === null) return { more: false }
              return again === 0 ? { more: true } : { more: false, notBefore: again, after: 0 }
            }),
          } satisfies Duty,
        ]
      : []),
    {
      name: `poll ${connection}`,
      topic: 'poll',
      urgent: `news ${connection}`,
      every: pollInterval,
      run: asOwner(async c => {
        const result = await pollCluster(c, connection)
        // Shorter while something moves, longer while nothing does; a call (a fresh submission) never makes it shorter than the interval.
        interval =
          result.watched === 0 || result.changed > 0 || result.due
            ? pollInterval
            : Math.min(maxPollInterval, interval * 1.3)
        news.looked(result.states, result.commands)
        if (result.watched === 0) return { more: false, after: maxPollInterval }
        // Paused: as seldom as the site allows at all.
        if ((await holdOf(c.db, connection))?.mode === 'pause')
          return { more: false, notBefore: maxPollInterval, after: 0 }
        const sooner = news.sooner()
        return {
          more: false,
          notBefore: pollInterval,
          after: Math.max(0, interval - pollInterval),
          ...(sooner === null ? {} : { sooner }),
        }
      }),
    },
  ]
}
