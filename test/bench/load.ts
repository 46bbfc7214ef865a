/**
 * Run as a child process: posts deliveries over kept connections, in a closed loop or at a rate, and sends back what it measured. Raw sockets, since
 * the generator shares the cores with the server it measures.
 */
import { connect } from 'node:net'
import { deliveryHeaders } from '../webhook/deliver.ts'
import { pushBody, signingToken, token } from './push.ts'

export interface LoadOrder {
  readonly port: number
  readonly seconds: number
  readonly connections: number
  /** Requests a second, whatever the answers do (an open loop); left out, each connection sends when it was answered. */
  readonly rate?: number
  /** In turn; default: a signed push. */
  readonly bodies?: readonly string[]
  readonly token?: string
}

export interface LoadResult {
  readonly perSecond: number
  /** ms */
  readonly p50: number
  readonly p99: number
}

process.on('disconnect', () => process.exit())
process.on('message', (order: LoadOrder) => {
  post(order).then(
    result => process.send?.({ result }),
    error => process.send?.({ error: String(error) }),
  )
})

async function post(order: LoadOrder): Promise<LoadResult> {
  const latencies: number[] = []
  const started = performance.now()
  if (order.rate === undefined) await inLoops(order, started + order.seconds * 1000, latencies)
  else await atRate(order, order.rate, latencies)
  const took = performance.now() - started
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return { perSecond: (latencies.length * 1000) / took, p50: at(0.5), p99: at(0.99) }
}

async function inLoops(order: LoadOrder, end: number, latencies: number[]): Promise<void> {
  await Promise.all(
    Array.from({ length: order.connections }, async () => {
      const line = await openLine(order.port)
      // The next request leaves when the answer to the last one is whole.
      for (let now = performance.now(); now < end; ) {
        await line.ask(request(order))
        latencies.push(performance.now() - now)
        now = performance.now()
      }
      line.close()
    }),
  )
}

/** Each at its own time; what is late counts from when it should have left, so that a stall is not left out. */
async function atRate(order: LoadOrder, rate: number, latencies: number[]): Promise<void> {
  const idle = await Promise.all(Array.from({ length: order.connections }, () => openLine(order.port)))
  const all = new Set(idle)
  const open: Promise<void>[] = []
  const total = Math.round(order.seconds * rate)
  const started = performance.now()
  for (let n = 0; n < total; ) {
    const late = performance.now() - started - (n * 1000) / rate
    if (late < 0) {
      await new Promise(resolve => setTimeout(resolve, Math.ceil(-late)))
      continue
    }
    const due = started + (n * 1000) / rate
    n++
    open.push(
      (async () => {
        const line = idle.pop() ?? (await openLine(order.port))
        all.add(line)
        await line.ask(request(order))
        latencies.push(performance.now() - due)
        idle.push(line)
      })(),
    )
  }
  await Promise.all(open)
  for (const line of all) line.close()
}

interface Line {
  /** Resolves when the answer is whole; rejects unless it says that the delivery was stored. */
  ask(text: string): Promise<void>
  close(): void
}

function openLine(port: number): Promise<Line> {
  return new Promise((opened, failed) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let answer = ''
    let waiting: { resolve(): void; reject(error: Error): void } | null = null
    const fail = (error: Error) => {
      failed(error)
      waiting?.reject(error)
    }
    socket.setEncoding('latin1')
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the server closed a connection')))
    socket.on('data', chunk => {
      answer += chunk
      const rest = afterAnswer(answer)
      if (rest === null) return
      const good = answer.startsWith('HTTP/1.1 200 ') && /"result":"(accepted|ignored: )/.test(rest)
      if (good) waiting?.resolve()
      else waiting?.reject(new Error(`the route answered: ${answer.slice(0, 300)}`))
      answer = ''
    })
    socket.on('connect', () =>
      opened({
        ask: text =>
          new Promise((resolve, reject) => {
            waiting = { resolve, reject }
            socket.write(text)
          }),
        close() {
          socket.removeAllListeners('close')
          socket.destroy()
        },
      }),
    )
  })
}

let made = 0

/** Every one a delivery of its own, signed now, as GitLab sends it. */
function request({ bodies, token: sent = token }: LoadOrder): string {
  const body = bodies === undefined ? pushBody : bodies[made++ % bodies.length]!
  const event = body.includes('"tag_push"') ? 'Tag Push Hook' : 'Push Hook'
  const headers = deliveryHeaders(body, { token: sent, event, signingToken })
  let text = 'POST /webhooks/gitlab HTTP/1.1\r\nHost: 127.0.0.1\r\n'
  for (const name in headers) text += `${name}: ${headers[name]}\r\n`
  return `${text}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** The body of a whole answer, else null. */
function afterAnswer(text: string): string | null {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return null
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head))?.[1]
  if (length === undefined) throw new Error(`an answer without Content-Length: ${text.slice(0, 300)}`)
  const body = text.slice(head + 4)
  return body.length < Number(length) ? null : body
}
