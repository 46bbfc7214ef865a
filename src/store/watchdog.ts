import { Worker } from 'node:worker_threads'

export interface Watchdog {
  stop(): Promise<void>
}

/**
 * Run by the worker thread, as text: a file would have to be compiled once more. It counts its own ticks, never the time: a machine that slept
 * has not been silent. SIGKILL, since a main thread that hangs in the database hears nothing else.
 */
const program = `
const { workerData: { shared, tick, ticks, last } } = require('node:worker_threads')
const state = new Int32Array(shared)
let seen = -1
let silent = 0
while (Atomics.wait(state, 1, 0, tick) === 'timed-out') {
  const now = Atomics.load(state, 0)
  silent = now === seen ? silent + 1 : 0
  seen = now
  if (silent < ticks) continue
  require('node:fs').writeSync(2, last)
  process.kill(process.pid, 'SIGKILL')
}
`

/**
 * Ends the process when its event loop has not turned for `silence` ms: the embedded database runs in the main thread, and on a full disk it can
 * block it for ever. Whatever supervises the process starts it again, and nothing that was acknowledged is lost.
 */
export function startWatchdog(options: { readonly silence?: number } = {}): Watchdog {
  const { silence = 60_000 } = options
  const ticks = 30
  const shared = new SharedArrayBuffer(8)
  const state = new Int32Array(shared)
  const last = `compops: the process has not answered for ${silence / 1000} s and is ended (a full disk under the embedded database does that); start it again, nothing is lost\n`
  const worker = new Worker(program, {
    eval: true,
    name: 'watchdog',
    workerData: { shared, tick: silence / ticks, ticks, last },
    // None of ours: what the process was started with is for its main thread.
    execArgv: [],
    env: {},
    // Measured: with 4 MB it does not start. What it costs is 10 MB of our own and 7 MB of Node's code, whatever stands here.
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
  })
  worker.once('error', error => process.emitWarning(`the watchdog has ended: ${error.message}`))
  worker.unref()
  const beat = setInterval(() => Atomics.add(state, 0, 1), silence / ticks / 2)
  beat.unref()
  return {
    async stop() {
      clearInterval(beat)
      Atomics.store(state, 1, 1)
      Atomics.notify(state, 1)
      await worker.terminate()
    },
  }
}
