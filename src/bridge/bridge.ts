import { eq, sql } from 'drizzle-orm'
import { Hono, type Context as HonoContext } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { type CiCaller, createCiSignIn, keysOf } from '../auth/ci-token.ts'
import { Refusal } from '../auth/refusal.ts'
import { troubleWithGitLab } from '../auth/sign-in.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { bridgeCalls } from '../model/bridge-calls.ts'
import { stopJobs } from '../run/stop.ts'
import { bindToken, broughtItself, type CiJobRow, findByGate, findCiJob } from '../store/ci-jobs.ts'
import { ciJobs } from '../store/schema.ts'
import { type Answer, refused, toResponse } from './answer.ts'
import { tellJUnit } from './junit.ts'
import type { Form } from './order.ts'
import { keepRefusal } from './refused.ts'
import { projectOf, startForCi } from './start.ts'
import { tellFile, tellFiles, tellMetrics, tellState } from './tell.ts'
import { tellLog } from './tell-log.ts'

/** A form with a script and variables; more belongs into the repository. */
const largestBody = 1024 * 1024

/**
 * `/bridge/v1`: what CI jobs call, with an `id_token` and nothing else. The scripts of `ci-templates/` are its clients. A CI job sees what it asked for itself, and the gate of a
 * pipeline what the job before it asked for.
 */
export function createBridge(context: Context): Hono {
  const { config, clock, db, log, secrets } = context
  const signIn = createCiSignIn({
    audience: config.publicUrl,
    issuer: config.gitlab.url,
    keys: keysOf(config.gitlab.url),
    now: () => clock.now(),
    bind: (caller, holder) =>
      bindToken(db, {
        ...{ jti: caller.jti, holder, expiresAt: caller.expiresAt },
        ...{ projectId: caller.projectId, ciJobId: caller.jobId },
      }),
    refused: (caller, refusal) => keepRefusal(context, caller, {}, refusal),
  })

  const app = new Hono()
  const respond = (c: HonoContext, answer: Answer) =>
    toResponse(answer, c.req.header('accept'), text => secrets.redact(text))
  app.use(
    '/bridge/*',
    bodyLimit({
      maxSize: largestBody,
      onError: c =>
        respond(c, refused(new Refusal(413, 'The request is too large: put large input into the repository'))),
    }),
  )

  function on<Name extends keyof Calls>(name: Name, handle: (asked: Asked<Name>) => Promise<Answer>): void {
    const { method, path, query } = bridgeCalls[name]
    app.on(method.toUpperCase(), `/bridge/v1${path}`, async c => {
      try {
        const caller = await signIn(c.req.raw.headers)
        return respond(c, await handle({ c, caller, query: readQuery(query, c.req.query()) as Asked<Name>['query'] }))
      } catch (thrown) {
        return respond(c, refusalOf(c, thrown))
      }
    })
  }
  function refusalOf(c: HonoContext, thrown: unknown): Answer {
    const error = troubleWithGitLab(thrown)
    if (error instanceof Refusal) {
      context.metrics.ciRefused.inc({ status: String(error.status) })
      if (error.status === 401 || error.status === 403)
        log.info({ step: 'bridge', path: c.req.path, why: error.message }, 'a CI job was refused')
      return refused(error)
    }
    if (error instanceof CompopsError && error.transient) {
      log.warn({ step: 'bridge', path: c.req.path, err: describeError(error) }, 'a CI job could not be served')
      return { status: 503, words: { retry: 5 }, said: error.message }
    }
    log.error({ step: 'bridge', path: c.req.path, err: describeError(error) }, 'a request of a CI job failed')
    return { status: 500, words: {}, said: 'this did not work; the log of the service says why' }
  }

  /** What the asking job is about: its own order, or with `gate` that of the job before it in its pipeline. */
  async function orderOf(c: HonoContext, caller: CiCaller): Promise<CiJobRow & { runId: string }> {
    await projectOf(context, caller)
    const gate = c.req.query('gate')
    if (gate?.includes('\0') === true) throw new Refusal(422, 'gate holds a NUL byte, which is no text')
    const row =
      gate === undefined
        ? await findCiJob(db, caller.projectId, caller.jobId)
        : await findByGate(db, caller.projectId, caller.pipelineId, gate)
    if (row?.runId == null)
      throw new Refusal(
        404,
        gate === undefined
          ? 'This CI job has asked for nothing yet'
          : `No job of this pipeline has handed anything over for ${gate}: the job that does (\`mode: gate\`) must come before it`,
      )
    return row as CiJobRow & { runId: string }
  }

  on('start', async ({ c, caller }) => {
    const form = await formOf(c)
    try {
      return await tellState(context, await startForCi(context, caller, form))
    } catch (error) {
      await keepRefusal(context, caller, form, error)
      throw error
    }
  })
  on('state', async ({ c, caller }) => {
    const row = await orderOf(c, caller)
    await heard(row, caller)
    const { jobs: _, ...answer } = await tellState(context, row)
    // Somebody has played it before its time: when the time has come it is played again.
    if (row.ciJobId !== caller.jobId && answer.words.ended === false)
      await db.update(ciJobs).set({ gateEarly: true, nextAt: sql`now()` }).where(eq(ciJobs.id, row.id))
    return answer
  })
  on('log', async ({ c, caller, query }) => {
    const row = await orderOf(c, caller)
    await heard(row, caller)
    const { job, attempt, offset, room = Number.POSITIVE_INFINITY, after = null } = query
    return tellLog(context, row, { job, attempt, offset, room, after })
  })
  on('files', async ({ c, caller }) => tellFiles(context, await orderOf(c, caller)))
  on('file', async ({ c, caller, query }) => tellFile(context, await orderOf(c, caller), query.number, query.offset))
  on('metrics', async ({ c, caller }) => tellMetrics(context, await orderOf(c, caller)))
  on('junit', async ({ c, caller }) => tellJUnit(context, await orderOf(c, caller)))
  on('cancel', async ({ c, caller, query }) => {
    const row = await orderOf(c, caller)
    // A job that was given up, not cancelled, ends only what it started itself.
    if (query.status === 'failed' && !(await broughtItself(db, row)))
      return { words: { canceled: 0 }, said: 'What a push has started goes on' }
    const { jobs } = await tellState(context, row)
    const reason = `CI job ${row.ciJobId} (${row.name}) was cancelled`
    const names = await stopJobs(context, { jobs: jobs.map(job => job.id) }, reason)
    context.audit.record({
      act: 'ci job cancelled',
      by: caller.person.username,
      run: row.runId,
      result: names.join(', '),
    })
    return {
      words: { canceled: names.length },
      said: names.length === 0 ? 'Everything had ended' : `cancelled: ${names.join(', ')}`,
    }
  })
  app.all('/bridge/*', c => respond(c, refused(new Refusal(404, `nothing is at ${c.req.method} ${c.req.path}`))))
  return app

  /** An attached job is there as long as it asks; written seldom, since it asks often. */
  async function heard(row: CiJobRow, caller: CiCaller): Promise<void> {
    if (row.ciJobId !== caller.jobId) return
    await db
      .update(ciJobs)
      .set({ heardAt: sql`now()` })
      .where(sql`${ciJobs.id} = ${row.id} and ${ciJobs.heardAt} < now() - interval '15 seconds'`)
  }
}

type Calls = typeof bridgeCalls
interface Asked<Name extends keyof Calls> {
  readonly c: HonoContext
  readonly caller: CiCaller
  readonly query: { readonly [K in keyof Calls[Name]['query']]: z.output<Calls[Name]['query'][K]> }
}

/** Throws Refusal 400. What is not known is passed over: a template may be newer than the service. */
function readQuery(shape: Readonly<Record<string, z.ZodType>>, given: Readonly<Record<string, string>>): unknown {
  const read = z.object(shape).safeParse(given)
  if (read.success) return read.data
  const wrong = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new Refusal(400, `The request is not understood: ${wrong.join('; ')}`)
}

async function formOf(c: HonoContext): Promise<Form> {
  const text = await c.req.text()
  const form: Record<string, string> = Object.create(null)
  for (const [name, value] of new URLSearchParams(text)) form[name] = value
  return form
}
