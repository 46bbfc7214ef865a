/**
 * Bodies over 1 MiB are parsed in a thread of their own: a push of 20 commits that touch ten thousand files is honest and must count,
 * and 25 MB of JSON hold the event loop for 50 ms and more. One at a time; only authentic bodies get here.
 */
import { Worker } from 'node:worker_threads'
import type { Event } from '../model/event.ts'

export const largeBody = 1024 * 1024

let last: Promise<unknown> = Promise.resolve()

/** Takes the bytes away from the caller. Never rejects: a body that cannot be read in time is an event with its reason. */
export function parseLarge(bytes: Uint8Array<ArrayBuffer>, eventHeader: string, deadline = 5_000): Promise<Event> {
  const size = bytes.byteLength
  const parsed = last.then(() => parseInThread(bytes, eventHeader, deadline)).catch(() => tooMuch(size))
  last = parsed
  return parsed
}

function parseInThread(bytes: Uint8Array<ArrayBuffer>, eventHeader: string, deadline: number): Promise<Event> {
  const worker = new Worker(new URL('./parse-thread.ts', import.meta.url), {
    workerData: { bytes, eventHeader },
    transferList: [bytes.buffer],
    resourceLimits: { maxOldGenerationSizeMb: 1024 },
  })
  const timer = setTimeout(() => void worker.terminate(), deadline)
  return new Promise<Event>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the thread ended without an answer')))
  }).finally(() => {
    clearTimeout(timer)
    void worker.terminate()
  })
}

function tooMuch(size: number): Event {
  const mebibytes = (size / 1024 / 1024).toFixed(1)
  return {
    kind: 'other',
    projectId: null,
    projectPath: null,
    reason: `a body of ${mebibytes} MiB that could not be read in time`,
  }
}
