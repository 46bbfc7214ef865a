import type { Readable, Writable } from 'node:stream'

/** A shell that runs {@link LOADER} and waits for a program: a channel on a connection, or a child process. */
export interface Shell {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  /** Resolves once, when all output was read and the channel no longer counts. Never rejects. */
  closed: Promise<ShellEnd>
  /**
   * Ends the program and all it started in its process group: asks first (TERM), then insists (KILL), then lets go. `started` gives the loader's
   * process id once the program begins, maybe never.
   */
  stop(started: Promise<number>): void
  /** Closes our side and leaves the program alone. */
  letGo(): void
  /** Whether the far side gave us a shell is not known yet: see `refused`. */
  mayBeRefused?: boolean
}

export type ShellEnd =
  | { how: 'exited'; code: number | null; signal: string | null }
  /** The link broke, or the far side closed without a word. */
  | { how: 'lost'; error: Error }
  /** There was no shell, since the far side had no room for one: nothing can have run, and the same may be asked again. */
  | { how: 'refused'; error: Error }
