import { posix } from 'node:path'
import type { PackageKind, PackagesConfig } from '../config/index.ts'
import { CompopsError } from '../errors.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { checkManifest, checkProject } from './manifest.ts'
import { readRequirements } from './requirements.ts'

/** What the service shall fetch for a job: the same for all jobs that need the same. */
export interface Needed {
  readonly kind: PackageKind
  /** The file that names them. */
  readonly what: string
  readonly files: Readonly<Record<string, string>>
}

type ReadCommitted = (path: string) => Promise<{ readonly text: string } | 'not a file' | null>

/**
 * What a job's template would else fetch over the network, read from its commit. null: nothing, or what the commit brings itself (a `wheelhouse/`, a
 * `julia-depot.tar`), or what the site leaves to the jobs. Throws CompopsError where it names what the service does not fetch.
 */
export async function neededPackages(
  { template, env }: Pick<JobSpec, 'template' | 'env'>,
  packages: PackagesConfig,
  read: ReadCommitted,
): Promise<Needed | null> {
  const textOf = async (path: string) => {
    const file = await read(path)
    return file === null || file === 'not a file' ? null : file.text
  }
  if (template === 'python' && packages.by.python !== undefined) {
    const file = inCommit(env.REQUIREMENTS ?? 'requirements.txt')
    if (file === null || (await textOf(file)) === null || (await read('wheelhouse')) !== null) return null
    const { requirements, constraints } = await readRequirements(file, textOf)
    if (requirements === '') return null
    const files = {
      'requirements.txt': requirements,
      ...(constraints === '' ? {} : { 'constraints.txt': constraints }),
    }
    return { kind: 'python', what: file, files }
  }
  if (template === 'julia' && packages.by.julia !== undefined) {
    const folder = inCommit(env.JULIA_PROJECT ?? '.')
    if (folder === null || env.JULIA_BUNDLE !== undefined || (await read('julia-depot.tar')) !== null) return null
    const [project, manifest] = ['Project.toml', 'Manifest.toml'].map(name => posix.join(folder, name)) as [
      string,
      string,
    ]
    const projectText = await textOf(project)
    if (projectText === null) return null
    const manifestText = await textOf(manifest)
    if (manifestText === null)
      throw new CompopsError(
        `${project} has no Manifest.toml beside it, and the service fetches only what that names: commit it`,
      )
    checkProject(project, projectText)
    checkManifest(manifest, manifestText)
    return { kind: 'julia', what: manifest, files: { 'Project.toml': projectText, 'Manifest.toml': manifestText } }
  }
  return null
}

/** A path of the commit as a job writes it, relative to its top folder; null where only the job knows (a variable, a place of the cluster). */
function inCommit(path: string): string | null {
  const clean = posix.normalize(path).replace(/\/$/, '')
  return path.includes('$') || clean.startsWith('/') || clean.startsWith('..') ? null : clean
}
