import { connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** `up` is from the client to the server, `down` the answers. */
export type Direction = 'up' | 'down' | 'both'

export interface TcpProxy {
  host: string
  port: number
  /** Connections accepted so far. */
  connections(): number
  /** From now on what is sent goes nowhere and nobody is told: a half-open link. */
  freeze(direction?: Direction): void
  /** What was held back is delivered, and all flows again. */
  thaw(): void
  /** Milliseconds added to everything sent in that direction from now on. */
  delay(ms: number, direction?: Direction): void
  /** Calls back once, when so many more bytes have passed in that direction: for what happens in the middle of something. */
  after(bytes: number, direction: 'up' | 'down', call: () => void): void
  /** Breaks all connections, without a goodbye. */
  cut(): void
  /** Whether new connections are accepted; refused ones are closed at once. */
  accept(yes: boolean): void
  stop(): Promise<void>
}

/** A TCP proxy on a free loopback port, for stories about bad links. */
export async function startProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const frozen = { up: false, down: false }
  const delays = { up: 0, down: 0 }
  const links = new Set<{ cut(): void; flow(): void }>()
  const waiting = new Set<{ bytes: number; direction: 'up' | 'down'; call: () => void }>()
  let connections = 0
  let accepting = true

  /** One direction of one connection: waits its delay, and while frozen for ever. */
  function gate(direction: 'up' | 'down') {
    let release: (() => void) | undefined
    const stream = new Transform({
      transform(chunk, _encoding, done) {
        for (const one of waiting) {
          if (one.direction === direction) one.bytes -= chunk.length
          if (one.bytes <= 0 && waiting.delete(one)) one.call()
        }
        const pass = () => {
          if (frozen[direction]) release = pass
          else done(null, chunk)
        }
        if (delays[direction] > 0) setTimeout(pass, delays[direction])
        else pass()
      },
    })
    return {
      stream,
      flow() {
        const go = release
        release = undefined
        go?.()
      },
    }
  }

  const server = createServer(client => {
    connections++
    client.on('error', () => {})
    if (!accepting) {
      client.destroy()
      return
    }
    const upstream = connect({ host: target.host, port: target.port, noDelay: true })
    upstream.on('error', () => client.destroy())
    client.setNoDelay(true)
    const up = gate('up')
    const down = gate('down')
    const link = {
      cut() {
        for (const socket of [client, upstream]) reset(socket)
        links.delete(link)
      },
      flow() {
        up.flow()
        down.flow()
      },
    }
    links.add(link)
    client.pipe(up.stream).pipe(upstream)
    upstream.pipe(down.stream).pipe(client)
    client.on('close', () => {
      links.delete(link)
      if (!frozen.up) upstream.destroy()
    })
    upstream.on('close', () => {
      if (!frozen.down) client.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  const sides = (direction: Direction) => (direction === 'both' ? (['up', 'down'] as const) : [direction])
  return {
    host: '127.0.0.1',
    port: address.port,
    connections: () => connections,
    freeze(direction = 'both') {
      for (const side of sides(direction)) frozen[side] = true
    },
    thaw() {
      frozen.up = false
      frozen.down = false
      for (const link of links) link.flow()
    },
    delay(ms, direction = 'both') {
      for (const side of sides(direction)) delays[side] = ms
    },
    after(bytes, direction, call) {
      waiting.add({ bytes, direction, call })
    },
    cut() {
      for (const link of [...links]) link.cut()
    },
    accept(yes) {
      accepting = yes
    },
    async stop() {
      for (const link of [...links]) link.cut()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

function reset(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy()
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
