import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuthenticationType, Client, ClientChannel, ConnectConfig, ServerHostKeyAlgorithm } from 'ssh2'
import { describeError, toError } from '../errors.ts'
import type { BackOff, Link } from './connection.ts'
import { expandHome, type Identity } from './identity.ts'
import {
  findHostKeys,
  fingerprint,
  judgeHostKey,
  type KnownHostKeys,
  keyType,
  offeredHostKeyAlgorithms,
} from './known-hosts.ts'
import { RemoteError, type RemoteEvent } from './remote.ts'

/** One machine on the way, and who signs in there with what. */
export interface Station {
  host: string
  port: number
  user: string
  /** A private key, read anew at each connect; `~` is the service's home. */
  identityFile: string
  passphrase?: string | undefined
  /** Enforced: a key that is not in it is refused, else scripts and data could go to a stranger. */
  knownHostsFile: string
}

export interface Ssh2Options extends Station {
  /** More login nodes of the cluster, in the order in which they are tried. */
  fallbacks?: readonly { host: string; port: number }[] | undefined
  /** In ProxyJump order: the first is reached from here. */
  jump?: readonly Station[] | undefined
  /** Milliseconds for TCP, handshake and sign-in together, at each station. */
  connectTimeout?: number | undefined
  /** A silent link is given up after `interval * (count + 1)` milliseconds at most. */
  keepalive?: { interval: number; count: number } | undefined
  backOff?: BackOff | undefined
  onEvent?: ((event: RemoteEvent) => void) | undefined
}

export type DialSettings = Pick<Ssh2Options, 'connectTimeout' | 'keepalive'>

export function nameOf({ user, host, port }: Pick<Station, 'user' | 'host' | 'port'>): string {
  return `${user}@${host}:${port}`
}

/**
 * Connects from station to station, each through the one before; at each the host is checked, then signed in to. What is offered is the last one's client.
 * Throws a RemoteError of kind 'unreachable' that names the station and says what to do.
 */
export async function dial(
  way: readonly Station[],
  identityOf: (station: Station) => Promise<Identity>,
  settings: DialSettings,
  signal: AbortSignal,
): Promise<Link<Client>> {
  const made: Link<Client>[] = []
  const endAll = async () => {
    for (const link of made.toReversed()) await link.end()
  }
  for (const [index, station] of way.entries()) {
    const before = made.at(-1)
    const through = before === undefined ? null : { client: before.offers, name: nameOf(way[index - 1]!) }
    try {
      made.push(await dialStation(station, await identityOf(station), through, settings, signal))
    } catch (error) {
      await endAll()
      throw index < way.length - 1 ? atJumpHost(error, index, way) : error
    }
  }
  // The end of a station on the way is heard of there, not always by those that it carried.
  const lost = AbortSignal.any(made.map(link => link.lost))
  lost.addEventListener('abort', () => void endAll(), { once: true })
  if (lost.aborted) await endAll()
  return { offers: made.at(-1)!.offers, lost, end: endAll }
}

function atJumpHost(error: unknown, index: number, way: readonly Station[]): Error {
  if (!(error instanceof RemoteError)) return toError(error)
  const which = way.length === 2 ? 'the jump host' : `jump host ${index + 1} of ${way.length - 1},`
  return new RemoteError('unreachable', `${which} ${nameOf(way[index]!)}: ${error.message}`, {
    transient: error.transient,
    cause: error.cause,
  })
}

/** The station before, whose connection this one is carried in. */
type Through = { client: Client; name: string } | null

async function dialStation(
  station: Station,
  identity: Identity,
  through: Through,
  settings: DialSettings,
  signal: AbortSignal,
): Promise<Link<Client>> {
  const { host, port, user } = station
  const { connectTimeout = 20_000, keepalive = { interval: 5_000, count: 3 } } = settings
  const description = nameOf(station)
  const file = expandHome(station.knownHostsFile)
  const known = findHostKeys(await readKnownHosts(file), host, port)
  const serverHostKey = offeredHostKeyAlgorithms(known)
  const refuse = (presented: Buffer | undefined) => refuseHostKey(station, file, known, presented, through)
  if (serverHostKey.length === 0) throw refuse(undefined)

  // Loaded by those who need it: many a service runs on the machine that it submits from.
  const { default: ssh2 } = await import('ssh2')
  const started = performance.now()
  const socket =
    through === null
      ? await openSocket(host, port, connectTimeout, description, signal)
      : await openThrough(through, host, port, connectTimeout, signal)
  const client = new ssh2.Client()
  let presented: Buffer | undefined
  let verdict: ReturnType<typeof judgeHostKey> | undefined
  let failure: Error | undefined
  const lost = new AbortController()
  const up = Promise.withResolvers<void>()
  // Awaited below, unless connect() itself throws.
  up.promise.catch(() => {})
  client.on('ready', up.resolve)
  // Without a listener an error would end the process.
  client.on('error', error => {
    failure ??= error
    up.reject(failure)
  })
  client.on('close', () => {
    failure ??= new Error('the connection was closed by the other side')
    up.reject(failure)
    lost.abort(failure)
  })
  const end = async () => {
    if (lost.signal.aborted) return
    const gone = once(client, 'close')
    client.end()
    // A frozen peer never answers our goodbye.
    const giveUp = setTimeout(() => socket.destroy(), 500)
    // Inside the connection of a jump host that is frozen too, not even that is heard of.
    await Promise.race([gone.catch(() => {}), sleep(600)])
    clearTimeout(giveUp)
  }

  const leave = () => up.reject(toError(signal.reason))
  signal.addEventListener('abort', leave)
  const config: ConnectConfig = {
    sock: socket,
    username: user,
    // The library takes methods here as well as their names; its types know only the names.
    authHandler: [{ type: 'publickey', username: user, key: identity.key }] as unknown as AuthenticationType[],
    algorithms: { serverHostKey: serverHostKey as ServerHostKeyAlgorithm[] },
    hostVerifier: (key: Buffer) => {
      presented = key
      verdict = judgeHostKey(known, key)
      return verdict === 'known'
    },
    readyTimeout: Math.max(1, connectTimeout - (performance.now() - started)),
    keepaliveInterval: keepalive.interval,
    keepaliveCountMax: keepalive.count,
  }
  let error: Error
  try {
    client.connect(config)
    await up.promise
    return { offers: client, lost: lost.signal, end }
  } catch (thrown) {
    error = toError(thrown)
    socket.destroy()
  } finally {
    signal.removeEventListener('abort', leave)
  }
  if (verdict !== undefined && verdict !== 'known') throw refuse(presented)
  if (/no matching host key format/.test(error.message)) throw refuse(undefined)
  if ('level' in error && error.level === 'client-authentication') throw refusedUser(description, identity, error)
  const what = /Timed out while waiting for handshake/.test(error.message)
    ? `no SSH handshake within ${connectTimeout / 1000} s`
    : describeError(error)
  throw new RemoteError('unreachable', `cannot connect to ${description}: ${what}`, { cause: error })
}

/**
 * TCP without Nagle's algorithm: ssh2 never switches it off, and with the peer's delayed acknowledgements it adds 40 to 88 ms to every command
 * (2 ms without).
 */
async function openSocket(
  host: string,
  port: number,
  timeout: number,
  description: string,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connectSocket({ host, port, noDelay: true, keepAlive: true })
  // For good: whatever comes later, ssh2 listens too.
  socket.on('error', () => {})
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const leave = () => reject(toError(signal.reason))
  const timer = setTimeout(() => reject(new Error(`no connection within ${timeout / 1000} s`)), timeout)
  signal.addEventListener('abort', leave)
  socket.once('connect', resolve)
  socket.once('error', reject)
  try {
    await promise
    return socket
  } catch (error) {
    socket.destroy()
    // One error per address tried, and no message of its own.
    const reasons =
      error instanceof AggregateError ? error.errors.map(e => describeError(e)).join('; ') : describeError(error)
    throw new RemoteError('unreachable', `cannot connect to ${description}: ${reasons}`, { cause: error })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  }
}

/** A connection from the station before to the next, inside its own (RFC 4254 7.2, direct-tcpip). */
async function openThrough(
  { client, name }: NonNullable<Through>,
  host: string,
  port: number,
  timeout: number,
  signal: AbortSignal,
): Promise<ClientChannel> {
  const { promise, resolve, reject } = Promise.withResolvers<ClientChannel>()
  const leave = () => reject(toError(signal.reason))
  const gone = () => reject(new Error('it ended the connection'))
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeout / 1000} s`)), timeout)
  signal.addEventListener('abort', leave)
  client.once('close', gone)
  try {
    client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
      if (error) return reject(error)
      channel.on('error', () => {})
      // sshd tells only of the end of what it read from there, and keeps the rest open until somebody writes.
      channel.once('end', () => channel.destroy())
      resolve(channel)
    })
    return await promise
  } catch (error) {
    promise.then(late => late.destroy()).catch(() => {})
    // RFC 4254 5.1: administratively prohibited.
    const forbidden = error instanceof Error && 'reason' in error && error.reason === 1
    const hint = forbidden ? ' (its sshd_config forbids it: AllowTcpForwarding, PermitOpen)' : ''
    throw new RemoteError(
      'unreachable',
      `${name} does not lead on to ${host}:${port}: ${describeError(error)}${hint}`,
      {
        cause: error,
      },
    )
  } finally {
    clearTimeout(timer)
    client.off('close', gone)
    signal.removeEventListener('abort', leave)
  }
}

/** A missing file knows nobody: the refusal then says how to begin it. */
async function readKnownHosts(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw new RemoteError('unreachable', `known hosts file ${file}: cannot be read (${describeError(error)})`, {
      transient: false,
      cause: error,
    })
  }
}

function refuseHostKey(
  { host, port }: Station,
  file: string,
  known: KnownHostKeys,
  presented: Buffer | undefined,
  through: Through,
): RemoteError {
  const name = port === 22 ? host : `[${host}]:${port}`
  const scan = `ssh-keyscan -p ${port} ${host}`
  const add =
    through === null ? `${scan} >> ${file}` : `${scan}, run on ${through.name}; what it prints goes into ${file}`
  const types = [...new Set(known.keys.map(key => key.type))].join(', ')
  const lines = known.keys.map(key => key.line).join(', ')
  const shown = presented === undefined ? '' : `${keyType(presented)} ${fingerprint(presented)}`
  const refuse = (message: string) => new RemoteError('unreachable', message, { transient: false })

  if (presented === undefined) {
    return refuse(
      `host ${name} has no host key of a type that ${file} line ${lines} knows and that is still accepted (${types}): refused. ` +
        `Compare its present keys with those your site publishes, then add one: ${add}`,
    )
  }
  const verdict = judgeHostKey(known, presented)
  if (verdict === 'revoked') {
    return refuse(`host key ${shown} of ${name} is marked @revoked in ${file}: refused. Ask the site for its new key`)
  }
  if (verdict === 'changed') {
    return refuse(
      `host key of ${name} has changed: it shows ${shown}, ${file} line ${lines} holds another. Refused, since somebody may be in between. ` +
        `If the site confirms the change: ssh-keygen -R '${name}' -f ${file}; ${add}`,
    )
  }
  const authority = known.certificateAuthority
    ? ' (its @cert-authority line is for host certificates, which are not supported)'
    : ''
  return refuse(
    `host key ${shown} of ${name} is not in ${file}${authority}: refused. ` +
      `Compare the fingerprint with the one your site publishes, then add it: ${add}`,
  )
}

function refusedUser(description: string, identity: Identity, cause: Error): RemoteError {
  return new RemoteError(
    'unreachable',
    `${description} refuses the key ${identity.file} (${identity.fingerprint}): ` +
      `its public part must stand in ~/.ssh/authorized_keys of that account, and the account must be open`,
    { transient: false, cause },
  )
}
