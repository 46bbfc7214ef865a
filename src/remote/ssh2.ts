import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, ClientChannel } from 'ssh2'
import { describeError, toError } from '../errors.ts'
import { createCommandRunner, retryPause } from './command.ts'
import { keepConnection, type Link } from './connection.ts'
import { dial, type Ssh2Options, type Station } from './dial.ts'
import { type Identity, readIdentity } from './identity.ts'
import { inTurn } from './in-turn.ts'
import { frameProgram, LOADER, STOP_PROGRAM } from './loader.ts'
import type { Remote } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

export type { Ssh2Options, Station } from './dial.ts'

/** How long a program that is being stopped may hold its channel: TERM, two seconds, KILL, and the way there. */
const LET_GO = 5_000
const SECOND_CONNECTION = 20_000

type Reached = Pick<Link<Offers>, 'offers' | 'lost'>

interface Offers {
  client: Client
  /** One more connection to the same machine. */
  another(signal: AbortSignal): Promise<Link<Client>>
}

/** A cluster behind one kept SSH connection, by the ssh2 library. Connects when first used. */
export function createSsh2Remote(options: Ssh2Options): Remote {
  const { user, onEvent, jump = [], fallbacks = [] } = options
  const { host, port, identityFile, passphrase, knownHostsFile } = options
  const nodes: Station[] = [{ host, port }, ...fallbacks].map(node => ({
    ...node,
    ...{ user, identityFile, passphrase, knownHostsFile },
  }))
  const description = `${user}@${nodes.map(node => `${node.host}:${node.port}`).join(' or ')}`
  const identities = new Map<string, Identity>()

  async function identityOf(station: Station): Promise<Identity> {
    const identity = await readIdentity(station.identityFile, station.passphrase, identities.get(station.identityFile))
    identities.set(station.identityFile, identity)
    return identity
  }

  async function dialNode(node: Station, signal: AbortSignal): Promise<Link<Offers>> {
    const connect = (until: AbortSignal) => dial([...jump, node], identityOf, options, until)
    const link = await connect(signal)
    return { ...link, offers: { client: link.offers, another: connect } }
  }

  const turn = inTurn(nodes, dialNode, error => onEvent?.({ type: 'error', error }))
  const connection = keepConnection({
    description,
    dial: turn.dial,
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
      await sleep(retryPause(attempt), undefined, { signal }).catch(() => {})
    }
  }

  const runner = createCommandRunner({
    description,
    open,
    onAnswer() {
      turn.proven()
      connection.proven()
    },
  })
  return {
    description,
    run: runner.run,
    stats: () => ({ ...connection.stats(), commands: runner.commands(), openChannels: runner.openChannels() }),
    passOver(reason) {
      turn.passOver()
      connection.drop(reason)
    },
    async close() {
      runner.close()
      await connection.close()
    },
  }
}

/** A channel with the loader running in it, or the error that kept it from starting. */
function openShell({ offers, lost }: Reached): Promise<Shell | Error> {
  const { client } = offers
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
      client.exec(LOADER, (error, channel) => give(error ?? toShell({ offers, lost }, channel)))
    } catch (error) {
      give(toError(error))
    }
  }
  return promise
}

function toShell(link: Reached, channel: ClientChannel): Shell {
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

/**
 * Ends a program by a second channel, which is not one of the four. Where the server gives none (MaxSessions 1: the program has the only one), by a second
 * connection, for this alone. Gives up where neither can be had.
 */
async function stopProgram(link: Reached, pid: number): Promise<void> {
  const shell = await openShell(link)
  if (!(shell instanceof Error)) return tellToStop(shell, pid)
  if (link.lost.aborted) return
  const other = await link.offers.another(AbortSignal.timeout(SECOND_CONNECTION)).catch(() => null)
  if (other === null) return
  const there = await openShell({ lost: other.lost, offers: { ...link.offers, client: other.offers } })
  if (!(there instanceof Error)) await tellToStop(there, pid)
  await other.end()
}

async function tellToStop(shell: Shell, pid: number): Promise<void> {
  const frame = frameProgram(STOP_PROGRAM, randomBytes(16).toString('hex'), undefined)
  shell.stdin.end(Buffer.concat([frame, Buffer.from(`${pid}\n`)]))
  shell.stdout.resume()
  shell.stderr.resume()
  const giveUp = setTimeout(() => shell.letGo(), LET_GO)
  await shell.closed
  clearTimeout(giveUp)
}
