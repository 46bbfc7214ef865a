import type { ConfigEntry } from './environment.ts'
import { GitError } from './errors.ts'
import { type GitCall, git } from './git.ts'
import type { Mirror } from './mirror.ts'
import type { TreeEntry } from './read.ts'

const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n/
/** The LFS specification: a pointer file is smaller than this. */
const POINTER_BYTES = 1024

/** Paths whose content is elsewhere: the attribute filter=lfs, and a pointer as content. `call` names the repository and its index. */
export async function findPointers(mirror: Mirror, call: GitCall, tree: readonly TreeEntry[]): Promise<string[]> {
  if (!tree.some(entry => entry.path === '.gitattributes' || entry.path.endsWith('/.gitattributes'))) return []
  const files = tree.filter(entry => entry.mode.startsWith('100'))
  const input = files.map(entry => `${entry.path}\0`).join('')
  const { stdout } = await git(mirror, ['check-attr', '--cached', '-z', '--stdin', 'filter'], { ...call, input })
  const fields = stdout.toString().split('\0')
  const filtered = new Set<string>()
  for (let at = 0; at + 2 < fields.length; at += 3) if (fields[at + 2] === 'lfs') filtered.add(fields[at] ?? '')
  const candidates = files.filter(entry => filtered.has(entry.path))
  const pointers = await pointersAmong(mirror, call, [...new Set(candidates.map(entry => entry.oid))])
  return candidates.filter(entry => pointers.has(entry.oid)).map(entry => entry.path)
}

async function pointersAmong(mirror: Mirror, call: GitCall, oids: string[]): Promise<Set<string>> {
  const lines = (list: string[]) => list.map(oid => `${oid}\n`).join('')
  const sizes = await git(mirror, ['cat-file', '--batch-check=%(objectname) %(objectsize)'], {
    ...call,
    input: lines(oids),
  })
  const small = sizes.stdout
    .toString()
    .split('\n')
    .map(line => line.split(' '))
    .filter(([, size]) => Number(size) < POINTER_BYTES)
    .map(([oid = '']) => oid)
    .filter(oid => oid !== '')
  const { stdout } = await git(mirror, ['cat-file', '--batch=%(objectname) %(objectsize)'], {
    ...call,
    input: lines(small),
  })
  const pointers = new Set<string>()
  for (let at = 0; at < stdout.length; ) {
    const end = stdout.indexOf('\n', at)
    const [oid = '', size] = stdout.toString('latin1', at, end).split(' ')
    const content = stdout.toString('latin1', end + 1, end + 1 + Number(size))
    if (POINTER.test(content)) pointers.add(oid)
    at = end + 1 + Number(size) + 1
  }
  return pointers
}

/**
 * The filter that `git lfs install` would configure. The address is set here, because a repository's own .lfsconfig could otherwise send
 * this service anywhere. Objects are kept beside the mirror, so that the next commit does not fetch them again.
 */
export function lfsEntries(mirror: Mirror): ConfigEntry[] {
  return [
    ['filter.lfs.process', 'git-lfs filter-process'],
    ['filter.lfs.smudge', 'git-lfs smudge -- %f'],
    ['filter.lfs.clean', 'git-lfs clean -- %f'],
    ['filter.lfs.required', 'true'],
    ['lfs.url', `${mirror.url}/info/lfs`],
    ['remote.origin.lfsurl', `${mirror.url}/info/lfs`],
    ['lfs.storage', `${mirror.dir}/lfs`],
    ['lfs.locksverify', 'false'],
    ['lfs.skipdownloaderrors', 'false'],
    ['lfs.standalonetransferagent', ''],
    // One file of many gigabytes must show signs of life.
    ['lfs.forceprogress', 'true'],
  ]
}

/** @throws GitError that names a file which needs it. */
export async function checkLfsInstalled(mirror: Mirror, path: string, call: GitCall): Promise<void> {
  const found = await git(mirror, ['lfs', 'version'], { ...call, accept: [1, 127] })
  if (found.code !== 0) {
    throw new GitError(
      'git',
      `${path} is stored with Git LFS, and git-lfs is not installed where compops runs; install it, then repeat`,
    )
  }
}

/** git-lfs says which object is missing; the path is what its owner knows. */
export function explainLfs(error: unknown, pointers: readonly string[]): unknown {
  if (!(error instanceof GitError) || pointers.length === 0) return error
  const named = pointers.filter(path => error.message.includes(path))
  const path = named.sort((a, b) => b.length - a.length)[0] ?? pointers[0]
  const missing = /\[404\]|does not exist|not found/i.test(error.message)
  const why = missing
    ? 'its content is missing on GitLab (push it with `git lfs push --all origin`)'
    : 'its content cannot be fetched'
  return new GitError(
    missing ? 'not found' : error.kind,
    `${path} is stored with Git LFS, and ${why}: ${error.message}`,
    {
      transient: !missing && error.transient,
      cause: error,
    },
  )
}
