import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Acknowledged {
  readonly key: string
  readonly event: string
  readonly answer: string
  readonly at: Date
}

export interface FrontDoor {
  readonly url: string
  /** Every delivery that was answered 2xx: from then on GitLab has forgotten it, and we may not. */
  readonly acknowledged: Acknowledged[]
  /** Those that reached nobody, or whose answer was lost. */
  failed(): number
  close(): Promise<void>
}

export interface FrontDoorOptions {
  /** Ports of the service and its replicas; the first that answers takes a request, beginning with another one each time. */
  readonly ports: readonly number[]
  readonly onForward?: () => void
  readonly onAnswer?: () => void
}

/** A reverse proxy between GitLab and the service, as sites have one; it writes down what was acknowledged. */
export async function openFrontDoor(options: FrontDoorOptions): Promise<FrontDoor> {
  const acknowledged: Acknowledged[] = []
  let failures = 0
  let turn = 0

  const server = createServer(async (incoming, outgoing) => {
    const body = await read(incoming)
    turn++
    for (let tried = 0; tried < options.ports.length; tried++) {
      const port = options.ports[(turn + tried) % options.ports.length]!
      const answer = await forward(port, incoming, body, options.onForward)
      // Nobody was there: another may be. What was begun is never sent twice.
      if (answer === 'refused') continue
      if (answer === 'lost') break
      if (answer.status >= 200 && answer.status < 300) {
        const { headers } = incoming
        const key = String(headers['webhook-id'] ?? headers['idempotency-key'] ?? '')
        acknowledged.push({ key, event: String(headers['x-gitlab-event']), answer: answer.body, at: new Date() })
        options.onAnswer?.()
      } else failures++
      outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
      return
    }
    failures++
    outgoing.writeHead(502).end('nobody is there')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    acknowledged,
    failed: () => failures,
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function read(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

function forward(
  port: number,
  incoming: IncomingMessage,
  body: Buffer,
  onForward?: () => void,
): Promise<{ status: number; body: string } | 'refused' | 'lost'> {
  return new Promise(resolve => {
    const { method, url, headers } = incoming
    const sent = request({ host: '127.0.0.1', port, method, path: url, headers, agent: false, timeout: 9_000 })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'lost'))
    sent.on('response', answer => {
      read(answer).then(
        text => resolve({ status: answer.statusCode ?? 0, body: text.toString() }),
        () => resolve('lost'),
      )
    })
    sent.on('socket', socket => socket.once('connect', () => onForward?.()))
    sent.end(body)
  })
}
