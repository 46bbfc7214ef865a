import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import ssh2, { type Client, type ClientChannel } from 'ssh2'
import { CompopsError, describeError, toError } from '../errors.ts'
import { createCommandRunner } from './command.ts'
import { type BackOff, keepConnection, type Link } from './connection.ts'
import { expandHome, type Identity, readIdentity } from './identity.ts'
import {
  findHostKeys,
  fingerprint,
  judgeHostKey,
  type KnownHostKeys,
  keyType,
  offeredHostKeyAlgorithms,
} from './known-hosts.ts'
import { frameProgram, LOADER, STOP_PROGRAM } from './loader.ts'
import { type Remote, RemoteError, type RemoteEvent } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

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
  const connection = keepConnection({
    description,
    dial: signal => dial(options, description, signal),
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

/** Connects, checks the host, signs in. Throws a RemoteError of kind 'unreachable' that says what to do. */
async function dial(options: Ssh2Options, description: string, signal: AbortSignal): Promise<Link<Client>> {
  const { host, port, user, passphrase, connectTimeout = 20_000, keepalive = { interval: 5_000, count: 3 } } = options
  const identity = await readIdentity(options.identityFile, passphrase)
  const file = expandHome(options.knownHostsFile)
  const known = findHostKeys(await readKnownHosts(file), host, port)
  const serverHostKey = offeredHostKeyAlgorithms(known)
  if (serverHostKey.length === 0) throw refuseHostKey(options, file, known, undefined)

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
  const settings: ssh2.ConnectConfig = {
    sock: socket,
    username: user,
    privateKey: identity.privateKey,
    ...(passphrase === undefined ? {} : { passphrase }),
    authHandler: ['publickey'],
    algorithms: { serverHostKey: serverHostKey as ssh2.ServerHostKeyAlgorithm[] },
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
