import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, ClientChannel } from 'ssh2'
import { CompopsError, describeError, toError } from '../errors.ts'
import { createCommandRunner } from './command.ts'
import { keepConnection, type Link } from './connection.ts'
import { dial, type Ssh2Options } from './dial.ts'
import { type Identity, readIdentity } from './identity.ts'
import { frameProgram, LOADER, STOP_PROGRAM } from './loader.ts'
import type { Remote } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

export type { Ssh2Options } from './dial.ts'

/** How long a program that is being stopped may hold its channel: TERM, two seconds, KILL, and the way there. */
const LET_GO = 5_000
const OPEN_RETRY = { first: 20, max: 1_000 }

/** A cluster behind one kept SSH connection, by the ssh2 library. Connects when first used. */
export function createSsh2Remote(options: Ssh2Options): Remote {
  const { host, port, user, onEvent } = options
  const description = `${user}@${host}:${port}`
  if (options.jump !== undefined && options.jump.length > 0) {
    throw new CompopsError(`${description}: ssh.jump is not supported yet; name a host that can be reached directly`)
  }
  let identity: Identity | undefined
  const connection = keepConnection({
    description,
    async dial(signal) {
      identity = await readIdentity(options.identityFile, options.passphrase, identity)
      return dial(options, identity, description, signal)
    },
    backOff: options.backOff ?? { first: 1_000, max: 60_000 },
    onEvent,
  })

  /** Opens a channel; what fails before the program is sent is tried again, since nothing can have run. */
  async function open(signal: AbortSignal, say: (doing: string) => void): Promise<Shell> {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      if (attempt === 0) say('connecting')
      const link = await connection.get()
      signal.throwIfAborted()
      if (attempt === 0) say('opening a channel')
      const shell = await openShell(link)
      if (!(shell instanceof Error)) return shell
      say(`opening a channel: ${describeError(shell)}`)
      // sshd refuses while an ended session still counts towards MaxSessions.
      const pause = Math.min(OPEN_RETRY.max, OPEN_RETRY.first * 2 ** attempt)
      await sleep(pause, undefined, { signal }).catch(() => {})
    }
  }

  const runner = createCommandRunner({ description, open, onAnswer: connection.proven })
  return {
    description,
    run: runner.run,
    stats: () => ({ ...connection.stats(), commands: runner.commands(), openChannels: runner.openChannels() }),
    async close() {
      runner.close()
      await connection.close()
    },
  }
}

/** A channel with the loader running in it, or the error that kept it from starting. */
function openShell(link: Link<Client>): Promise<Shell | Error> {
  const { offers: client, lost } = link
  const { promise, resolve } = Promise.withResolvers<Shell | Error>()
  const give = (result: Shell | Error) => {
    lost.removeEventListener('abort', leave)
    resolve(result)
  }
  const leave = () => give(toError(lost.reason))
  if (lost.aborted) leave()
  else {
    lost.addEventListener('abort', leave)
    try {
      client.exec(LOADER, (error, channel) => give(error ?? toShell(link, channel)))
    } catch (error) {
      give(toError(error))
    }
  }
  return promise
}

function toShell(link: Link<Client>, channel: ClientChannel): Shell {
  const { lost } = link
  let exit: ShellEnd | undefined
  const closed = new Promise<ShellEnd>(resolve => {
    channel.on('exit', (code: number | null, signal?: string) => {
      exit = { how: 'exited', code, signal: signal ?? null }
    })
    const end = (error: Error) => {
      lost.removeEventListener('abort', leave)
      resolve(exit ?? { how: 'lost', error })
    }
    const leave = () => end(toError(lost.reason))
    channel.once('close', () => end(new Error('the channel was closed without an exit status')))
    lost.addEventListener('abort', leave)
    if (lost.aborted) leave()
  })
  for (const stream of [channel, channel.stderr]) stream.on('error', () => {})

  function letGo(): void {
    channel.close()
    channel.resume()
    channel.stderr.resume()
  }

  return {
    stdin: channel,
    stdout: channel,
    stderr: channel.stderr,
    closed,
    letGo,
    stop(started) {
      let over = false
      const giveUp = setTimeout(letGo, LET_GO)
      closed.then(() => {
        over = true
        clearTimeout(giveUp)
      })
      started.then(pid => (over ? undefined : stopProgram(link, pid)))
    },
  }
}

/** Ends a program by a second channel, which is not one of the four; gives up where none can be had. */
async function stopProgram(link: Link<Client>, pid: number): Promise<void> {
  const shell = await openShell(link)
  if (shell instanceof Error) return
  const frame = frameProgram(STOP_PROGRAM, randomBytes(16).toString('hex'), undefined)
  shell.stdin.end(Buffer.concat([frame, Buffer.from(`${pid}\n`)]))
  shell.stdout.resume()
  shell.stderr.resume()
  const giveUp = setTimeout(() => shell.letGo(), LET_GO)
  await shell.closed
  clearTimeout(giveUp)
}
