import type { RemoteAnswer } from './remote.ts'

const STDERR_KEPT = 64 * 1024
/** How much of what came before the begin marker is kept, for messages. */
const NOISE_KEPT = 2048

/** Finds a program's own output between the markers of {@link LOADER}, chunk by chunk. */
export interface AnswerReader {
  stdout(chunk: Buffer): void
  stderr(chunk: Buffer): void
  /** The process id of the shell around the program; known once the program certainly starts. */
  pid(): number | undefined
  /** Standard output is larger than allowed; what came is of no use. */
  tooLarge(): boolean
  /** Both streams have ended: nothing of the answer can be missing. */
  complete(): boolean
  /** The answer, once the end marker was seen on standard output. */
  answer(): RemoteAnswer | undefined
  /** The last of what came outside the markers, or on standard error: why there is no answer, perhaps. */
  noise(): string
}

/** `take` gets what the program prints as it comes; then nothing of it is kept. */
export function createAnswerReader(nonce: string, maxStdout: number, take?: (bytes: Buffer) => void): AnswerReader {
  const out = createFrame(nonce, maxStdout, take)
  const err = createFrame(nonce, STDERR_KEPT)
  return {
    stdout: out.push,
    stderr: err.push,
    pid: () => out.pid() ?? err.pid(),
    tooLarge: () => out.dropped() > 0,
    complete: () => out.rc() !== undefined && err.rc() !== undefined,
    answer: () => {
      const rc = out.rc()
      return rc === undefined ? undefined : { rc, stdout: out.text(), stderr: err.text() }
    },
    noise: () =>
      [err.pid() !== undefined ? err.text().slice(-NOISE_KEPT) : err.noise(), out.noise()]
        .map(text => text.trim())
        .filter(text => text !== '')
        .join('\n'),
  }
}

/** One stream: noise, begin marker with the process id, content, end marker with the exit code, noise. */
function createFrame(nonce: string, max: number, take?: (bytes: Buffer) => void) {
  const begin = Buffer.from(`compops-begin ${nonce} `)
  const end = Buffer.from(`compops-end ${nonce} `)
  const kept: Buffer[] = []
  let keptBytes = 0
  let dropped = 0
  let noise: Buffer = Buffer.alloc(0)
  let pid: number | undefined
  let rc: number | undefined
  let stage: 'before' | 'begin' | 'inside' | 'end' | 'after' = 'before'
  /** Seen, but not yet understood: perhaps the start of a marker. */
  let pending: Buffer = Buffer.alloc(0)

  function keep(bytes: Buffer): void {
    if (take !== undefined) {
      if (bytes.length > 0) take(bytes)
      return
    }
    const room = Math.min(bytes.length, max - keptBytes)
    if (room > 0) kept.push(bytes.subarray(0, room))
    keptBytes += room
    dropped += bytes.length - room
  }

  function keepNoise(bytes: Buffer): void {
    noise = Buffer.concat([noise, bytes]).subarray(-NOISE_KEPT)
  }

  /** Hands over what stands before the marker; true once the marker itself is behind us. */
  function seek(marker: Buffer, take: (bytes: Buffer) => void): boolean {
    const at = pending.indexOf(marker)
    const upTo = at < 0 ? startOfMarker(pending, marker) : at
    take(pending.subarray(0, upTo))
    pending = pending.subarray(at < 0 ? upTo : at + marker.length)
    return at >= 0
  }

  /** The number up to the end of the line, once that is here. */
  function readNumber(): number | undefined {
    const newline = pending.indexOf('\n')
    if (newline < 0) return undefined
    const number = Number(pending.subarray(0, newline).toString('latin1'))
    pending = pending.subarray(newline + 1)
    return number
  }

  function push(chunk: Buffer): void {
    if (stage === 'after') return
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    if (stage === 'before' && seek(begin, keepNoise)) stage = 'begin'
    if (stage === 'begin') {
      pid = readNumber()
      if (pid !== undefined) stage = 'inside'
    }
    if (stage === 'inside' && seek(end, keep)) stage = 'end'
    if (stage === 'end') {
      rc = readNumber()
      if (rc !== undefined) stage = 'after'
    }
  }

  return {
    push,
    pid: () => pid,
    rc: () => rc,
    dropped: () => dropped,
    text: () => Buffer.concat(kept).toString('utf8'),
    noise: () => Buffer.concat([noise, stage === 'before' ? pending : Buffer.alloc(0)]).toString('utf8'),
  }
}

/** Where in `bytes` a marker that is cut off by the end of the chunk begins; the length when none does. */
function startOfMarker(bytes: Buffer, marker: Buffer): number {
  for (let at = Math.max(0, bytes.length - marker.length + 1); at < bytes.length; at++) {
    if (bytes[at] === marker[0] && marker.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return at
  }
  return bytes.length
}
