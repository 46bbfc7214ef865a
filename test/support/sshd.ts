import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './proxy.ts'

const run = promisify(execFile)

export interface SshdOptions {
  /** Default 10, as OpenSSH's own. */
  maxSessions?: number
  /** Replaces the account's shell and command (sshd_config ForceCommand); the client's command is in $SSH_ORIGINAL_COMMAND. */
  forceCommand?: string
  /** Types of the host keys it shows. */
  hostKeyTypes?: readonly ('ed25519' | 'ecdsa' | 'rsa')[]
  /** Passphrase of the user key. */
  passphrase?: string
  /** Lines of sshd_config; they win over ours. */
  config?: readonly string[]
  /** Another server's, so that one key opens both. */
  identityFile?: string
}

export interface Sshd {
  host: string
  port: number
  user: string
  identityFile: string
  /** Knows all the host keys, by `[127.0.0.1]:port`. */
  knownHostsFile: string
  /** A known hosts file that knows the same keys for another port: that of a proxy. */
  knownHostsFor(port: number): Promise<string>
  /** A directory of its own, which goes when the server stops. */
  dir: string
  /** Connections accepted so far. */
  connections(): number
  /** Stops listening and ends all sessions; `start` brings it back on the same port, with other host keys if asked. */
  halt(): Promise<void>
  start(options?: { newHostKeys?: boolean }): Promise<void>
  stop(): Promise<void>
}

/** A real OpenSSH server on a free loopback port, for the current user, with keys of its own. Needs openssh-server. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const binary = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/opt/homebrew/sbin/sshd'].find(existsSync)
  if (binary === undefined) {
    throw new Error('these tests need a real sshd: install openssh-server (Debian: apt-get install openssh-server)')
  }
  const types = options.hostKeyTypes ?? ['ed25519']
  const user = userInfo().username
  const dir = await mkdtemp(join(tmpdir(), 'sshd-'))
  const identityFile = options.identityFile ?? join(dir, 'id_ed25519')
  const knownHostsFile = join(dir, 'known_hosts')
  if (options.identityFile === undefined) await keygen('ed25519', identityFile, options.passphrase ?? '')
  const isRoot = process.getuid?.() === 0
  // sshd started by root changes into it before sign-in.
  if (isRoot) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const penalties = (await versionOf(binary)) >= 9.8 ? ['PerSourcePenalties no'] : []

  let port = 0
  let log = ''
  let daemon: ChildProcess | undefined
  let callOff: (() => void) | undefined

  async function makeHostKeys(): Promise<void> {
    const lines: string[] = []
    for (const type of types) {
      const file = join(dir, `host_${type}`)
      await rm(file, { force: true })
      await keygen(type, file, '')
      const [keyType, base64] = (await readFile(`${file}.pub`, 'utf8')).split(' ')
      lines.push(`[127.0.0.1]:${port} ${keyType} ${base64}\n`)
    }
    await writeFile(knownHostsFile, lines.join(''))
  }

  async function start({ newHostKeys = false } = {}): Promise<void> {
    if (newHostKeys) {
      const known = await readFile(knownHostsFile, 'utf8')
      await makeHostKeys()
      await writeFile(knownHostsFile, known)
    }
    const config = [
      ...(options.config ?? []),
      'ListenAddress 127.0.0.1',
      `Port ${port}`,
      ...types.map(type => `HostKey ${join(dir, `host_${type}`)}`),
      'PidFile none',
      `AuthorizedKeysFile ${identityFile}.pub`,
      // The directory above is world-writable /tmp.
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'PermitUserRC no',
      // A bash that thinks itself nested does not read ~/.bashrc; login shells of jobs find the empty home of the tests.
      `SetEnv SHLVL=2 HOME=${process.env.HOME}`,
      'PrintMotd no',
      'UseDNS no',
      'LogLevel VERBOSE',
      'MaxStartups 100',
      `MaxSessions ${options.maxSessions ?? 10}`,
      ...(options.forceCommand === undefined ? [] : [`ForceCommand ${options.forceCommand}`]),
      ...penalties,
    ]
    const file = join(dir, 'sshd_config')
    await writeFile(file, `${config.join('\n')}\n`)
    const started = log.length
    const child = spawn(binary as string, ['-D', '-e', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
    daemon = child
    child.stderr.setEncoding('utf8')
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`sshd ended with ${code}:\n${log.slice(started)}`)))
      child.stderr.on('data', text => {
        log += text
        if (/Server listening on/.test(log.slice(started))) resolve()
      })
    })
    callOff = endWithUs(child.pid as number, 'TERM', dir)
  }

  async function halt(): Promise<void> {
    const child = daemon
    daemon = undefined
    callOff?.()
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    // The listener's children are the sessions, which outlive it.
    const sessions = await descendants(child.pid)
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    for (const pid of sessions) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // Ended by itself.
      }
    }
  }

  // Somebody may take the free port before sshd has it.
  for (let attempt = 1; ; attempt++) {
    port = await freePort()
    await makeHostKeys()
    try {
      await start()
      break
    } catch (error) {
      if (attempt === 5 || !/in use/.test(String(error))) throw error
    }
  }
  return {
    host: '127.0.0.1',
    port,
    user,
    identityFile,
    knownHostsFile,
    async knownHostsFor(proxyPort) {
      const file = join(dir, `known_hosts_${proxyPort}`)
      const known = await readFile(knownHostsFile, 'utf8')
      await writeFile(file, known.replaceAll(`]:${port} `, `]:${proxyPort} `))
      return file
    },
    dir,
    connections: () => log.match(/^Connection from /gm)?.length ?? 0,
    halt,
    start,
    async stop() {
      await halt()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function keygen(type: string, file: string, passphrase: string): Promise<void> {
  await run('ssh-keygen', ['-q', '-t', type, '-a', '1', '-N', passphrase, '-C', 'test', '-f', file])
}

/** Only sshd's own processes: what a session started is left to end by itself, as when a link dies. */
async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=,comm='])
  const rows = stdout.split('\n').map(line => line.trim().split(/\s+/))
  const below = (parent: number): number[] =>
    rows
      .filter(([, ppid, name]) => Number(ppid) === parent && name?.startsWith('sshd'))
      .flatMap(([child]) => [Number(child), ...below(Number(child))])
  return below(pid)
}

/** 9.2 for "OpenSSH_9.2p1 …"; sshd prints it with its usage text. */
async function versionOf(binary: string): Promise<number> {
  const text: string = await run(binary, ['-V']).then(
    done => done.stderr,
    failed => String(failed.stderr),
  )
  return Number(/OpenSSH_(\d+\.\d+)/.exec(text)?.[1] ?? 0)
}

/**
 * Ends `pid` and removes `dir` when this process is no more, however it went: test workers are killed without a word. Returns the way to call
 * that off.
 */
export function endWithUs(pid: number, signal: string, dir: string): () => void {
  // Its standard input ends with us.
  const program = 'read -r _; kill -s "$1" "$2" 2>/dev/null; sleep 1; rm -rf -- "$3"'
  const watcher = spawn('/bin/sh', ['-c', program, 'watcher', signal, String(pid), dir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.unref()
  return () => void watcher.kill('SIGKILL')
}
