import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CompopsError } from '../errors.ts'
import { GitError } from './errors.ts'
import { type GitCall, git } from './git.ts'
import { checkLfsInstalled, explainLfs, findPointers, lfsEntries } from './lfs.ts'
import { ensureCommit, type Mirror, openMirror } from './mirror.ts'
import { listTree } from './read.ts'
import { listSubmodules } from './submodules.ts'

const DEEPEST = 10
const CONFIG = '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n'
const KEPT = new Set(['HEAD', 'config', 'index', 'objects', 'packed-refs', 'refs', 'shallow'])

/**
 * What `git checkout` of that commit gives, in a new directory, with a `.git` that knows this one commit: detached, the tags that point
 * at it, no remote, no hooks. Submodules are filled the same way, each with a `.git` of its own. Returns how many files it has.
 *
 * @throws CompopsError that names the path which cannot be resolved.
 */
export async function checkoutCommit(mirror: Mirror, sha: string, dir: string, depth = 0): Promise<number> {
  const gitDir = join(dir, '.git')
  await git(mirror, ['init', '--quiet', '--template=', '--', dir], { gitDir })
  await mkdir(join(gitDir, 'objects', 'info'), { recursive: true })
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(mirror.dir, 'objects')}\n`)
  const call: GitCall = { gitDir, workTree: dir }
  const tree = await listTree(mirror, sha)
  await git(mirror, ['read-tree', sha], call)
  const pointers = await findPointers(mirror, call, tree)
  await fillWorkTree(mirror, call, sha, pointers)
  let files = tree.filter(entry => entry.mode !== '160000').length
  for (const module of await listSubmodules(mirror, tree)) {
    if (depth >= DEEPEST)
      throw new CompopsError(`submodule ${module.path}: more than ${DEEPEST} submodules inside each other`)
    try {
      const target = await submoduleDirectory(dir, module.path)
      const inner = await openMirror({ ...mirror, url: module.url, dir: moduleDirectory(mirror, module.url) })
      if (!(await ensureCommit(inner, module.sha))) {
        throw new GitError('not found', `commit ${module.sha} is not in ${module.url}; was it pushed?`)
      }
      files += await checkoutCommit(inner, module.sha, target, depth + 1)
    } catch (error) {
      throw namePath(module.path, error)
    }
  }
  await makeOneCommitRepository(mirror, call, gitDir, sha, pointers)
  return files
}

/** `a/b` inside the submodule at `lib` is `lib/a/b` for the person who reads the error. */
function namePath(path: string, error: unknown): unknown {
  if (!(error instanceof CompopsError)) return error
  const message = error.message.startsWith('submodule ')
    ? `submodule ${path}/${error.message.slice('submodule '.length)}`
    : `submodule ${path}: ${error.message}`
  const options = { transient: error.transient, cause: error }
  return error instanceof GitError ? new GitError(error.kind, message, options) : new CompopsError(message, options)
}

async function fillWorkTree(mirror: Mirror, call: GitCall, sha: string, pointers: readonly string[]): Promise<void> {
  // Not checkout-index: only `git checkout` lets git-lfs fetch many objects at a time ("delay" in gitattributes(5)).
  const checkout = ['checkout', '--force', '--detach', '--no-recurse-submodules', '--progress', sha]
  const [first] = pointers
  if (first === undefined) {
    await git(mirror, checkout, call)
    return
  }
  await checkLfsInstalled(mirror, first, call)
  try {
    // A missing object is an error and no pointer file, since the filter is required.
    await git(mirror, checkout, { ...call, remote: true, config: lfsEntries(mirror) })
  } catch (error) {
    throw explainLfs(error, pointers)
  }
}

/** Mirrors of submodules are kept inside the one of the project that uses them. */
function moduleDirectory(mirror: Mirror, url: string): string {
  return join(mirror.dir, 'compops-modules', `${createHash('sha256').update(url).digest('hex').slice(0, 24)}.git`)
}

/** The empty directory that git made for the submodule. A tree made by hand could have put a symbolic link on the way there. */
async function submoduleDirectory(root: string, path: string): Promise<string> {
  const target = join(root, path)
  await mkdir(dirname(target), { recursive: true })
  const parent = await realpath(dirname(target))
  const found = await lstat(target).catch(() => null)
  if (join(await realpath(root), dirname(path)) !== parent || (found !== null && !found.isDirectory())) {
    throw new CompopsError('a symbolic link or a file is in its way')
  }
  if (found !== null && (await readdir(target)).length > 0) throw new CompopsError('its directory is not empty')
  return target
}

/**
 * Replaces the borrowed objects by one pack of our own. No deltas, one thread and no bytes taken over from other packs: the same commit
 * gives the same bytes whatever the mirror has been through (with the same git and zlib).
 */
async function makeOneCommitRepository(
  mirror: Mirror,
  call: GitCall,
  gitDir: string,
  sha: string,
  pointers: readonly string[],
): Promise<void> {
  const format = '--format=%(objectname) %(objecttype) %(refname)'
  const tags = (await git(mirror, ['for-each-ref', format, `--points-at=${sha}`, 'refs/tags'])).stdout
    .toString()
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [oid = '', type = '', ...name] = line.split(' ')
      return { oid, annotated: type === 'tag', name: name.join(' ') }
    })
  const wanted = [sha, ...tags.filter(tag => tag.annotated).map(tag => tag.oid)]
  const listed = await git(mirror, ['rev-list', '--objects', '--no-object-names', '--no-walk', ...wanted], call)
  const options = [
    '--progress',
    '--window=0',
    '--threads=1',
    '--no-reuse-delta',
    '--no-reuse-object',
    '--compression=1',
  ]
  await mkdir(join(gitDir, 'objects', 'pack'), { recursive: true })
  await git(mirror, ['pack-objects', ...options, join(gitDir, 'objects', 'pack', 'pack')], {
    ...call,
    input: listed.stdout,
  })
  await rm(join(gitDir, 'objects', 'info'), { recursive: true, force: true })

  // An index that has seen no file times: every checkout's differ. The first `git status` looks at the files themselves.
  await rm(join(gitDir, 'index'), { force: true })
  await git(mirror, ['read-tree', sha], call)
  if (pointers.length > 0) {
    // Where git-lfs is not set up the content differs from the pointer, and all would look modified.
    const input = pointers.map(path => `${path}\0`).join('')
    await git(mirror, ['update-index', '--assume-unchanged', '-z', '--stdin'], { ...call, input })
  }

  const commit = (await git(mirror, ['cat-file', 'commit', sha], call)).stdout.toString('latin1')
  if (/^[^\n]*\nparent /.test(commit)) await writeFile(join(gitDir, 'shallow'), `${sha}\n`)
  await writeFile(join(gitDir, 'HEAD'), `${sha}\n`)
  await writeFile(join(gitDir, 'config'), CONFIG)
  if (tags.length > 0) {
    const lines = tags.map(tag => `${tag.oid} ${tag.name}\n${tag.annotated ? `^${sha}\n` : ''}`)
    await writeFile(join(gitDir, 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`)
  }
  for (const name of await readdir(gitDir))
    if (!KEPT.has(name)) await rm(join(gitDir, name), { recursive: true, force: true })
}
