import { Hono, type Context as HonoContext } from 'hono'
import { createApi } from './api/api.ts'
import { doorOf } from './api/door.ts'
import { createBridge } from './bridge/bridge.ts'
import { matchGlob, projectFor } from './config/index.ts'
import type { Context } from './context.ts'
import { createDashboard } from './dashboard/dashboard.ts'
import type { ApiDescription } from './dashboard/pages/reference.ts'
import { describeError } from './errors.ts'
import { createHealth } from './health.ts'
import { isId } from './model/id.ts'
import { whereToLook } from './run/where-to-look.ts'
import { insertDeliveries } from './store/deliveries.ts'
import { createWebhookRoute, type ProjectSecret } from './webhook/route.ts'

/** The HTTP face: webhook, API, health, metrics. Config in, nothing read from the environment. */
export async function createApp(context: Context): Promise<Hono> {
  const { config, metrics } = context
  const health = createHealth(context)
  const app = new Hono()

  if (config.gitlab.webhook) app.route('/', await webhookRoute())
  else
    app.all('/webhooks/*', c =>
      c.json({ error: 'webhooks are off here (gitlab.webhook: off): heads and merge requests are looked at' }, 404),
    )

  async function webhookRoute(): Promise<Hono> {
    const secrets = await projectSecrets(context)
    return createWebhookRoute({
      secretsFor: () => secrets,
      botIds: context.botIds,
      evidenceBranch: path => projectFor(config, path)?.evidence.branch ?? '',
      projectKnown: path => projectFor(config, path) !== null,
      async insert(batch) {
        try {
          const stored = await insertDeliveries(context.db, batch)
          health.stored(null)
          return stored
        } catch (error) {
          health.stored(error)
          throw error
        }
      },
      wake: () => context.wake.call('deliveries'),
      now: () => context.clock.now(),
      log: (fields, message) => context.log.info({ step: 'webhook', ...fields }, message),
      count: (_, labels) => metrics.deliveries.inc({ result: labels.result ?? '', kind: labels.kind ?? '' }),
    })
  }

  /** Alive: the event loop turns. Nothing else is asked, so that a sick peer never gets a healthy process killed. */
  app.get('/healthz', c => c.json({ status: 'ok' }))

  app.get('/readyz', async c => {
    const state = await health.readiness()
    return c.json(state, state.ready ? 200 : 503)
  })

  app.get('/metrics', async c => {
    await health.gauge()
    return c.text(await metrics.registry.metrics(), 200, { 'content-type': metrics.registry.contentType })
  })

  const door = doorOf(context)
  /** Where statuses and notes point while there are no pages: on to the page in GitLab, which knows who may see it. */
  if (config.dashboard === null) {
    app.get('/runs/:id/*', toGitLab)
    app.get('/runs/:id', toGitLab)
  }
  async function toGitLab(c: HonoContext): Promise<Response> {
    const id = c.req.param('id') ?? ''
    const url = isId(id) ? await whereToLook(context, id) : null
    return url === null ? c.json({ error: 'there is no such run' }, 404) : c.redirect(url)
  }

  const api = createApi(context, door)
  app.route('/', api)
  app.route('/', createBridge(context))
  const dashboard = createDashboard(
    context,
    door,
    async () => (await api.request('/openapi.json')).json() as Promise<ApiDescription>,
  )
  // Last, so that what it demands of its pages is demanded of nothing else.
  if (dashboard === null) app.get('/', c => c.html(frontPage(config.gitlab.url)))
  else app.route('/', dashboard)
  app.notFound(c => c.json({ error: `nothing is at ${c.req.path}` }, 404))
  app.onError((error, c) => {
    context.log.error({ step: 'http', path: c.req.path, err: describeError(error) }, 'request failed')
    return c.json({ error: 'this did not work; the log says why' }, 500)
  })
  return app
}

/** Every configured secret with the projects it may speak for. A project's own replaces the instance's. */
async function projectSecrets(context: Context): Promise<ProjectSecret[]> {
  const { gitlab, projects: rules } = context.config
  const read = async (secret: { read(): Promise<string> } | null) => (secret === null ? null : await secret.read())
  const own = rules.filter(rule => rule.webhookSecret !== null || rule.webhookSigningToken !== null)
  const secrets: ProjectSecret[] = []
  for (const rule of own) {
    secrets.push({
      token: await read(rule.webhookSecret),
      signingToken: await read(rule.webhookSigningToken),
      matches: path => projectFor(context.config, path) === rule && matchGlob(rule.path, path),
    })
  }
  if (gitlab.webhookSecret !== null || gitlab.webhookSigningToken !== null) {
    secrets.push({
      token: await read(gitlab.webhookSecret),
      signingToken: await read(gitlab.webhookSigningToken),
      matches: path => {
        const rule = projectFor(context.config, path)
        return rule !== null && !own.includes(rule)
      },
    })
  }
  return secrets
}

function frontPage(gitlabUrl: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ComputationalOps</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>ComputationalOps</h1>
<p>This service runs the computations of <a href="${gitlabUrl.replaceAll('"', '%22').replaceAll('<', '%3C')}">GitLab</a> on a cluster. Push a branch with a <code>.compops.yml</code>:
its state shows on the commit and the merge request, its evidence on the branch <code>compops/evidence</code>.</p>
<p><a href="/readyz">Is everything well?</a> · <a href="/metrics">metrics</a></p></html>`
}
