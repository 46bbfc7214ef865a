import type { Hono } from 'hono'
import { Refusal } from '../auth/refusal.ts'
import { causeAsked } from '../command/cause.ts'
import { perform } from '../command/perform.ts'
import { readHead } from '../git/mirror.ts'
import { findRunCausedBy } from '../store/runs.ts'
import type { Way } from './dashboard.ts'
import { fieldsOf, launchPage, launchQuery, planOf, readSettings, settingsOf } from './pages/launch.ts'
import { addressesOf, decoded } from './pages/site.ts'
import { checkForm } from './safety.ts'
import { leaveSaid } from './said.ts'

/** What the form of a launch leads to: first its preview, at an address that holds what was changed and nothing else; then the run. */
export function addLaunch(app: Hono, { site, cookies, asVisitor }: Way): void {
  const { context, base, desk } = site
  const to = addressesOf(site)

  /** A browser sends every field: those that say what the file says anyway are left out of the address. */
  app.get('*', async (c, next) => {
    const url = new URL(c.req.url)
    const found = launchPage.at.exec(url.pathname)
    if (found === null || !url.searchParams.has('preview')) return next()
    return asVisitor(c, async visitor => {
      const { project, rule } = await desk.project(visitor.caller, decoded(found[1]))
      const branch = (url.searchParams.get('branch') ?? '').trim().slice(0, 500)
      const plan = await planOf(context, { project, rule, by: visitor.caller.person, branch })
      const before = new Map(
        plan.jobs.flatMap(job => [
          [`${job.name}.cluster`, job.cluster] as const,
          ...fieldsOf(job).map(one => [one.key, one.value] as const),
        ]),
      )
      const changed = [...url.searchParams].flatMap(([name, value]) => {
        if (!name.startsWith('field:')) return []
        const key = name.slice('field:'.length)
        const text = value.trim()
        return text === '' || before.get(key) === text ? [] : [`${key}=${text}`]
      })
      // What is said of one job holds against what is said of all.
      const set = [...readSettings((url.searchParams.get('more') ?? '').slice(0, 20_000)), ...changed]
      return c.redirect(`${to.launch(project.path)}?${launchQuery({ branch, set })}#plan`, 303)
    })
  })

  app.post('*', async (c, next) => {
    const found = launchPage.at.exec(new URL(c.req.url).pathname)
    if (found === null) return next()
    return asVisitor(c, async visitor => {
      const form = await c.req.parseBody({ all: true })
      checkForm(c, context.config.publicUrl, visitor.formToken, form.form_token)
      const { project } = await desk.project(visitor.caller, decoded(found[1]), true)
      const text = (name: string, most: number) => {
        const value = form[name]
        return typeof value === 'string' ? value.slice(0, most) : ''
      }
      const [branch, key, sha] = [text('branch', 500), text('key', 100), text('sha', 64)]
      const set = [form.set ?? []].flat().filter(one => typeof one === 'string')
      const { values, wrong } = settingsOf(set)
      if (branch === '' || wrong.length > 0) throw new Refusal(400, 'The form is not understood: load it anew')
      const { person } = visitor.caller
      // The form's own key: sent twice, it is one run.
      const cause = causeAsked(person.id, [project.id, branch, sha, values, key])
      const ref = `refs/heads/${branch}`
      const runOfForm = () => findRunCausedBy(context.db, { projectId: project.id, ref, cause })
      const before = await runOfForm()
      if (before === null && (await readHead(await context.mirror(project), ref)) !== sha) {
        leaveSaid(c, cookies, {
          outcome: 'refused',
          said: 'The branch has gone on since this was planned: look at what would run now.',
        })
        return c.redirect(`${to.launch(project.path)}?${launchQuery({ branch, set })}`, 303)
      }
      const answer = await perform(context, {
        ...{ verb: 'run', target: null, args: { options: {}, values, words: [] } },
        ...{ person, project, at: { branch }, cause },
      })
      leaveSaid(c, cookies, answer)
      const run = await runOfForm()
      return c.redirect(
        run === null ? `${to.launch(project.path)}?${launchQuery({ branch, set })}` : `${base}/runs/${run.id}`,
        303,
      )
    })
  })
}
