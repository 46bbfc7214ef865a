import { randomUUID } from 'node:crypto'
import type { Hono } from 'hono'
import { Refusal } from '../auth/refusal.ts'
import { causeAsked } from '../command/cause.ts'
import { perform } from '../command/perform.ts'
import { isStale, latestRunIdOf } from '../store/branches.ts'
import { jobsOf, shortBranch } from '../store/runs.ts'
import { actsOf } from './act-list.ts'
import type { Way } from './dashboard.ts'
import type { Page } from './page.ts'
import { checkForm } from './safety.ts'
import { leaveSaid } from './said.ts'
import { ownPath } from './sign-in.ts'

/** What a person does from a page: asked for once, confirmed, then done by the verbs of comments and the API, with their rights. */
export function addActs(app: Hono, { site, cookies, asVisitor, layout }: Way): void {
  const { context, base, desk } = site

  /** The question before the deed. The script shows it above the page; without one it is a page. */
  app.get('/runs/:run/act/:verb', c =>
    asVisitor(c, async visitor => {
      const seen = await desk.run(visitor.caller, c.req.param('run'))
      if ((await latestRunIdOf(context.db, seen.run.branchId)) !== seen.run.id)
        throw new Refusal(409, 'The branch has gone on to a newer run: what is done is done there')
      const name = c.req.query('job')
      const jobs = await jobsOf(context.db, seen.run.id)
      const job = name === undefined ? null : jobs.find(one => one.name === name)
      if (job === undefined) throw new Refusal(404, 'The run has no such job')
      const stale = await isStale(context.db, seen.run.branchId)
      const act = actsOf(seen.run, job, jobs, stale).find(one => one.verb === c.req.param('verb'))
      if (act === undefined)
        throw new Refusal(409, 'There is nothing of that kind to do any more: it has ended, or went on meanwhile')
      const page: Page = {
        ...{ title: act.label, section: 'scheduler', template: 'act', regions: [] },
        view: {
          ...{ act, formToken: visitor.formToken, key: randomUUID(), job: job?.name ?? null, run: seen.run.id },
          ...{ branch: shortBranch(seen.run.ref), project: seen.project.path, sha: seen.run.sha.slice(0, 8) },
          back: ownPath(c.req.query('back') ?? `/runs/${seen.run.id}`),
        },
      }
      return layout(c, visitor, page)
    }),
  )

  app.post('/runs/:run/act/:verb', c =>
    asVisitor(c, async visitor => {
      const form = await c.req.parseBody()
      checkForm(c, context.config.publicUrl, visitor.formToken, form.form_token)
      const { run, project } = await desk.run(visitor.caller, c.req.param('run'), true)
      const verb = c.req.param('verb')
      const job = typeof form.job === 'string' && form.job !== '' ? form.job : null
      const key = typeof form.key === 'string' ? form.key.slice(0, 100) : ''
      const why = typeof form.why === 'string' ? form.why.trim().slice(0, 200) : ''
      if ((await latestRunIdOf(context.db, run.branchId)) !== run.id)
        throw new Refusal(409, 'The branch has gone on to a newer run: what is done is done there')
      const jobs = await jobsOf(context.db, run.id)
      const row = job === null ? null : jobs.find(one => one.name === job)
      if (row === undefined) throw new Refusal(404, 'The run has no such job')
      if (!actsOf(run, row, jobs, await isStale(context.db, run.branchId)).some(one => one.verb === verb))
        throw new Refusal(409, 'There is nothing of that kind to do any more: it has ended, or went on meanwhile')
      const person = visitor.caller.person
      const answer = await perform(context, {
        ...(verb === 'rerun-subtree'
          ? { verb: 'run', target: null, args: { options: { subtree: true as const }, values: {}, words: [] } }
          : { verb, target: job, args: { options: why === '' ? {} : { why }, values: {}, words: [] } }),
        ...{ person, project, at: { branch: shortBranch(run.ref) } },
        // The form's own key: sent twice, it is done once.
        cause: causeAsked(person.id, [run.id, verb, job, key]),
      })
      leaveSaid(c, cookies, answer)
      return c.redirect(`${base}${ownPath(form.back)}`, 303)
    }),
  )
}
