import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../errors.ts'
import { createCommandRunner } from './command.ts'
import { type BackOff, backOffDelay, keepConnection, type Link } from './connection.ts'
import { knock, socketNameOf } from './control-socket.ts'
import { inTurn } from './in-turn.ts'
import { frameProgram, LOADER, STOP_PROGRAM } from './loader.ts'
import {
  commandArguments,
  identityOf,
  masterArguments,
  type OpensshPlace,
  type OpensshTarget,
  singleArguments,
} from './openssh-arguments.ts'
import { writeConfig } from './openssh-config.ts'
import { type Remote, RemoteError, type RemoteEvent } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

export interface OpensshOptions extends OpensshTarget {
  /** More login nodes of the cluster, in the order in which they are tried. */
  fallbacks?: readonly string[] | undefined
  /** Holds the control sockets; ours alone. */
  controlDir: string
  /** Never sign in by ourselves: servers that ask for a second factor count each failed try. */
  sessionRequired?: boolean | undefined
  /** What to do where somebody must sign in, e.g. "`compops connect falcon`". */
  renew: string
  /** The cluster's name, for the sentence about that. */
  cluster: string
  /** Milliseconds until a connection must stand. */
  connectTimeout?: number | undefined
  backOff?: BackOff | undefined
  onEvent?: ((event: RemoteEvent) => void) | undefined
}

const LET_GO = 5_000

/** A way to run ssh for a target: which master, whose. */
interface Master extends OpensshPlace {
  /** Made by ourselves: what one more connection asks for is at hand, too. Else it would be a failed sign-in, which servers count. */
  readonly ours: boolean
}

/** A cluster behind the system's ssh: its config, aliases, agents, hardware keys, certificates, and sessions that a person opened. */
export function createOpensshRemote(options: OpensshOptions): Remote {
  const { controlDir, cluster, renew, connectTimeout = 30_000, backOff = { first: 1_000, max: 60_000 } } = options
  const targets = [options.host, ...(options.fallbacks ?? [])].map(host => targetOf(options, host))
  const description = `${options.user === undefined ? '' : `${options.user}@`}${targets.map(t => t.host).join(' or ')}${options.port === undefined ? '' : `:${options.port}`}`
  const needsSession = (why = '') =>
    new RemoteError('unreachable', `${cluster} needs a new session: ${renew}${why === '' ? '' : ` (${why})`}`, {
      transient: false,
    })
  /** By host: what was last met there, and when signing in may be tried again. */
  const tried = new Map<string, { failures: number; notBefore: number; error: RemoteError; denied: boolean }>()

  async function dialNode(target: OpensshTarget, signal: AbortSignal): Promise<Link<Master>> {
    const config = await writeConfig(controlDir, target.configFile, 'nobody')
    const session = await adopt(target, config)
    if (session !== null) return session
    if (options.sessionRequired === true) throw needsSession()
    const last = tried.get(target.host)
    if (last !== undefined && performance.now() < last.notBefore) throw last.error
    const failures = (last?.failures ?? 0) + 1
    try {
      const link = await startMaster(target, config, signal)
      // One that dies before it was of use is not made again at once.
      const error = new RemoteError('unreachable', `${nameOf(target)} ended the connection before it was of use`)
      tried.set(target.host, {
        failures,
        notBefore: performance.now() + backOffDelay(failures, backOff),
        error,
        denied: false,
      })
      return link
    } catch (thrown) {
      signal.throwIfAborted()
      const { denied, message } = explain(nameOf(target), describeError(thrown))
      const error = denied
        ? needsSession(message)
        : new RemoteError('unreachable', message, { transient: !/host key/i.test(message), cause: thrown })
      tried.set(target.host, {
        failures,
        notBefore: performance.now() + backOffDelay(failures, backOff),
        error,
        denied,
      })
      throw error
    }
  }

  /** The session that a person opened, if one stands. It is left alone at our end. */
  async function adopt(target: OpensshTarget, config: string): Promise<Link<Master> | null> {
    const controlName = sessionSocketOf(options, target)
    const socket = await knock(controlDir, controlName)
    if (socket === null) return null
    const lost = new AbortController()
    socket.once('close', () => lost.abort(new Error(`the session to ${nameOf(target)} has ended`)))
    // Its greeting: read, or its end would not be seen.
    socket.resume()
    return {
      offers: { target, config, controlName, ours: false },
      lost: lost.signal,
      async end() {
        socket.destroy()
      },
    }
  }

  async function startMaster(target: OpensshTarget, config: string, signal: AbortSignal): Promise<Link<Master>> {
    // Another process may be at the same directory (doctor beside the service): each has its own.
    const controlName = `${randomBytes(10).toString('hex')}.kept`
    const master = { target, config, controlName, ours: true }
    const child = spawnMaster(masterArguments(master), controlDir)
    const said = tailOf(child)
    const over = endOf(child)
    const giveUp = performance.now() + connectTimeout
    const stop = () => child.kill('SIGTERM')
    signal.addEventListener('abort', stop)
    try {
      for (;;) {
        signal.throwIfAborted()
        const socket = await knock(controlDir, controlName)
        if (socket !== null) {
          socket.destroy()
          return linkOf(master, controlDir, child, over, said)
        }
        const ended = await Promise.race([over, sleep(25)])
        if (ended !== undefined) throw new Error(said() || `ssh ended (${ended})`)
        if (performance.now() > giveUp) throw new Error(`no connection within ${connectTimeout / 1000} s; ${said()}`)
      }
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  const nodes = inTurn(targets, dialNode, error => tell({ type: 'error', error }))
  function tell(event: RemoteEvent): void {
    try {
      options.onEvent?.(event)
    } catch {
      // A listener's mistake must not cost the connection.
    }
  }
  const connection = keepConnection<Master>({
    description,
    dial: nodes.dial,
    // Looking for a session costs nothing and is done at each ask; signing in has its own patience, by host.
    backOff: { first: 0, max: 0 },
    onEvent: options.onEvent,
  })

  async function open(signal: AbortSignal, say: (doing: string) => void): Promise<Shell> {
    say('connecting')
    const link = await connection.get()
    signal.throwIfAborted()
    say('opening a channel')
    return openShell(link, controlDir)
  }

  const runner = createCommandRunner({
    description,
    open,
    onAnswer() {
      tried.clear()
      nodes.proven()
      connection.proven()
    },
  })
  return {
    description,
    run: runner.run,
    stats: () => ({ ...connection.stats(), commands: runner.commands(), openChannels: runner.openChannels() }),
    passOver(reason) {
      nodes.passOver()
      connection.drop(reason)
    },
    async needsSession() {
      if (connection.stats().connectedSince !== null) return null
      const denied = targets.every(target => tried.get(target.host)?.denied === true)
      if (options.sessionRequired !== true && !denied) return null
      for (const target of targets) {
        const socket = await knock(controlDir, sessionSocketOf(options, target))
        socket?.destroy()
        if (socket !== null) return null
      }
      return needsSession().message
    },
    async close() {
      runner.close()
      await connection.close()
    },
  }
}

/** The same for service and command line; clusters on one host have each their own. */
export function sessionSocketOf(options: Pick<OpensshOptions, 'renew'>, target: OpensshTarget): string {
  return socketNameOf([options.renew, ...identityOf(target)])
}

export function targetOf(options: OpensshTarget, host: string): OpensshTarget {
  const { port, user, identityFile, knownHostsFile, configFile } = options
  return { host, port, user, identityFile, knownHostsFile, configFile }
}

export function nameOf({ user, host, port }: OpensshTarget): string {
  return `${user === undefined ? '' : `${user}@`}${host}${port === undefined ? '' : `:${port}`}`
}

/** Never with a terminal, in a session of its own: a signal for the service, or its end, is none for what is under way. */
function spawnSsh(args: readonly string[], cwd: string, stdio: ('ignore' | 'pipe')[]): ChildProcess {
  const child = spawn('ssh', args, { cwd, stdio, detached: true })
  child.on('error', () => {})
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {})
  return child
}

/** The last of what it says on standard error, in one line. */
function tailOf(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8')
  child.stderr?.on('data', chunk => {
    text = (text + chunk).slice(-2_000)
  })
  return () => text.replace(/\s+/g, ' ').trim().slice(-500)
}

/** How it ended, in words; also where it could not be started. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise(resolve => {
    child.once('error', error => resolve(`ssh cannot be started: ${describeError(error)}; install openssh-client`))
    child.once('close', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
  })
}

/** Ends with us, however we end: a watcher sees our end of a pipe closed. It is ended with the master, by their process group. */
const MASTER_SCRIPT = '(exec 2>/dev/null; cat <&3 >/dev/null; kill $$) & exec 3<&-; exec ssh "$@"'

function spawnMaster(args: readonly string[], cwd: string): ChildProcess {
  const stdio: ('ignore' | 'pipe')[] = ['ignore', 'ignore', 'pipe', 'pipe']
  const child = spawn('/bin/sh', ['-c', MASTER_SCRIPT, 'ssh', ...args], { cwd, stdio, detached: true })
  child.on('error', () => {})
  for (const stream of child.stdio) stream?.on('error', () => {})
  child.once('exit', () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left in it.
    }
    child.stdio[3]?.destroy()
  })
  return child
}

/** Why ssh could not sign in, with the remedy. `denied`: the host answers, and lets in nobody whose keys are at hand here. */
export function explain(name: string, said: string): { denied: boolean; message: string } {
  const last = said.slice(-300)
  if (/Permission denied|Too many authentication failures|No more authentication methods/i.test(said))
    return { denied: true, message: `${name} lets nobody in by the keys at hand: ${last}` }
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(said))
    return {
      denied: false,
      message: `the host key of ${name} has changed, somebody may be in between: refused. Ask the site, then mend the known_hosts file`,
    }
  if (/Host key verification failed|host key is known/i.test(said))
    return {
      denied: false,
      message: `the host key of ${name} is not known: refused. Compare it with what your site publishes and add it to the known_hosts file (${last})`,
    }
  return { denied: false, message: `cannot connect to ${name}: ${last}` }
}

function linkOf(
  master: Master,
  controlDir: string,
  child: ChildProcess,
  over: Promise<string>,
  said: () => string,
): Link<Master> {
  const lost = new AbortController()
  over.then(end => lost.abort(new Error(said() || `ssh to ${nameOf(master.target)} ended (${end})`)))
  return {
    offers: master,
    lost: lost.signal,
    async end() {
      if (lost.signal.aborted) return
      child.kill('SIGTERM')
      const insist = setTimeout(() => child.kill('SIGKILL'), 500)
      await over
      clearTimeout(insist)
      // Killed, it leaves its socket behind.
      await rm(join(controlDir, master.controlName), { force: true })
    },
  }
}

/** What ssh says where the master did not get a session: nothing was started, and the same may be asked again. */
const REFUSED =
  /session request failed|Session open refused by peer|ControlSocket .* already exists|Control socket connect/

async function openShell(link: Link<Master>, cwd: string): Promise<Shell> {
  const child = spawnSsh(commandArguments(link.offers, LOADER), cwd, ['pipe', 'pipe', 'pipe'])
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new RemoteError('unreachable', `ssh cannot be started (${describeError(error)}): install openssh-client`, {
      cause: error,
    })
  }
  return toShell(child, pid => stopProgram(link.offers, pid, cwd))
}

function toShell(child: ChildProcess, stopThere: (pid: number) => Promise<void>): Shell {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('a child process without pipes')
  let said = ''
  stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('latin1')).slice(-2_000)
  })
  const closed = new Promise<ShellEnd>(resolve => {
    child.once('close', (code, signal) => {
      if (code !== 255) return resolve({ how: 'exited', code, signal })
      // ssh's own failure (ssh(1), EXIT STATUS), else the far side's: then its end marker is there.
      const error = new Error(said.replace(/\s+/g, ' ').trim() || 'ssh ended with 255')
      resolve({ how: REFUSED.test(said) ? 'refused' : 'lost', error })
    })
  })

  function letGo(): void {
    for (const stream of [stdin, stdout, stderr]) stream?.destroy()
    child.kill('SIGKILL')
  }

  return {
    stdin,
    stdout,
    stderr,
    closed,
    letGo,
    mayBeRefused: true,
    stop(started) {
      let over = false
      const giveUp = setTimeout(letGo, LET_GO)
      closed.then(() => {
        over = true
        clearTimeout(giveUp)
      })
      started.then(pid => (over ? undefined : stopThere(pid)))
    },
  }
}

/**
 * Ends a program by a channel of its own; where the server gives no second one (MaxSessions 1), by a connection of its own. Over a session that a person
 * opened there is no such second way: the program is let go, and ends by itself.
 */
async function stopProgram(master: Master, pid: number, cwd: string): Promise<void> {
  const frame = Buffer.concat([
    frameProgram(STOP_PROGRAM, randomBytes(16).toString('hex'), undefined),
    Buffer.from(`${pid}\n`),
  ])
  const ways = [commandArguments(master, LOADER), ...(master.ours ? [singleArguments(master, LOADER)] : [])]
  for (const args of ways) {
    const child = spawnSsh(args, cwd, ['pipe', 'ignore', 'ignore'])
    const giveUp = setTimeout(() => child.kill('SIGKILL'), 30_000)
    child.stdin?.end(frame)
    const end = await endOf(child)
    clearTimeout(giveUp)
    if (end === 'exit code 0') return
  }
}
