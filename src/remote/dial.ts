import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import type { AuthenticationType, Client, ConnectConfig, ServerHostKeyAlgorithm } from 'ssh2'
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

export interface Ssh2Options {
  host: string
  port: number
  user: string
  /** A private key, read anew at each connect; `~` is the service's home. */
  identityFile: string
  passphrase?: string | undefined
  /** Enforced: a key that is not in it is refused, else scripts and data could go to a stranger. */
  knownHostsFile: string
  /** Milliseconds for TCP, handshake and sign-in together. */
  connectTimeout?: number | undefined
  /** A silent link is given up after `interval * (count + 1)` milliseconds at most. */
  keepalive?: { interval: number; count: number } | undefined
  backOff?: BackOff | undefined
  onEvent?: ((event: RemoteEvent) => void) | undefined
  jump?: readonly unknown[] | undefined
}

/** Connects, checks the host, signs in. Throws a RemoteError of kind 'unreachable' that says what to do. */
export async function dial(
  options: Ssh2Options,
  identity: Identity,
  description: string,
  signal: AbortSignal,
): Promise<Link<Client>> {
  const { host, port, user, connectTimeout = 20_000, keepalive = { interval: 5_000, count: 3 } } = options
  const file = expandHome(options.knownHostsFile)
  const known = findHostKeys(await readKnownHosts(file), host, port)
  const serverHostKey = offeredHostKeyAlgorithms(known)
  if (serverHostKey.length === 0) throw refuseHostKey(options, file, known, undefined)

  // Loaded by those who need it: many a service runs on the machine that it submits from.
  const { default: ssh2 } = await import('ssh2')
  const started = performance.now()
  const socket = await openSocket(host, port, connectTimeout, description, signal)
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
    await gone.catch(() => {})
    clearTimeout(giveUp)
  }

  const leave = () => up.reject(toError(signal.reason))
  signal.addEventListener('abort', leave)
  const settings: ConnectConfig = {
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
    client.connect(settings)
    await up.promise
    return { offers: client, lost: lost.signal, end }
  } catch (thrown) {
    error = toError(thrown)
    socket.destroy()
  } finally {
    signal.removeEventListener('abort', leave)
  }
  if (verdict !== undefined && verdict !== 'known') throw refuseHostKey(options, file, known, presented)
  if (/no matching host key format/.test(error.message)) throw refuseHostKey(options, file, known, undefined)
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
  { host, port }: Ssh2Options,
  file: string,
  known: KnownHostKeys,
  presented: Buffer | undefined,
): RemoteError {
  const name = port === 22 ? host : `[${host}]:${port}`
  const add = `ssh-keyscan -p ${port} ${host} >> ${file}`
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
