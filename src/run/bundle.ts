import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bundle } from '../cluster/cluster.ts'
import type { PackagesConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { ensureCommit, readFile } from '../git/mirror.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { formatBytes, makeBundle, sizeOf } from '../packages/make.ts'
import { type Needed, neededPackages } from '../packages/needed.ts'
import { findProject } from '../store/projects.ts'
import type { JobRow } from '../store/runs.ts'
import { createErrands } from './errands.ts'
import { asOutage } from './outage.ts'

const longestFile = 1024 * 1024

/** What is made is a file. */
const errands = createErrands(['prepare'])

type Packages =
  | { readonly state: 'none' }
  | { readonly state: 'ready'; readonly bundle: Bundle }
  | { readonly state: 'being fetched'; readonly what: string }
  | { readonly state: 'failed'; readonly error: CompopsError; readonly what: string }

/** Why a job cannot be handed over yet: its packages are being fetched, or could not be. null: they are here, or nobody needs them, or the attempt shall tell what is wrong with them. */
export async function waitsForPackages(context: Context, job: JobRow, sha: string): Promise<string | null> {
  const packages = await packagesOf(context, job, sha)
  if (packages.state === 'being fetched') return `the service fetches the packages of ${packages.what}`
  return packages.state === 'failed' && packages.error.transient
    ? `${describeError(packages.error)}; it is tried again`
    : null
}

/** The packages that the service brings for a job; null where it brings none. Throws why there are none (yet). */
export async function bundleOf(context: Context, job: JobRow, sha: string): Promise<Bundle | null> {
  const packages = await packagesOf(context, job, sha)
  switch (packages.state) {
    case 'none':
      return null
    case 'ready':
      return packages.bundle
    case 'being fetched':
      throw new CompopsError(`the service fetches the packages of ${packages.what}`, { transient: true })
    case 'failed':
      throw packages.error
  }
}

async function packagesOf(context: Context, job: JobRow, sha: string): Promise<Packages> {
  const packages = context.clusterConfig(job.connection).packages
  if (packages === undefined) return { state: 'none' }
  let needed: Needed | null
  try {
    needed = await neededAt(context, job.projectId, job.spec, packages, sha)
  } catch (thrown) {
    const error = asOutage(thrown)
    return { state: 'failed', what: 'this job', error: error instanceof CompopsError ? error : unknown(error) }
  }
  if (needed === null) return { state: 'none' }
  const { what } = needed
  const digest = createHash('sha256')
    .update(JSON.stringify([needed, packages]))
    .digest('hex')
    .slice(0, 40)
  const base = join(folderOf(context), String(job.projectId), digest)
  const made = await findMade(base)
  if (made !== null) return { state: 'ready', bundle: made }
  const failed = errands.ask(
    context,
    base,
    () => make(context, base, needed, packages),
    error => told(context, needed, error),
  )
  return failed === null ? { state: 'being fetched', what } : { state: 'failed', error: failed, what }
}

async function make(context: Context, base: string, needed: Needed, packages: PackagesConfig): Promise<void> {
  const log = context.log.child({ step: 'packages', what: needed.what })
  log.info({ kind: needed.kind }, `fetching the packages of ${needed.what}`)
  if (!(await makeRoom(context)))
    throw new CompopsError(
      `what the service has fetched for jobs of the last hour is more than ${formatBytes(context.config.bundlesLimit)} (bundles_limit)`,
      { transient: true },
    )
  const { size } = await makeBundle({ ...needed, packages, workshop: `${base}.making` }, base)
  log.info({ size }, `the packages of ${needed.what} are here`)
}

function told({ log }: Context, { what }: Needed, thrown: Error): CompopsError {
  const error = thrown instanceof CompopsError ? thrown : unknown(thrown)
  log.warn({ step: 'packages', what, err: describeError(error) }, `the packages of ${what} could not be fetched`)
  return error
}

/** A disk of ours that is full, and the like. */
const unknown = (error: Error) =>
  new CompopsError(`the packages cannot be fetched: ${describeError(error)}`, { transient: true, cause: error })

const known = new Map<string, Needed | null>()

/** What a job needs at its commit never changes; a thousand jobs of one commit read it once. */
async function neededAt(
  context: Context,
  projectId: number,
  spec: JobSpec,
  packages: PackagesConfig,
  sha: string,
): Promise<Needed | null> {
  const { template, env } = spec
  const key = JSON.stringify([
    projectId,
    sha,
    template,
    env.REQUIREMENTS,
    env.JULIA_PROJECT,
    env.JULIA_BUNDLE,
    packages.by,
  ])
  const found = known.get(key)
  if (found !== undefined) return found
  const project = (await findProject(context.db, projectId))!
  const mirror = await context.mirror(project)
  if (!(await ensureCommit(mirror, sha)))
    throw new CompopsError(`commit ${sha} is not in ${project.path} (any more)`, { transient: true })
  const needed = await neededPackages(spec, packages, async path => {
    const file = await readFile(mirror, sha, path, { maxBytes: longestFile })
    if (file === 'too large') throw new CompopsError(`${path} is larger than 1 MiB`)
    if (file === 'not a file') return 'not a file'
    return file === 'absent' ? null : file
  })
  if (known.size > 500) known.clear()
  known.set(key, needed)
  return needed
}

const folderOf = (context: Around) => join(context.config.dataDir, 'bundles')

async function findMade(base: string): Promise<Bundle | null> {
  const folder = join(base, '..')
  const digest = base.slice(folder.length + 1)
  for (const name of await readdir(folder).catch(() => [])) {
    const sha256 = name.startsWith(`${digest}-`) ? /-([0-9a-f]{64})\.tar$/.exec(name)?.[1] : undefined
    if (sha256 === undefined) continue
    const path = join(folder, name)
    const found = await stat(path).catch(() => null)
    if (found === null) continue
    await utimes(path, new Date(), found.mtime).catch(() => {})
    return { sha256, path, size: found.size }
  }
  return null
}

interface Kept {
  readonly path: string
  readonly size: number
  /** When a job has asked for it, or a try begun. */
  readonly asked: number
}

type Around = Pick<Context, 'config' | 'clock'>

/** Of bundles and what broken-off tries have left: all their bytes, and what nobody works on, the oldest first. */
async function keptBundles(context: Around): Promise<{ bytes: number; idle: Kept[] }> {
  const root = folderOf(context)
  const idle: Kept[] = []
  let bytes = 0
  for (const project of await readdir(root).catch(() => [])) {
    if (!/^\d+$/.test(project)) continue
    for (const name of await readdir(join(root, project)).catch(() => [])) {
      const path = join(root, project, name)
      const found = await stat(path).catch(() => null)
      if (found === null) continue
      const size = found.isDirectory() ? await sizeOf(path) : found.size
      bytes += size
      if (errands.isUnderWay(context, path.replace(/\.(?:making|part)$/, ''))) continue
      // To weigh a directory is to read it.
      const asked = found.isDirectory() ? found.mtimeMs : Math.max(found.atimeMs, found.mtimeMs)
      idle.push({ path, size, asked })
    }
  }
  return { bytes, idle: idle.sort((one, other) => one.asked - other.asked) }
}

/** They can be fetched again, so those that nobody has asked for in `hours` are removed, and beyond `bundles_limit` the oldest. */
export async function pruneBundles(context: Around, hours: number): Promise<void> {
  const root = folderOf(context)
  const oldest = context.clock.now().getTime() - hours * 3_600_000
  await mkdir(root, { recursive: true, mode: 0o700 })
  // Of an earlier version: pip kept there what it liked.
  await rm(join(root, 'cache'), { recursive: true, force: true })
  const { idle } = await keptBundles(context)
  for (const { path, asked } of idle) if (asked < oldest) await rm(path, { recursive: true, force: true })
  await makeRoom(context)
}

/** Whether all bundles together are within the site's limit, after the oldest were removed. What a job has asked for lately is about to be brought, and stays. */
export async function makeRoom(context: Around): Promise<boolean> {
  const { bundlesLimit } = context.config
  const lately = context.clock.now().getTime() - 3_600_000
  let { bytes, idle } = await keptBundles(context)
  for (const { path, size, asked } of idle) {
    if (bytes <= bundlesLimit || asked >= lately) break
    await rm(path, { recursive: true, force: true })
    bytes -= size
  }
  return bytes <= bundlesLimit
}
