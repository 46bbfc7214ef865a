import { createServer } from 'node:net'

// Test files run side by side: each process tries ports of its own, one after another, and none twice.
const slice = 10_000 + (process.pid % 100) * 200
let next = Math.floor(Math.random() * 200)

/** Free now, and below the range that the kernel gives to others: the service may be stopped and started on it. */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = slice + (next++ % 200)
    const server = createServer()
    const free = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}
