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
  /** Milliseconds for one text, counted from when the thread takes it. */
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
    worker.postMessage(text)
    const answer = await nextMessage(worker, deadline)
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

type Next = { kind: 'message'; message: unknown } | { kind: 'deadline' } | { kind: 'ended' }

function nextMessage(worker: Worker, deadline: number): Promise<Next> {
  return new Promise(resolve => {
    const settle = (next: Next) => {
      clearTimeout(timer)
      worker.off('message', onMessage)
      worker.off('error', onEnd)
      worker.off('messageerror', onEnd)
      worker.off('exit', onEnd)
      resolve(next)
    }
    const onMessage = (message: unknown) => settle({ kind: 'message', message })
    const onEnd = () => settle({ kind: 'ended' })
    const timer = setTimeout(() => settle({ kind: 'deadline' }), deadline)
    worker.on('message', onMessage)
    worker.on('error', onEnd)
    worker.on('messageerror', onEnd)
    worker.on('exit', onEnd)
  })
}
