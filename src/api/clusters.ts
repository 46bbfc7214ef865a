import { z } from 'zod'
import { adminsOf, adminsOnly } from '../auth/admins.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Caller } from '../auth/sign-in.ts'
import type { Context } from '../context.ts'
import { HoldAnswer, HoldAsked, type HoldShown, LoadAnswer } from '../model/api.ts'
import { describeHold, type Hold, readMoment } from '../model/hold.ts'
import { promisedCommands } from '../render/load.ts'
import { holdCluster, resumeCluster } from '../run/hold-cluster.ts'
import { holdOf } from '../store/holds.ts'
import { loadOfLastDay } from '../store/load.ts'
import { type Endpoint, endpoint } from './endpoint.ts'

const clusterParam = { cluster: z.string().min(1).max(100) }

/** What the service asks of clusters, and holding them back: for whom the configuration names as administrators. */
export function clusterEndpoints(context: Context): Endpoint[] {
  const { config, db } = context
  const isAdmin = adminsOf(config)

  function admit(caller: Caller): void {
    if (!isAdmin(caller.person)) throw new Refusal(403, adminsOnly)
  }

  return [
    endpoint({
      method: 'get',
      path: '/load',
      name: 'load',
      summary:
        'What the service asked of each cluster within the last 24 hours, by account, and who holds it back. For administrators of the service.',
      answer: LoadAnswer,
      async handle({ caller }) {
        admit(caller)
        const clusters = config.clusters.map(async ({ name, scheduler }) => ({
          ...{ name, scheduler, hold: showHold(await holdOf(db, name)) },
          hours: (await loadOfLastDay(db, name)).map(one => ({
            ...{ account: one.connection, began_at: one.hour.toISOString() },
            ...{ logins: one.logins, programs: one.programs, scheduler_commands: one.schedulerCommands },
          })),
        }))
        return { promised_commands_per_second: promisedCommands, clusters: await Promise.all(clusters) }
      },
    }),
    endpoint({
      method: 'post',
      path: '/clusters/{cluster}/{act}',
      name: 'holdCluster',
      summary:
        'Pauses a cluster for all projects (nothing is handed over from now on), drains it (no further job begins), or resumes it. In your name, for administrators of the service.',
      params: { ...clusterParam, act: z.enum(['pause', 'drain', 'resume']) },
      body: HoldAsked,
      answer: HoldAnswer,
      changes: () => true,
      async handle({ caller, params, body }): Promise<z.output<typeof HoldAnswer>> {
        const { cluster, act } = params
        const by = caller.person.username
        admit(caller)
        if (!config.clusters.some(one => one.name === cluster)) throw new Refusal(404, 'There is no such cluster')
        if (act === 'resume') {
          const ended = await resumeCluster(context, cluster, by)
          return ended
            ? { outcome: 'done', said: `${cluster} goes on`, hold: null }
            : { outcome: 'nothing to do', said: `${cluster} was not held back`, hold: null }
        }
        const until = body.until == null ? null : readMoment(body.until, context.clock.now(), config.timeZone)
        if (body.until != null && until === null)
          throw new Refusal(422, `until: no time to come; write 2h, 3d, 18:00 or 2026-12-01 08:00 (${config.timeZone})`)
        const hold = await holdCluster(context, { cluster, mode: act, reason: body.reason || null, by, until })
        return { outcome: 'done', said: describeHold(hold), hold: showHold(hold) }
      },
    }),
  ]
}

function showHold(hold: Hold | null): HoldShown | null {
  if (hold === null) return null
  const { mode, reason, by, since, until } = hold
  return { mode, reason, by, since: since.toISOString(), until: until?.toISOString() ?? null }
}
