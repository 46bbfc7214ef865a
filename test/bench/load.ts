/**
 * Run as a child process: posts pushes in a closed loop over kept connections and sends back what it measured. Raw sockets, since the
 * generator shares the cores with the server it measures.
 */
import { connect } from 'node:net'
import { deliveryHeaders } from '../webhook/deliver.ts'
import { pushBody, signingToken, token } from './push.ts'

export interface LoadOrder {
  readonly port: number
  readonly seconds: number
  readonly connections: number
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

async function post({ port, seconds, connections }: LoadOrder): Promise<LoadResult> {
  const latencies: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  await Promise.all(Array.from({ length: connections }, () => loop(port, end, latencies)))
  const took = performance.now() - started
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return { perSecond: (latencies.length * 1000) / took, p50: at(0.5), p99: at(0.99) }
}

/** One connection: the next request leaves when the answer to the last one is whole. */
function loop(port: number, end: number, latencies: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let sent = 0
    let answer = ''
    const send = () => {
      sent = performance.now()
      socket.write(request())
    }
    socket.setEncoding('latin1')
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a connection')))
    socket.on('data', chunk => {
      answer += chunk
      const rest = afterAnswer(answer)
      if (rest === null) return
      if (!answer.startsWith('HTTP/1.1 200 ') || !rest.includes('"accepted"')) {
        reject(new Error(`the route answered: ${answer.slice(0, 300)}`))
        socket.destroy()
        return
      }
      answer = ''
      const now = performance.now()
      latencies.push(now - sent)
      if (now < end) return send()
      socket.removeAllListeners('close')
      socket.destroy()
      resolve()
    })
  })
}

/** Every one a delivery of its own, signed now, as GitLab sends it. */
function request(): string {
  const headers = deliveryHeaders(pushBody, { token, signingToken })
  let text = 'POST /webhooks/gitlab HTTP/1.1\r\nHost: 127.0.0.1\r\n'
  for (const name in headers) text += `${name}: ${headers[name]}\r\n`
  return `${text}Content-Length: ${Buffer.byteLength(pushBody)}\r\n\r\n${pushBody}`
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
