import { execFile } from 'node:child_process'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const scripts = fileURLToPath(new URL('../../deploy/lab/', import.meta.url))

/** A real Slurm behind a real OpenSSH server on this machine (deploy/lab/slurm-up), and how to reach it. */
export interface Lab {
  host: string
  /** Of the cluster's login node. */
  port: number
  /** Of the file server in front of it. */
  jumpPort: number
  user: string
  identityFile: string
  knownHostsFile: string
  /** Knows `cluster`, `fileserver` and `cluster-via-fileserver`. */
  sshConfig: string
  /** Has accounting (sacct). */
  dbd: boolean
  slurmVersion: string
  /** Lets the client commands of this machine ask this lab, e.g. in `{ env: { ...process.env, SLURM_CONF: lab.slurmConf } }`. */
  slurmConf: string
  /** A fresh directory that the user owns. */
  root: string
}

/** The lab as the cluster `falcon` of a configuration, under `clusters:`; `more` are further keys of it, a line each. */
export function falconOn(lab: Lab, more: readonly string[], root = lab.root): string {
  const { host, port, user, identityFile, knownHostsFile } = lab
  const ssh = `{ host: ${host}, port: ${port}, user: ${user}, identity_file: ${identityFile}, known_hosts_file: ${knownHostsFile} }`
  return [
    '  falcon:',
    ...['scheduler: slurm', `ssh: ${ssh}`, `root: ${root}`, ...more].map(line => `    ${line}`),
  ].join('\n')
}

export interface LabOptions {
  /** Default true. */
  dbd?: boolean
  /** First port of the lab's block; each port block is a lab of its own. */
  port?: number
  /** Seconds a finished job is remembered, default 300. */
  minJobAge?: number
}

/** Starts the lab, or finds it started; several test files and processes may ask at once. Takes root, a Debian and up to a minute. */
export async function labUp(options: LabOptions = {}): Promise<Lab> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'the Slurm lab needs root: it installs packages, adds users and starts daemons (run as root, or use a container)',
    )
  }
  await run('apt-get', ['--version']).catch(() => {
    throw new Error('the Slurm lab needs apt-get: deploy/lab is written for Debian 12')
  })
  const { stdout } = await run(join(scripts, 'slurm-up'), [], { env: environment(options), timeout: 280_000 }).catch(
    failed => {
      throw new Error(`deploy/lab/slurm-up failed:\n${failed.stderr}`, { cause: failed })
    },
  )
  const info = new Map(
    stdout
      .split('\n')
      .filter(line => line.includes('='))
      .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const value = (name: string) => {
    const found = info.get(`SLURM_LAB_${name}`)
    if (found === undefined) throw new Error(`deploy/lab/slurm-up did not say SLURM_LAB_${name}:\n${stdout}`)
    return found
  }
  const user = value('SSH_USER')
  return {
    host: value('SSH_HOST'),
    port: Number(value('SSH_PORT')),
    jumpPort: Number(value('JUMP_PORT')),
    user,
    identityFile: value('SSH_KEY'),
    knownHostsFile: value('KNOWN_HOSTS'),
    sshConfig: value('SSH_CONFIG'),
    dbd: value('DBD') === '1',
    slurmVersion: value('SLURM_VERSION'),
    slurmConf: value('CONF'),
    root: await freshRoot(directoryOf(options), user),
  }
}

/** Stops the lab that the same options started. Tests leave it up: the next file is then seconds faster. */
export async function labDown(options: LabOptions = {}): Promise<void> {
  await run(join(scripts, 'slurm-down'), [], { env: environment(options) })
}

/** An account of this machine that the lab's key opens, with a login shell of its own; packages are installed where missing. */
export async function addLabUser(
  lab: Lab,
  options: { user: string; shell: string; packages?: string[] },
): Promise<string> {
  const { user, shell, packages = [] } = options
  if (packages.length > 0) {
    const installed = await run('dpkg-query', ['-W', '-f', '${db:Status-Status} ', ...packages]).catch(() => ({
      stdout: '',
    }))
    if (installed.stdout.split(' ').filter(status => status === 'installed').length < packages.length) {
      await run(
        'apt-get',
        ['install', '-qy', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=200', ...packages],
        {
          env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
        },
      )
    }
  }
  await run('id', [user]).catch(() => run('useradd', ['-m', user]))
  await run('usermod', ['-s', shell, '-p', '*', user])
  const home = (await run('getent', ['passwd', user])).stdout.split(':')[5] as string
  await run('install', ['-d', '-m', '700', '-o', user, join(home, '.ssh')])
  await run('install', ['-m', '600', '-o', user, `${lab.identityFile}.pub`, join(home, '.ssh', 'authorized_keys')])
  return home
}

/** Below the lab's own directory, and gone with it when the next lab is made there. */
async function freshRoot(lab: string, user: string): Promise<string> {
  const parent = join(lab, 'roots')
  await mkdir(parent, { recursive: true, mode: 0o755 })
  const root = await mkdtemp(join(parent, 'root-'))
  await run('chown', [`${user}:`, root])
  return root
}

/** One lab per port block; settings that are not the default have a block of their own, so that both can be up. */
function portOf({ dbd = true, minJobAge = 300, port }: LabOptions): number {
  return port ?? 26_800 + (dbd ? 0 : 100) + (minJobAge === 300 ? 0 : 200)
}

/** The first lab has the directory that the scripts use when called by hand. */
function directoryOf(options: LabOptions): string {
  const port = portOf(options)
  return join(tmpdir(), port === 26_800 ? 'slurm-lab' : `slurm-lab-${port}`)
}

function environment(options: LabOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LAB: directoryOf(options),
    PORT: String(portOf(options)),
    DBD: options.dbd === false ? '0' : '1',
    MINJOBAGE: String(options.minJobAge ?? 300),
  }
}
