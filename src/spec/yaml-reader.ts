import { Worker } from 'node:worker_threads'
import type { LocateResult } from '../config/yaml.ts'

export type YamlAnswer =
  | { readonly kind: 'read'; readonly result: LocateResult }
  /** The deadline passed; the thread was ended. */
  | { readonly kind: 'too slow'; readonly seconds: number }
  /** The thread ended twice over this text (out of memory, most likely). */
  | { readonly kind: 'crashed' }

/** Reads YAML off the event loop, one text after the other, in one thread that is kept and replaced when it hangs or dies. */
export interface YamlReader {
  read(text: string): Promise<YamlAnswer>
  close(): Promise<void>
}

export interface YamlReaderOptions {
  /** Milliseconds of the processor for one text: a machine that has other things to do must not make an honest file look hostile. */
  readonly deadline?: number
  readonly worker?: URL
}

const bootDeadline = 30_000

export function createYamlReader(options: YamlReaderOptions = {}): YamlReader {
  const deadline = options.deadline ?? 2_000
  const file = options.worker ?? new URL('./yaml-worker.ts', import.meta.url)
  let kept: Worker | null = null
  let last: Promise<unknown> = Promise.resolve()

  async function open(): Promise<Worker | null> {
    if (kept !== null) return kept
    const worker = new Worker(file, {
      name: 'yaml',
      // Nothing of the service's environment or flags belongs into a thread that handles strangers' text.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    })
    // An error that arrives while nobody waits must not end the process.
    worker.on('error', () => undefined)
    worker.once('exit', () => {
      if (kept === worker) kept = null
    })
    const ready = await nextMessage(worker, bootDeadline)
    if (ready.kind !== 'message') {
      await worker.terminate()
      return null
    }
    kept = worker
    return worker
  }

  async function attempt(text: string): Promise<YamlAnswer> {
    const worker = await open()
    if (worker === null) return { kind: 'crashed' }
    worker.ref()
    const left = budgetOf(worker, deadline)
    worker.postMessage(text)
    const answer = await nextMessage(worker, deadline, left)
    if (answer.kind === 'message') {
      // An idle thread keeps no process alive.
      worker.unref()
      return { kind: 'read', result: (answer.message as { result: LocateResult }).result }
    }
    kept = null
    await worker.terminate()
    return answer.kind === 'deadline' ? { kind: 'too slow', seconds: deadline / 1_000 } : { kind: 'crashed' }
  }

  return {
    read(text) {
      const answer = last.then(async () => {
        const first = await attempt(text)
        return first.kind === 'crashed' ? attempt(text) : first
      })
      last = answer.catch(() => undefined)
      return answer
    },
    async close() {
      await last
      const worker = kept
      kept = null
      await worker?.terminate()
    },
  }
}

/** A thread that is given no time, or that waits for something, is ended all the same, ten times as late. */
const latest = 10

/** How many milliseconds of its `deadline` the thread has left, asked again and again: of the processor, not of the clock on the wall. */
function budgetOf(worker: Worker, deadline: number): () => Promise<number> {
  const began = performance.now()
  const before = spent(worker)
  return async () => {
    if (performance.now() - began > deadline * latest) return 0
    const left = deadline - ((await spent(worker)) - (await before))
    return left <= 0 ? 0 : Math.max(left, deadline / 10)
  }
}

/** Milliseconds of the processor that the thread has had so far; one that has ended says so itself. */
async function spent(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage().catch(() => ({ user: 0, system: 0 }))
  return (user + system) / 1_000
}

type Next = { kind: 'message'; message: unknown } | { kind: 'deadline' } | { kind: 'ended' }

/** `left`, where it is given, may put the deadline off when it has come. */
function nextMessage(worker: Worker, deadline: number, left?: () => Promise<number>): Promise<Next> {
  return new Promise(resolve => {
    let settled = false
    const settle = (next: Next) => {
      settled = true
      clearTimeout(timer)
      worker.off('message', onMessage)
      worker.off('error', onEnd)
      worker.off('messageerror', onEnd)
      worker.off('exit', onEnd)
      resolve(next)
    }
    const onMessage = (message: unknown) => settle({ kind: 'message', message })
    const onEnd = () => settle({ kind: 'ended' })
    const late = async () => {
      const more = (await left?.()) ?? 0
      if (settled) return
      if (more <= 0) settle({ kind: 'deadline' })
      else timer = setTimeout(late, more)
    }
    let timer = setTimeout(late, deadline)
    worker.on('message', onMessage)
    worker.on('error', onEnd)
    worker.on('messageerror', onEnd)
    worker.on('exit', onEnd)
  })
}
