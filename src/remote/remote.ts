import type { Readable } from 'node:stream'
import { CompopsError } from '../errors.ts'

/** One command on a cluster. `program` is constant POSIX sh text of ours; every value travels in `input`. */
export interface RemoteRequest {
  /**
   * Runs in a subshell of /bin/sh with `umask 077`, `TZ=UTC`, `LC_ALL=C`, HUP ignored and a PIPE trap, so that what it began is finished when
   * the link dies. `$input_bytes` is the size of `input` (empty for a stream): a cut link looks like the end of the input, so a program that
   * acts on what it read compares the size first.
   */
  program: string
  /** What the program reads on standard input. A stream is read to its end or destroyed, whatever happens. */
  input?: string | Uint8Array | Readable
  /** Milliseconds for everything: waiting for a channel, connecting, running. Default 60,000. What still runs then is stopped. */
  deadline?: number
  /** Bytes of standard output, default 64 MiB; more is a RemoteError of kind 'cut', never a shortened answer. */
  maxStdout?: number
  /** Gets what the program prints while it runs; then the answer's `stdout` is empty and `maxStdout` says nothing. Must not throw. */
  onStdout?: (bytes: Buffer) => void
  /** May use the channel that is kept free for what must not wait behind reading: submit and cancel. */
  lane?: 'urgent'
}

/** What a program answered: an exit code other than 0 is an answer like any other. */
export interface RemoteAnswer {
  rc: number
  /** Only what the program itself printed: noise of the account's start files is cut off. */
  stdout: string
  /** The first 64 KiB of what the program itself printed there. */
  stderr: string
}

export interface RemoteStats {
  /** Connections made since the start. */
  connects: number
  /** Programs that were handed over. */
  commands: number
  openChannels: number
  connectedSince: Date | null
  /** When connecting began to fail; null again once a program has answered. */
  unreachableSince: Date | null
  /** Why the last try failed, also after it went well again. */
  lastError: string | null
}

/** A way to run programs on a cluster, or on this machine; every way keeps the same contract (test/remote/contract.test.ts). */
export interface Remote {
  /** For messages, e.g. "compops@falcon.example.org:22"; holds no secret. */
  readonly description: string
  /** Always settles: with the program's answer, or with a {@link RemoteError} by the deadline at the latest. */
  run(request: RemoteRequest): Promise<RemoteAnswer>
  stats(): RemoteStats
  /** Why a person must sign in before anything can be asked, and how; null where nobody must. Looks on this machine only. Left out: never. */
  needsSession?(): Promise<string | null>
  /** Of several machines the one in use does not do, for this reason: its connection is ended, and the next is tried first. Left out: there is one. */
  passOver?(reason: Error): void
  /** Lets go: open requests fail with kind 'closed', programs under way are left to finish. */
  close(): Promise<void>
}

export type RemoteEvent =
  | { type: 'connected' }
  | { type: 'disconnected'; reason: string }
  | { type: 'error'; error: RemoteError }

/** `unreachable`: address, connection, host key or sign-in; `timeout`: the deadline; `cut`: no complete answer; `closed`: by us. */
export type RemoteErrorKind = 'unreachable' | 'timeout' | 'cut' | 'closed'

/** Everything that kept an answer from coming. `transient` is false where a person must act: a refused host key or user key, a missing file. */
export class RemoteError extends CompopsError {
  readonly kind: RemoteErrorKind
  /** False only when the program certainly did not start: then the same request may be sent again without a second thought. */
  readonly maybeRan: boolean

  constructor(
    kind: RemoteErrorKind,
    message: string,
    options: { transient?: boolean; maybeRan?: boolean; cause?: unknown } = {},
  ) {
    super(message, { transient: options.transient ?? kind !== 'closed', cause: options.cause })
    this.kind = kind
    this.maybeRan = options.maybeRan ?? false
  }
}
