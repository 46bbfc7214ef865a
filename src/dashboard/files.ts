import type { Hono } from 'hono'
import { noSuch } from '../auth/access.ts'
import { Refusal } from '../auth/refusal.ts'
import { isId } from '../model/id.ts'
import { largestPiece, piecesOf } from '../model/results.ts'
import { readForPerson } from '../results/log-piece.ts'
import { jobsOf } from '../store/runs.ts'
import type { Way } from './dashboard.ts'
import { sandbox } from './safety.ts'

/** Pictures that a browser may show; SVG is none, it can hold scripts. */
const pictures: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
}

/** What jobs printed and left behind: bytes of others, which are never a page. */
export function addFiles(app: Hono, { site, visitorOf, refuse }: Way): void {
  const { context, desk, log } = site

  app.get('/runs/:run/jobs/:job/log', async c => {
    try {
      const { caller } = await visitorOf(c)
      const { run } = await desk.run(caller, c.req.param('run'))
      const job = (await jobsOf(context.db, run.id)).find(one => one.name === c.req.param('job'))
      if (job === undefined) throw noSuch(`job in run ${run.id}`)
      const number = (name: string, least: number, most: number, otherwise: number) => {
        const value = Number(c.req.query(name) ?? otherwise)
        return Number.isSafeInteger(value) ? Math.min(most, Math.max(least, value)) : otherwise
      }
      const task = c.req.query('task') === undefined ? undefined : number('task', 0, 4_000_000, 0)
      const attempt = c.req.query('attempt')
      const answer = await log(
        job,
        {
          ...{ attempt: attempt !== undefined && isId(attempt) ? attempt : undefined, task },
          offset: number('offset', -1e15, 1e15, -65_536),
          bytes: number('bytes', 1, largestPiece, 262_144),
          wait: number('wait', 0, 25, 0),
          range: c.req.header('range') ?? null,
        },
        c.req.raw.signal,
      )
      answer.headers.set('content-security-policy', sandbox)
      return answer
    } catch (error) {
      return plainly(error) ?? refuse(c, error, null)
    }
  })

  app.get('/attempts/:attempt/file', async c => {
    try {
      const { caller } = await visitorOf(c)
      const { attempt } = await desk.attempt(caller, c.req.param('attempt'))
      const place = piecesOf.find(one => one === c.req.query('in'))
      const path = c.req.query('path') ?? ''
      if (place === undefined) throw new Refusal(400, 'Of which place? `in` is missing')
      const wanted = { attempt: attempt.id, in: place, path, task: undefined, bytes: largestPiece }
      const piece = (offset: number) => readForPerson(context, { ...wanted, offset })
      const begin = await piece(0)
      if ('problem' in begin) throw new Refusal(404, `${path} ${begin.problem}`)
      const name = path.split('/').at(-1) ?? 'file'
      const picture =
        c.req.query('show') === undefined ? undefined : pictures[name.split('.').at(-1)?.toLowerCase() ?? '']
      const headers = {
        'content-security-policy': sandbox,
        'content-type': picture ?? 'application/octet-stream',
        'content-disposition':
          picture === undefined ? `attachment; filename*=UTF-8''${encodeURIComponent(name)}` : 'inline',
        'content-length': String(begin.size),
      }
      let sent = 0
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const next = sent === 0 ? begin : await piece(sent)
          if ('problem' in next) return controller.error(new Error(next.problem))
          // Not more than was said, although the file may have grown meanwhile.
          const bytes = new Uint8Array(next.bytes).subarray(0, begin.size - sent)
          sent += bytes.length
          if (bytes.length > 0) controller.enqueue(bytes)
          if (sent >= begin.size || bytes.length === 0) controller.close()
        },
      })
      return new Response(body, { headers })
    } catch (error) {
      return plainly(error) ?? refuse(c, error, null)
    }
  })
}

function plainly(error: unknown): Response | null {
  if (!(error instanceof Refusal) || error.status === 401) return null
  return new Response(`${error.message}\n`, {
    status: error.status,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  })
}
