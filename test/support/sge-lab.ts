import { execFile } from 'node:child_process'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const scripts = fileURLToPath(new URL('../../deploy/lab/', import.meta.url))
const place = join(tmpdir(), 'sge-lab')

/** A real Grid Engine behind a real OpenSSH server on this machine (deploy/lab/sge-up), and how to reach it. */
export interface SgeLab {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly identityFile: string
  readonly knownHostsFile: string
  readonly version: string
  /** A fresh directory that the user owns. */
  readonly root: string
  /** A program as the user, e.g. `lab.as('qsub', '-terse', …)`; its standard output. */
  as(program: string, ...words: string[]): Promise<string>
  /** A program as root, who is the operator. */
  operator(program: string, ...words: string[]): Promise<string>
}

/** Starts it, or finds it started. There is one on a machine, and tests leave it up. Takes root, a Debian 12 and up to a minute. */
export async function sgeLabUp(): Promise<SgeLab> {
  if (process.getuid?.() !== 0)
    throw new Error(
      'the Grid Engine lab needs root: it installs packages, adds users and starts daemons (run as root, or use a container)',
    )
  const env = { ...process.env, LAB: place }
  const { stdout } = await run(join(scripts, 'sge-up'), [], { env, timeout: 280_000 }).catch(failed => {
    throw new Error(`deploy/lab/sge-up failed:\n${failed.stderr}`, { cause: failed })
  })
  const value = (name: string) => {
    const found = new RegExp(`^SGE_LAB_${name}=(.*)$`, 'm').exec(stdout)?.[1]
    if (found === undefined) throw new Error(`deploy/lab/sge-up did not say SGE_LAB_${name}:\n${stdout}`)
    return found
  }
  const user = value('SSH_USER')
  const parent = join(place, 'roots')
  await mkdir(parent, { recursive: true, mode: 0o755 })
  const root = await mkdtemp(join(parent, 'root-'))
  await run('chown', [`${user}:`, root])
  const out = async (file: string, words: readonly string[]) => (await run(file, words, { cwd: '/' })).stdout
  return {
    host: value('SSH_HOST'),
    port: Number(value('SSH_PORT')),
    user,
    identityFile: value('SSH_KEY'),
    knownHostsFile: value('KNOWN_HOSTS'),
    version: value('VERSION'),
    root,
    as: (program, ...words) => out('runuser', ['-u', user, '--', program, ...words]),
    operator: (program, ...words) => out(program, words),
  }
}
