/** The thread of parse-large.ts: bytes in, one small event out. */
import { parentPort, workerData } from 'node:worker_threads'
import { parseBody } from './parse.ts'

const { bytes, eventHeader } = workerData as { bytes: Uint8Array; eventHeader: string }
const headers = new Headers({ 'x-gitlab-event': eventHeader })

parentPort?.postMessage(parseBody(headers, new TextDecoder().decode(bytes)))
