import type { Hono } from 'hono'
import { Refusal } from '../auth/refusal.ts'
import { describeHold, readMoment } from '../model/hold.ts'
import { oneLineOf } from '../model/one-line.ts'
import { prose } from '../render/markdown.ts'
import { holdCluster, resumeCluster } from '../run/hold-cluster.ts'
import { holdOf } from '../store/holds.ts'
import type { Way } from './dashboard.ts'
import type { Page } from './page.ts'
import { labels, onlyAdmins } from './pages/load.ts'
import { checkForm } from './safety.ts'
import { leaveSaid } from './said.ts'

const means = {
  pause:
    'Nothing is handed over to it from now on, and it is asked as seldom as may be. What its scheduler has goes on, and can be cancelled.',
  drain:
    'No further job begins there. What is being handed over and what its scheduler has goes on, and is looked after as always.',
  resume: 'Jobs that were held back are handed over again, in their turn.',
} as const
type Act = keyof typeof means

/** Pausing, draining and resuming a cluster: what `compops pause` does, for whom the configuration names as administrators. */
export function addHoldActs(app: Hono, { site, cookies, asVisitor, layout }: Way): void {
  const { context, base } = site

  function meant(cluster: string, act: string): { readonly cluster: string; readonly act: Act } {
    if (!context.config.clusters.some(one => one.name === cluster)) throw new Refusal(404, 'There is no such cluster')
    if (!Object.hasOwn(means, act)) throw new Refusal(404, 'There is no such act')
    return { cluster, act: act as Act }
  }

  app.get('/load/:cluster/:act', c =>
    asVisitor(c, async visitor => {
      onlyAdmins(visitor)
      const { cluster, act } = meant(c.req.param('cluster'), c.req.param('act'))
      const hold = await holdOf(context.db, cluster)
      if (act === 'resume' && hold === null) throw new Refusal(409, `${cluster} is not held back any more`)
      const page: Page = {
        ...{ title: `${labels[act]} ${cluster}`, section: 'load', template: 'load-act', regions: [] },
        view: {
          ...{ cluster, act, label: labels[act], means: means[act], formToken: visitor.formToken },
          ...{ danger: act === 'pause', now: hold === null ? null : describeHold(hold) },
          zone: context.config.timeZone,
        },
      }
      return layout(c, visitor, page)
    }),
  )

  app.post('/load/:cluster/:act', c =>
    asVisitor(c, async visitor => {
      const by = visitor.caller.person.username
      const form = await c.req.parseBody()
      checkForm(c, context.config.publicUrl, visitor.formToken, form.form_token)
      onlyAdmins(visitor)
      const { cluster, act } = meant(c.req.param('cluster'), c.req.param('act'))
      if (act === 'resume') {
        const ended = await resumeCluster(context, cluster, by)
        const said = ended ? `${cluster} goes on.` : `${cluster} was not held back any more.`
        leaveSaid(c, cookies, { outcome: ended ? 'done' : 'nothing to do', said })
      } else {
        const written = oneLineOf(form.until, 40)
        const until = written === '' ? null : readMoment(written, context.clock.now(), context.config.timeZone)
        if (written !== '' && until === null) {
          const said = `${prose(written)} is no time to come: write 2h, 3d, 18:00 or 2026-12-01 08:00 (${context.config.timeZone}). Nothing was changed.`
          leaveSaid(c, cookies, { outcome: 'refused', said })
          return c.redirect(`${base}/load`, 303)
        }
        const reason = oneLineOf(form.why, 300) || null
        const hold = await holdCluster(context, { cluster, mode: act, reason, by, until })
        leaveSaid(c, cookies, { outcome: 'done', said: `${prose(describeHold(hold))}.` })
      }
      return c.redirect(`${base}/load`, 303)
    }),
  )
}
