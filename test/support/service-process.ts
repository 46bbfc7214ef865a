import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const program = fileURLToPath(new URL('../../src/cli/compops.mjs', import.meta.url))

export interface ServeOptions {
  readonly configFile: string
  readonly env?: Readonly<Record<string, string>>
  /** Each line of the log, as it comes. */
  readonly onLine?: (line: string) => void
}

/** The service as people run it: `compops serve --config FILE`, a process of its own. */
export interface Served {
  readonly pid: number
  /** Resolves with true when it listens, with false when it ended before. */
  readonly ready: Promise<boolean>
  /** Resolves when the process is no more and has said its last word. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  isAlive(): boolean
  /**
   * SIGKILL. `alone`: what it started (git) lives on, as when the process is shot. `with its children`: everything ends, as when a container or a
   * systemd unit is killed. What runs on the cluster goes on in both.
   */
  kill(how: 'alone' | 'with its children'): Promise<void>
}

export function serve(options: ServeOptions): Served {
  const child = spawn(process.execPath, [program, 'serve', '--config', options.configFile], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid
  if (pid === undefined) throw new Error('the service could not be started')
  guard(child)
  let alive = true
  const { promise: ready, resolve: isReady } = Promise.withResolvers<boolean>()
  const hear = (line: string) => {
    if (line.includes('"step":"serve"') && line.includes('listening on')) isReady(true)
    options.onLine?.(line)
  }
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
    child.once('exit', () => {
      alive = false
      isReady(false)
    })
    // A child of its own may hold the streams longer than it lives.
    child.once('exit', (code, signal) => setTimeout(() => resolve({ code, signal }), 20))
  })
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', hear)
  return {
    pid,
    ready,
    ended,
    isAlive: () => alive,
    async kill(how) {
      if (!alive) return
      // Stopped first: what it would start while we look would be missed.
      if (how === 'with its children') child.kill('SIGSTOP')
      const children = how === 'with its children' ? await descendants(pid) : []
      child.kill('SIGKILL')
      for (const one of children) end(one)
      await ended
    },
  }
}

async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid='])
  const rows = stdout.split('\n').map(line => line.trim().split(/\s+/).map(Number))
  const below = (parent: number): number[] =>
    rows.filter(([, ppid]) => ppid === parent).flatMap(([one]) => [one as number, ...below(one as number)])
  return below(pid)
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

const living = new Set<number>()
let watcher: ChildProcess | null = null

/** Ends what is left when this process is no more, however it went: test workers are killed without a word. */
function guard(child: ChildProcess): void {
  // Its standard input ends with us; each line is the whole list of those that live.
  const script =
    'pids=; while read -r line; do pids=$line; done; for pid in $pids; do kill -KILL "$pid"; done 2>/dev/null'
  watcher ??= spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.unref()
  const tell = () => watcher?.stdin?.write(`${[...living].join(' ')}\n`)
  living.add(child.pid as number)
  tell()
  child.once('exit', () => {
    living.delete(child.pid as number)
    tell()
  })
}
