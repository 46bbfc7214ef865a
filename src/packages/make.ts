import { spawn } from 'node:child_process'
import { lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PackageKind, PackagesConfig } from '../config/index.ts'
import { CompopsError, toError } from '../errors.ts'
import { writeTar } from '../git/tar.ts'

/** What a program that fetches packages may know of this machine: where programs, proxies, certificates and package indexes are. No token of ours. */
const passedOn =
  /^(?:PATH|https?_proxy|all_proxy|no_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|PIP_(?:INDEX_URL|EXTRA_INDEX_URL|NO_INDEX|FIND_LINKS|TRUSTED_HOST|CERT|CLIENT_CERT|PROXY|TIMEOUT|RETRIES|CONFIG_FILE)|JULIA_PKG_SERVER|JULIA_SSL_CA_ROOTS_PATH)$/i

/** sysexits.h, EX_TEMPFAIL: a program of a site's own says that it may go better later. */
const later = 75

/** As pip and Julia tell of a network that is away, or a disk that is full: the same words may come with success the next time. */
const passing =
  /Retrying \(|NewConnectionError|ConnectionError|RequestError|Could not resolve (?:host|proxy)|Temporary failure|\btimed out\b|\btime-?out (?:was|after|reached|expired)|(?:connect|connection|gateway|handshake|operation|read) time-?out|TimeoutError|Connection (?:refused|reset)|HTTP error 5\d\d|HTTP\/\S+ 5\d\d|No space left|ENOSPC/i

/** As they tell of packages that there are not. What a package is called says nothing of the network. */
const settled =
  /^ERROR: (?:Could not find a version|No matching distribution|ResolutionImpossible|Cannot install|expected package|Unsatisfiable requirements)/i

export interface BundleAsked {
  readonly kind: PackageKind
  /** For messages: `requirements.txt`. */
  readonly what: string
  /** What is to be fetched, as files of the program's working directory. */
  readonly files: Readonly<Record<string, string>>
  readonly packages: PackagesConfig
  /** A directory of this bundle; what a try that broke off had fetched is found there by the next. */
  readonly workshop: string
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/**
 * Fetches packages and packs them as a tar, `<into>-<sha256>.tar`, that appears whole or not at all. Nothing of a project is executed: pip fetches wheels only, which
 * it does not run; Julia is told to build and precompile nothing.
 *
 * @throws CompopsError in the tool's own words; transient where time, or who runs the service, mends it.
 */
export async function makeBundle(asked: BundleAsked, into: string): Promise<{ path: string; size: number }> {
  try {
    return await fetchAndPack(asked, into)
  } catch (thrown) {
    // What is left may be large, and nobody goes on with it.
    const again = !(thrown instanceof CompopsError) || thrown.transient
    await rm(again ? workOf(asked.workshop) : asked.workshop, { recursive: true, force: true }).catch(() => {})
    throw thrown
  }
}

/** Where a tool works; what it shall bring lies beside it. */
const workOf = (workshop: string) => join(workshop, 'work')

async function fetchAndPack(asked: BundleAsked, into: string): Promise<{ path: string; size: number }> {
  const { kind, what, packages, workshop } = asked
  const work = workOf(workshop)
  const out = join(workshop, 'out')
  await rm(work, { recursive: true, force: true })
  for (const folder of [work, join(work, 'home'), out, dirname(into)])
    await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const [name, text] of Object.entries(asked.files)) await writeFile(join(work, name), text)
  const { command, args, more } = commandOf(asked, out)
  const environment = {
    ...Object.fromEntries(
      Object.entries(asked.environment ?? process.env).filter(
        ([name, value]) => passedOn.test(name) && value !== undefined,
      ),
    ),
    HOME: join(work, 'home'),
    TMPDIR: join(work, 'home'),
    LC_ALL: 'C',
    PYTHONDONTWRITEBYTECODE: '1',
    COMPOPS_PACKAGES: kind,
    COMPOPS_PACKAGES_PYTHON: packages.pythonVersion ?? '',
    COMPOPS_PACKAGES_PLATFORMS: packages.platforms.join(' '),
    ...more,
  }
  const { code, said, trouble } = await runWithin(asked, { command, args, cwd: work, environment, out })
  if (code !== 0) {
    const own = packages.by[kind]!.startsWith('/')
    throw new CompopsError(`the packages of ${what} cannot be fetched: ${said || `exit code ${code}`}`, {
      transient: own ? code === later : trouble,
    })
  }
  // Of Julia: what the job makes for itself, and what only tells about fetching.
  if (kind === 'julia')
    for (const folder of ['compiled', 'logs', 'clones']) await rm(join(out, folder), { recursive: true, force: true })
  await mustFit(asked, out)
  const partial = `${into}.part`
  await rm(partial, { force: true })
  const { size, sha256 } = await writeTar(out, partial, 0)
  const path = `${into}-${sha256}.tar`
  await rename(partial, path)
  await rm(workshop, { recursive: true, force: true })
  return { path, size }
}

function commandOf(
  { kind, files, packages }: BundleAsked,
  out: string,
): { command: string; args: string[]; more: Record<string, string> } {
  const program = packages.by[kind]!
  if (program.startsWith('/')) return { command: program, args: [out], more: {} }
  if (kind === 'julia')
    return {
      command: 'julia',
      args: [
        '--startup-file=no',
        '--color=no',
        '--project=.',
        '-e',
        'using Pkg; Pkg.instantiate(; allow_build=false, allow_autoprecomp=false)',
      ],
      more: { JULIA_DEPOT_PATH: out, JULIA_PKG_PRECOMPILE_AUTO: '0', JULIA_PKG_USE_CLI_GIT: 'false' },
    }
  return {
    command: 'python3',
    // pip.pypa.io, `pip download`: another platform or version than this one's needs --only-binary, which is wanted anyway.
    args: [
      ...['-m', 'pip', 'download', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off'],
      // It downloads into TMPDIR, and would into a cache that nobody weighs.
      ...['--only-binary=:all:', '--dest', out, '--no-cache-dir', '-r', 'requirements.txt'],
      ...(files['constraints.txt'] === undefined ? [] : ['-c', 'constraints.txt']),
      ...(packages.pythonVersion === undefined
        ? []
        : ['--python-version', packages.pythonVersion, '--implementation', 'cp']),
      ...packages.platforms.flatMap(platform => ['--platform', platform]),
    ],
    more: {},
  }
}

const running = new Set<number>()
// Who is stopped lets nothing run on; a kill -9 leaves a tool that ends by itself.
process.on('exit', () => {
  for (const group of running) endGroup(group)
})

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

interface Call {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly environment: Record<string, string | undefined>
  readonly out: string
}

interface Complaint {
  /** The last of it, on one line. */
  readonly said: string
  /** That of a network or a disk is in it. */
  readonly trouble: boolean
}

/** Ends the whole group when it takes too long or too much. */
async function runWithin(asked: BundleAsked, call: Call): Promise<Complaint & { code: number }> {
  const { packages, what } = asked
  const child = spawn(call.command, call.args, {
    cwd: call.cwd,
    env: call.environment as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const { pid } = child
  if (pid !== undefined) running.add(pid)
  let stopped: CompopsError | null = null
  const stop = (error: CompopsError) => {
    stopped ??= error
    if (pid !== undefined) endGroup(pid)
  }
  const timer = setTimeout(
    () =>
      stop(
        new CompopsError(`fetching the packages of ${what} took longer than ${packages.timeout / 1000} s`, {
          transient: true,
        }),
      ),
    packages.timeout,
  )
  let weighing = false
  const scale = setInterval(() => {
    if (weighing) return
    weighing = true
    mustFit(asked, call.out)
      .catch(error => {
        if (error instanceof CompopsError) stop(error)
      })
      .finally(() => {
        weighing = false
      })
  }, 1_000)
  const last = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    last.out = (last.out + text).slice(-4_000)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    last.err = (last.err + text).slice(-4_000)
  })
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (status, signal) => {
        if (status !== null) resolve(status)
        else reject(new Error(`${call.command} was ended by ${signal}`))
      })
    })
    if (stopped !== null) throw stopped
    return { code, ...readComplaint(last.err.trim() === '' ? last.out : last.err) }
  } catch (thrown) {
    if (stopped !== null) throw stopped
    const missing = (thrown as NodeJS.ErrnoException).code
    if (missing === 'ENOENT' || missing === 'EACCES')
      throw new CompopsError(
        `the service cannot fetch the packages of ${what}: ${missing === 'ENOENT' ? `there is no ${call.command} on its machine` : `${call.command} is not executable`}; who runs it must mend that, or change \`packages\` of this cluster`,
        { transient: true },
      )
    throw new CompopsError(`the packages of ${what} cannot be fetched: ${toError(thrown).message}`, { transient: true })
  } finally {
    clearTimeout(timer)
    clearInterval(scale)
    if (pid !== undefined) running.delete(pid)
  }
}

/** Without what was only a warning where there are errors, and without passwords of an index. */
function readComplaint(text: string): Complaint {
  const lines = text.split('\n').map(line => line.trim())
  const errors = lines.filter(line => /^error\b/i.test(line))
  const notices = lines.filter(line => line !== '' && !/^(?:\[?notice\]?|DEPRECATION)/i.test(line))
  const network = lines.find(line => !settled.test(line) && passing.test(line))
  const told = errors.length > 0 ? [...(network === undefined ? [] : [network]), ...errors] : notices.slice(-4)
  const said = [...new Set(told)]
    .join('; ')
    .replaceAll(/\/\/[^/@\s]+@/g, '//')
    .slice(0, 600)
  return { said, trouble: network !== undefined }
}

/** What a tool puts elsewhere first, as pip does, lies there twice in the end. */
async function mustFit({ packages, what, workshop }: BundleAsked, out: string): Promise<void> {
  const { limit } = packages
  const size = await sizeOf(out)
  if (size > limit)
    throw new CompopsError(
      `the packages of ${what} are more than ${formatBytes(limit)}, the site's limit for what the service fetches`,
    )
  if (size + (await sizeOf(workOf(workshop))) > 2 * limit)
    throw new CompopsError(
      `fetching the packages of ${what} takes more than ${formatBytes(2 * limit)}, twice the site's limit for what the service fetches`,
    )
}

export const formatBytes = (bytes: number) =>
  bytes >= 1024 ** 3 ? `${+(bytes / 1024 ** 3).toFixed(1)}G` : `${+(bytes / 1024 ** 2).toFixed(1)}M`

/** Of all files below it. */
export async function sizeOf(folder: string): Promise<number> {
  let size = 0
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) size += await sizeOf(path)
    else size += (await lstat(path).catch(() => null))?.size ?? 0
  }
  return size
}
