import { Hono, type Context as HonoContext } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { getCookie } from 'hono/cookie'
import { addressOf } from '../auth/address.ts'
import type { Door } from '../auth/door.ts'
import { openGitLabSignIn } from '../auth/oauth.ts'
import { Refusal } from '../auth/refusal.ts'
import { createAuditRefused } from '../auth/refused.ts'
import { openSessions } from '../auth/session.ts'
import { troubleWithGitLab } from '../auth/sign-in.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { formatTime } from '../render/amounts.ts'
import { createLogReader } from '../results/log-reader.ts'
import { isStoreError } from '../store/open.ts'
import { addActs } from './acts.ts'
import { loadAssets } from './assets.ts'
import { addFiles } from './files.ts'
import { addHoldActs } from './hold-acts.ts'
import { addLaunch } from './launch.ts'
import { addLive } from './live.ts'
import { type Page, sections, stamp } from './page.ts'
import { pages } from './pages/index.ts'
import { type Desk, decoded, type Site } from './pages/site.ts'
import { secure } from './safety.ts'
import { takeSaid } from './said.ts'
import { addSignIn } from './sign-in.ts'
import { Html, render } from './template.ts'
import { cookiesFor, createRecognise, type Visitor } from './visitor.ts'

/** The pages: on the same port as everything else, shown by the same desk as the API. `null` where the site wants none. */
export function createDashboard(context: Context, door: Door, api: Site['api']): Hono | null {
  const { config, clock, db } = context
  const settings = config.dashboard
  if (settings === null) return null
  const cookies = cookiesFor(config.publicUrl)
  const gitlab =
    settings.kind === 'open'
      ? null
      : openGitLabSignIn({
          ...{ gitlabUrl: config.gitlab.url, publicUrl: config.publicUrl, ...settings },
          ...{ now: () => clock.now().getTime(), deadline: config.gitlab.timeout },
        })
  const sessions = gitlab === null ? null : openSessions(db, gitlab, () => clock.now().getTime())
  const recognise = createRecognise(context, door, { sessions, cookies })
  const assets = loadAssets()
  const auditRefused = createAuditRefused(context)
  const base = new URL(config.publicUrl).pathname.replace(/\/$/, '')
  const site: Site = { context, base, desk: door.desk as Desk, log: createLogReader(context), api }

  const app = new Hono()
  app.use('*', async function keepSafe(c, next) {
    await next()
    secure(c.res.headers)
  })
  app.use('*', bodyLimit({ maxSize: 64 * 1024, onError: c => c.text('Too large', 413) }))

  for (const asset of Object.values(assets))
    app.get(asset.path, c =>
      c.body(asset.body, 200, { 'content-type': asset.type, 'cache-control': 'public, max-age=31536000, immutable' }),
    )

  async function visitorOf(c: HonoContext): Promise<Visitor> {
    try {
      return await recognise(c)
    } catch (error) {
      throw troubleWithGitLab(error)
    }
  }

  /** What stands at an address, or null. */
  async function pageAt(url: URL, visitor: Visitor): Promise<Page | null> {
    for (const one of pages) {
      const found = one.at.exec(url.pathname)
      if (found !== null)
        return one.show(site, visitor, { params: found.slice(1).map(decoded), query: url.searchParams })
    }
    return null
  }

  function layout(c: HonoContext, visitor: Visitor | null, page: Page, status = 200): Response {
    const now = clock.now()
    const regions = Object.fromEntries(
      page.regions.map(one => [one.id, new Html(`<div class="region" id="r-${one.id}">${one.html}</div>`)]),
    )
    const shared = { base, now, zone: config.timeZone }
    const body = new Html(render(page.template, { ...shared, ...page.view, regions }))
    const shown = sections.filter(name => name !== 'load' || visitor?.admin === true)
    const navigation = shown.map(name => ({
      ...{ name, label: name[0]!.toUpperCase() + name.slice(1), here: name === page.section },
      href: `${base}${name === 'overview' ? '/' : name === 'scheduler' ? '/jobs' : `/${name}`}`,
    }))
    const said = visitor === null ? null : takeSaid(c, cookies)
    const html = render('layout', {
      ...shared,
      ...{ title: page.title, body, navigation: visitor === null ? [] : navigation, assets, said },
      gitlab: config.gitlab.url,
      person: visitor === null || visitor.open ? null : visitor.caller.person,
      open: visitor?.open === true,
      formToken: visitor?.formToken ?? '',
      live: status === 200 && page.regions.length > 0 ? stamp(page.regions) : null,
      asOf: formatTime(now, config.timeZone, { seenFrom: now, seconds: true }),
    })
    return c.html(context.secrets.redact(html), status as 200)
  }

  function refuse(c: HonoContext, thrown: unknown, visitor: Visitor | null): Response {
    const error = troubleWithGitLab(thrown)
    if (error instanceof Refusal) {
      if (c.req.method !== 'GET' && error.status < 429)
        auditRefused(error, {
          by: visitor === null || visitor.open ? null : visitor.caller.person.username,
          ...{ what: `${c.req.method} ${c.req.path}`, address: addressOf(c) },
        })
      if (error.status === 401) {
        const back = c.req.method === 'GET' ? `?to=${encodeURIComponent(pathOf(c))}` : ''
        return c.redirect(`${base}/sign-in${back}`, 303)
      }
      return layout(c, visitor, trouble(error.status, error.message), error.status)
    }
    if (error instanceof CompopsError && error.transient && !isStoreError(error)) {
      context.log.warn({ step: 'dashboard', path: c.req.path, err: describeError(error) }, 'a page waits for a peer')
      return layout(c, visitor, trouble(503, `${error.message}. Nothing is lost; try again in a little while.`), 503)
    }
    context.log.error({ step: 'dashboard', path: c.req.path, err: describeError(error) }, 'a page could not be shown')
    if (isStoreError(error))
      return layout(
        c,
        visitor,
        trouble(503, 'The database does not answer at present. Nothing is lost: what runs on clusters goes on.'),
        503,
      )
    return layout(c, visitor, trouble(500, 'This did not work; the log of the service says why.'), 500)
  }

  async function asVisitor(c: HonoContext, work: (visitor: Visitor) => Promise<Response>): Promise<Response> {
    let visitor: Visitor | null = null
    try {
      visitor = await visitorOf(c)
      return await work(visitor)
    } catch (error) {
      return refuse(c, error, visitor)
    }
  }

  const way = { site, cookies, assets, visitorOf, asVisitor, pageAt, layout, refuse }
  addSignIn(app, way, { gitlab, sessions, signIn: door.signIn })
  addLive(app, way)
  addActs(app, way)
  addLaunch(app, way)
  addHoldActs(app, way)
  addFiles(app, way)

  app.get('*', async (c, next) => {
    const url = new URL(c.req.url)
    if (!pages.some(one => one.at.test(url.pathname))) return next()
    let visitor: Visitor | null = null
    try {
      visitor = await visitorOf(c)
      const page = await pageAt(url, visitor)
      if (page === null) return next()
      // Only the piece that a filter changes: the script puts it into the page that is there.
      if (c.req.header('x-compops-piece') !== undefined)
        return c.json({
          title: page.title,
          regions: page.regions.map(({ id, html }) => ({ id, html })),
          stamp: stamp(page.regions),
        })
      return layout(c, visitor, page)
    } catch (error) {
      if (visitor === null && url.pathname === '/' && error instanceof Refusal && error.status === 401)
        return layout(c, null, welcome(getCookie(c, cookies.session) !== undefined))
      return refuse(c, error, visitor)
    }
  })
  return app
}

/** What the routes beside the pages need. */
export interface Way {
  readonly site: Site
  readonly cookies: ReturnType<typeof cookiesFor>
  visitorOf(c: HonoContext): Promise<Visitor>
  /** Answers whoever asks; what goes wrong becomes the page that says so. */
  asVisitor(c: HonoContext, work: (visitor: Visitor) => Promise<Response>): Promise<Response>
  pageAt(url: URL, visitor: Visitor): Promise<Page | null>
  layout(c: HonoContext, visitor: Visitor | null, page: Page, status?: number): Response
  refuse(c: HonoContext, error: unknown, visitor: Visitor | null): Response
}

function pathOf(c: HonoContext): string {
  const { pathname, search } = new URL(c.req.url)
  return `${pathname}${search}`
}

function welcome(ended: boolean): Page {
  return { title: 'Sign in', section: 'overview', template: 'welcome', view: { ended }, regions: [] }
}

function trouble(status: number, message: string): Page {
  const title = status === 404 ? 'Not here' : status === 403 ? 'Not for you' : 'Trouble'
  return { title, section: 'overview', template: 'trouble', view: { title, message }, regions: [] }
}
