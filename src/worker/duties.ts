import type { Context } from '../context.ts'
import { cancelJobs } from '../run/cancel.ts'
import { collectResults } from '../run/collect.ts'
import { commitEvidenceOfRuns } from '../run/commit-evidence.ts'
import { compareHeads } from '../run/compare-heads.ts'
import { composeReports } from '../run/compose.ts'
import { releaseDependants } from '../run/dependants.ts'
import { finishRuns } from '../run/finish.ts'
import { hurryAfterOutage } from '../run/hurry.ts'
import { pollCluster } from '../run/poll.ts'
import { prepareJobs } from '../run/prepare.ts'
import { readDeliveries } from '../run/read-delivery.ts'
import { sendReports } from '../run/send.ts'
import { prunePacks } from '../run/source.ts'
import { submitJobs } from '../run/submit.ts'
import { sweepRuns } from '../run/sweep.ts'
import { pruneDeliveries } from '../store/deliveries.ts'
import type { Leases } from './leases.ts'
import type { Duty } from './loop.ts'

const count = async (done: Promise<number>) => ({ more: (await done) > 0 })

/** When things happen: the table of verbs and intervals. `leases` tells which clusters and projects this process owns. */
export function duties(context: Context, leases: Leases): Duty[] {
  return [
    // Several side by side: one project whose git is slow does not hold up the others.
    ...['1', '2', '3', '4'].map(
      (lane): Duty => ({
        name: `read deliveries ${lane}`,
        topic: 'deliveries',
        every: 2_000,
        run: c => count(readDeliveries(c)),
      }),
    ),
    { name: 'finish runs', topic: 'finish', every: 5_000, run: c => count(finishRuns(c)) },
    { name: 'compose reports', topic: 'compose', every: 2_000, run: c => count(composeReports(c)) },
    {
      name: 'sweep statuses',
      topic: 'sweep',
      every: 60_000,
      run: async c => ({ more: leases.owns('heads') && (await sweepRuns(c)) > 0 }),
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
    { name: 'send reports', topic: 'send', every: 1_000, run: c => count(sendReports(c)) },
    {
      name: 'commit evidence',
      topic: 'evidence',
      every: 2_000,
      run: async c => ({ more: leases.owns('evidence') && (await commitEvidenceOfRuns(c)) > 0 }),
    },
    {
      name: 'compare heads',
      topic: 'heads',
      every: context.config.intervals.heads,
      run: async c => {
        if (leases.owns('heads')) await compareHeads(c)
        return { more: false }
      },
    },
    {
      name: 'prune',
      topic: 'prune',
      every: 3_600_000,
      run: async c => {
        await pruneDeliveries(c.db, 30)
        await prunePacks(c, 24)
        return { more: false, notBefore: 600_000 }
      },
    },
    ...context.connections().flatMap(connection => clusterDuties(context, connection, leases)),
  ]
}

function clusterDuties(context: Context, connection: string, leases: Leases): Duty[] {
  const { pollInterval, maxPollInterval } = context.clusterConfig(connection)
  const owned = () => leases.owns(`cluster ${connection}`)
  let interval = pollInterval
  return [
    {
      name: `prepare for ${connection}`,
      topic: 'prepare',
      every: 10_000,
      run: async c => {
        if (!owned()) return { more: false }
        const released = await releaseDependants(c, connection)
        return { more: released + (await prepareJobs(c, connection)) > 0 }
      },
    },
    {
      name: `submit to ${connection}`,
      topic: 'submit',
      every: 1_000,
      run: async c => ({ more: owned() && (await submitJobs(c, connection)) > 0 }),
    },
    {
      name: `collect from ${connection}`,
      topic: 'collect',
      every: 2_000,
      run: async c => ({ more: owned() && (await collectResults(c, connection)) > 0 }),
    },
    {
      name: `cancel on ${connection}`,
      topic: 'cancel',
      every: 2_000,
      run: async c => {
        if (owned()) await cancelJobs(c, connection)
        return { more: false }
      },
    },
    {
      name: `poll ${connection}`,
      topic: 'poll',
      every: pollInterval,
      run: async c => {
        if (!owned()) return { more: false }
        const result = await pollCluster(c, connection)
        // Shorter while something moves, longer while nothing does; a call (a fresh submission) never makes it shorter than the interval.
        interval =
          result.watched === 0 || result.changed > 0 || result.due
            ? pollInterval
            : Math.min(maxPollInterval, interval * 1.3)
        if (result.watched === 0) return { more: false, after: maxPollInterval }
        return { more: false, notBefore: pollInterval, after: Math.max(0, interval - pollInterval) }
      },
    },
  ]
}
