import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../errors.ts'
import { type AnswerReader, createAnswerReader } from './answer.ts'
import { createLanes } from './lanes.ts'
import { frameProgram } from './loader.ts'
import { type RemoteAnswer, RemoteError, type RemoteRequest } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

const DEADLINE = 60_000
const MAX_STDOUT = 64 * 1024 * 1024
/** sshd counts a channel until it has reaped its process: with the default MaxSessions of 10, opening fails at 6 in parallel and never at 4. */
const CHANNELS = 4
const RESERVED = 1
/** How long a shell may take to end by itself after its answer; a background child may hold its streams for ever. */
const LINGER = 1_000
/** Between two tries to open a channel. */
const OPEN_RETRY = { first: 20, max: 1_000 }
/** A larger delay makes setTimeout fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1

export function retryPause(attempt: number): number {
  return Math.min(OPEN_RETRY.max, OPEN_RETRY.first * 2 ** Math.min(attempt, 10))
}

export interface CommandRunner {
  run(request: RemoteRequest): Promise<RemoteAnswer>
  commands(): number
  openChannels(): number
  close(): void
}

/**
 * Takes each request from the queue to its answer, whichever way leads to the machine.
 *
 * `open` starts a shell. It may give up early when the signal is aborted, and must settle in bounded time; what it throws reaches the caller,
 * what it says it is doing stands in the message when the deadline passes.
 * `onAnswer` is told of every answer: the way there works.
 */
export function createCommandRunner(options: {
  description: string
  open: (signal: AbortSignal, say: (doing: string) => void) => Promise<Shell>
  onAnswer?: () => void
}): CommandRunner {
  const { description, open } = options
  const lanes = createLanes(CHANNELS, RESERVED)
  const underWay = new Set<(kind: 'timeout' | 'closed') => void>()
  let commands = 0
  let closed = false

  async function run(request: RemoteRequest): Promise<RemoteAnswer> {
    const { input, deadline = DEADLINE } = request
    // Destroyed below; an error that comes with it or after it is nobody's any more.
    if (input instanceof Readable) input.on('error', () => {})
    const giveUp = new AbortController()
    let stage = 'waiting for a free channel'
    let maybeRan = false
    const stop = (kind: 'timeout' | 'closed') => {
      const message =
        kind === 'closed'
          ? `the connection to ${description} was closed while ${stage}`
          : `no answer from ${description} within ${seconds(deadline)} (${stage})`
      giveUp.abort(new RemoteError(kind, message, { maybeRan }))
    }
    if (closed) stop('closed')
    underWay.add(stop)
    const timer = setTimeout(stop, Math.min(deadline, LONGEST_TIMER), 'timeout')
    try {
      for (let attempt = 0; ; attempt++) {
        const giveBack = await lanes.take(request.lane === 'urgent', giveUp.signal)
        const opening = open(giveUp.signal, doing => {
          stage = doing
        })
        // The channel is taken until it is really gone, even when the caller has left meanwhile.
        opening.then(shell => shell.closed.then(giveBack), giveBack)
        const shell = await unlessAborted(opening, giveUp.signal, late => late.letGo())
        stage = 'running'
        maybeRan = true
        if (attempt === 0) commands++
        const answer = await converse(shell, request, description, giveUp.signal)
        if (!(answer instanceof Error)) {
          options.onAnswer?.()
          return answer
        }
        stage = `opening a channel: ${describeError(answer)}`
        maybeRan = false
        await sleep(retryPause(attempt), undefined, { signal: giveUp.signal }).catch(() => {})
        giveUp.signal.throwIfAborted()
      }
    } finally {
      clearTimeout(timer)
      underWay.delete(stop)
      if (input instanceof Readable) input.destroy()
    }
  }

  return {
    run,
    commands: () => commands,
    openChannels: lanes.busy,
    close() {
      closed = true
      for (const stop of underWay) stop('closed')
    },
  }
}

/** Hands the program and its input to a shell and reads the answer; gives the error back where there turns out to be no shell. */
async function converse(
  shell: Shell,
  request: RemoteRequest,
  description: string,
  giveUp: AbortSignal,
): Promise<RemoteAnswer | Error> {
  const { input, maxStdout = MAX_STDOUT } = request
  const nonce = randomBytes(16).toString('hex')
  const reader = createAnswerReader(nonce, maxStdout, request.onStdout)
  const { promise, resolve, reject } = Promise.withResolvers<RemoteAnswer | Error>()
  const done = new AbortController()
  const cut = (message: string, options: { cause?: unknown; maybeRan?: boolean } = {}) => {
    reject(new RemoteError('cut', message, { maybeRan: true, ...options }))
    done.abort()
  }

  const started = Promise.withResolvers<number>()
  const look = () => {
    const pid = reader.pid()
    if (pid !== undefined) started.resolve(pid)
    if (done.signal.aborted) return
    const answer = reader.complete() ? reader.answer() : undefined
    if (reader.tooLarge()) {
      cut(`the answer of ${description} is larger than ${maxStdout} bytes`)
      shell.stop(started.promise)
    } else if (answer !== undefined) resolve(answer)
  }
  // Read to the end even when nobody listens any more: a channel closes only after that. Who wants to stop the program still needs its begin.
  const unread = () => !done.signal.aborted || reader.pid() === undefined
  shell.stdout.on('data', chunk => {
    if (unread()) reader.stdout(chunk)
    look()
  })
  shell.stderr.on('data', chunk => {
    if (unread()) reader.stderr(chunk)
    look()
  })
  shell.closed.then(end => {
    const answer = reader.answer()
    if (answer !== undefined) return resolve(answer)
    if (end.how === 'refused' && reader.pid() === undefined) {
      resolve(end.error)
      return done.abort()
    }
    const { message, maybeRan } = describeCut(end, reader, description)
    cut(message, { maybeRan, cause: end.how === 'exited' ? undefined : end.error })
  })
  const leave = () => {
    reject(giveUp.reason)
    const byUs = giveUp.reason instanceof RemoteError && giveUp.reason.kind === 'closed'
    if (byUs) shell.letGo()
    else shell.stop(started.promise)
  }
  giveUp.addEventListener('abort', leave, { once: true })
  if (giveUp.aborted) {
    // Nothing was sent: the loader has nothing to run.
    reject(giveUp.reason)
    shell.letGo()
  } else {
    const frame = frameProgram(request.program, nonce, sizeOf(input))
    feed(shell, frame, input, done.signal, shell.mayBeRefused === true ? started.promise : null).catch(error => {
      if (done.signal.aborted) return
      // Not the end of the input but its failure: the program must not take what came for the whole.
      cut(`the input for ${description} could not be read: ${describeError(error)}`, { cause: error })
      shell.stop(started.promise)
    })
  }

  try {
    const answer = await promise
    const lingering = setTimeout(() => shell.letGo(), LINGER)
    shell.closed.then(() => clearTimeout(lingering))
    return answer
  } finally {
    giveUp.removeEventListener('abort', leave)
    done.abort()
  }
}

/**
 * Writes frame and input, no faster than the far side reads. Throws what the input stream throws. `begun`: a stream can be read only once, so it is not
 * begun before the program is.
 */
async function feed(
  shell: Shell,
  frame: Buffer,
  input: RemoteRequest['input'],
  done: AbortSignal,
  begun: Promise<unknown> | null,
): Promise<void> {
  const { stdin } = shell
  // A program need not read its input: a closed pipe is no error of ours.
  stdin.on('error', () => {})
  if (!(input instanceof Readable)) {
    const body = typeof input === 'string' ? Buffer.from(input) : input
    // One write while small, so that it travels in one packet.
    if (body === undefined || body.length < 16_384) stdin.end(Buffer.concat([frame, body ?? Buffer.alloc(0)]))
    else {
      stdin.write(frame)
      stdin.end(body)
    }
    return
  }
  stdin.write(frame)
  if (begun !== null) await Promise.race([begun, shell.closed])
  if (done.aborted) return
  for await (const chunk of input) {
    if (done.aborted || stdin.destroyed) return
    if (!stdin.write(chunk)) {
      // A pipe that closes meanwhile ends the waiting, and is seen above.
      const drained = once(stdin, 'drain', { signal: done }).catch(() => {})
      await Promise.race([drained, shell.closed])
    }
  }
  stdin.end()
}

function sizeOf(input: RemoteRequest['input']): number | undefined {
  if (input instanceof Readable) return undefined
  return typeof input === 'string' ? Buffer.byteLength(input) : (input?.length ?? 0)
}

/** Why there is no answer, and whether the program can have run. */
function describeCut(end: ShellEnd, reader: AnswerReader, description: string): { message: string; maybeRan: boolean } {
  const noise = reader.noise()
  const said = noise === '' ? '' : `; it said: ${noise.slice(-500)}`
  if (end.how !== 'exited') {
    return { message: `the link to ${description} broke before the answer was complete${said}`, maybeRan: true }
  }
  const how = end.signal === null ? `exit code ${end.code}` : `signal ${end.signal}`
  // All its output has been read: without the begin marker the program was never reached.
  if (reader.pid() === undefined) {
    return {
      message: `the shell of ${description} ended (${how}) without starting our program${said}`,
      maybeRan: false,
    }
  }
  return {
    message: `the program on ${description} was ended (${how}) before its answer was complete${said}`,
    maybeRan: true,
  }
}

/** `promise`, or the signal's reason if that comes first; then `late` gets what arrives after all. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, late: (value: T) => void): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const leave = () => {
    aborted.reject(signal.reason)
    promise.then(late, () => {})
  }
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

function seconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`
}
