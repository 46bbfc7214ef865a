import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { CompopsError, UnreadableError } from '../errors.ts'
import { GitError, gitWords } from './errors.ts'
import { git } from './git.ts'
import { inTurn } from './lock.ts'
import { checkSha, isRefName, isSha } from './names.ts'
import { isSuspect, lookedOver } from './suspect.ts'

export { GitError, type GitErrorKind } from './errors.ts'
export { type Commit, changedPaths, isAncestor, listFiles, mergeBase, readCommit, readFile } from './read.ts'

export interface MirrorOptions {
  /** Where the bare repository lives. */
  readonly dir: string
  /** Built from the configured address and the project's path, never from a payload. */
  readonly url: string
  /** The token is sent to addresses below this one only. */
  readonly gitlabUrl: string
  /** Asked for each command, so that a replaced token is used at once. */
  readonly token: () => string
  readonly caFile?: string
  /** Which other projects (`group/name`) may come in as submodules; left out: every one below `gitlabUrl`. */
  readonly submoduleAllowed?: (projectPath: string) => boolean
  /** Milliseconds of silence after which a git command is killed; 120 000. */
  readonly deadline?: number
  /** Asked before each command that talks to GitLab, so that an outage is not met by a process for each row that waits. */
  readonly gate?: Gate
}

export interface Gate {
  /** The way to tell what came of it, or the milliseconds until GitLab may be asked. */
  enter(): ((outcome: 'answered' | 'trouble', reason?: string) => void) | number
}

/** A bare mirror of one project, kept by git. Plain data: the verbs take it as their first argument. */
export interface Mirror extends MirrorOptions {}

/** Scratch space inside the mirror, emptied when the mirror is first opened. */
const SCRATCH = 'compops-scratch'
const GC_DEADLINE = 900_000
const opened = new Set<string>()
let version: Promise<void> | undefined

/**
 * Opens the mirror, and makes it where there is none. What a killed process left behind (locks, half packs, scratch) is removed;
 * a directory that git does not take for a repository, or in which something is missing, is made anew, since everything in it can be fetched again.
 */
export async function openMirror(options: MirrorOptions): Promise<Mirror> {
  const mirror: Mirror = { ...options, dir: resolve(options.dir) }
  checkAddress(mirror)
  version ??= checkVersion(mirror)
  await version.catch(error => {
    version = undefined
    throw error
  })
  await inTurn(mirror.dir, async () => {
    const sound = (await isRepository(mirror)) && !(isSuspect(mirror.dir) && (await isDamaged(mirror)))
    if (!sound) await makeRepository(mirror)
    lookedOver(mirror.dir, !sound)
    if (!opened.has(mirror.dir)) {
      await removeLeftovers(mirror)
      await rm(join(mirror.dir, SCRATCH), { recursive: true, force: true })
      opened.add(mirror.dir)
    }
  })
  return mirror
}

function checkAddress(mirror: Mirror): void {
  const url = URL.parse(mirror.url)
  const gitlab = URL.parse(mirror.gitlabUrl)
  if (gitlab === null || !/^https?:$/.test(gitlab.protocol)) {
    throw new CompopsError('The address of GitLab must begin with https:// or http://.')
  }
  const below =
    url !== null && url.origin === gitlab.origin && mirror.url.startsWith(`${mirror.gitlabUrl.replace(/\/+$/, '')}/`)
  if (!below || url.username !== '' || url.password !== '' || /\s/.test(mirror.url)) {
    throw new CompopsError(
      `The address of a project must lie below ${gitlab.origin}${gitlab.pathname}, without user or password.`,
    )
  }
}

/** Older ones read no configuration from the environment (2.31) or leave safe.directory out of it (2.35.3). */
async function checkVersion(mirror: Mirror): Promise<void> {
  const text = (await git(mirror, ['version'])).stdout.toString().trim()
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(text)?.slice(1) ?? []).map(Number)
  if (major < 2 || (major === 2 && minor < 39))
    throw new CompopsError(`git 2.39 or later is needed; this machine has "${text}"`)
}

async function isRepository(mirror: Mirror): Promise<boolean> {
  // An empty config file would do for git, but makes it no repository of ours.
  if (!(await sizeOf(join(mirror.dir, 'config')))) return false
  const asked = await git(mirror, ['rev-parse', '--is-bare-repository'], { accept: [128] })
  const listed = await git(mirror, ['for-each-ref', '--count=1'], { accept: [128] })
  const sound = asked.code === 0 && asked.stdout.toString().trim() === 'true' && listed.code === 0
  if (!sound) throwTrouble(mirror, asked.stderr + listed.stderr)
  return sound
}

/** The repository may well be sound: removing it would lose what was pinned. */
function throwTrouble(mirror: Mirror, stderr: string): void {
  const trouble = /Permission denied|Input\/output error|Too many open files|Cannot allocate memory|Stale file handle/
  if (trouble.test(stderr)) throw new GitError('git', `${mirror.dir}: ${gitWords(stderr)}`, { transient: true })
}

/** Whether what its refs need is all there. Content that git would not write today, which old projects have, is no damage (bit 1 of the exit code). */
async function isDamaged(mirror: Mirror): Promise<boolean> {
  const accept = Array.from({ length: 255 }, (_, code) => code)
  const found = await git({ ...mirror, deadline: GC_DEADLINE }, ['fsck', '--no-dangling', '--progress'], { accept })
  if ((found.code & ~1) === 0) return false
  throwTrouble(mirror, found.stderr)
  return true
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && /^(ENOENT|ENOTDIR)$/.test(String(error.code))) return 0
    throw new CompopsError(`${path} cannot be read`, { transient: true, cause: error })
  }
}

/** Made beside its place and moved there when whole. */
async function makeRepository(mirror: Mirror): Promise<void> {
  const beside = `${mirror.dir}.new-${randomBytes(4).toString('hex')}`
  await mkdir(dirname(mirror.dir), { recursive: true, mode: 0o700 })
  try {
    await git(mirror, ['init', '--quiet', '--bare', '--template=', '--', beside], { gitDir: beside })
    await rm(mirror.dir, { recursive: true, force: true })
    await rename(beside, mirror.dir)
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

/** Locks and unfinished packs of a git that was killed. Only called when no other writer of ours can be at it. */
async function removeLeftovers(mirror: Mirror): Promise<void> {
  const remove = (path: string) => rm(path, { recursive: true, force: true })
  for (const name of await readdir(mirror.dir)) if (name.endsWith('.lock')) await remove(join(mirror.dir, name))
  for (const entry of await readdir(join(mirror.dir, 'refs'), { recursive: true, withFileTypes: true })) {
    // No branch can end so: git-check-ref-format(1), rule 1.
    if (entry.isFile() && entry.name.endsWith('.lock')) await remove(join(entry.parentPath, entry.name))
  }
  for (const folder of ['objects', 'objects/pack']) {
    for (const name of await readdir(join(mirror.dir, folder)).catch(() => [])) {
      if (/^(tmp_|incoming-|tmp_objdir)/.test(name) || name.endsWith('.lock'))
        await remove(join(mirror.dir, folder, name))
    }
  }
}

/** A command that writes: what a killed one leaves behind is removed at once, else the next one would find its locks. */
async function writing<T>(mirror: Mirror, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof GitError && error.transient) await removeLeftovers(mirror).catch(() => {})
    throw error
  }
}

/** Runs a writer in its turn. */
export function asWriter<T>(mirror: Mirror, work: () => Promise<T>): Promise<T> {
  return inTurn(mirror.dir, () => writing(mirror, work))
}

/** A directory of its own for `work`, removed whatever happens. */
export async function inScratch<T>(mirror: Mirror, work: (dir: string) => Promise<T>): Promise<T> {
  const root = join(mirror.dir, SCRATCH)
  await mkdir(root, { recursive: true, mode: 0o700 })
  const dir = await mkdtemp(join(root, 'w-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Makes branches and tags as they are on GitLab. What was pinned (refs/compops) stays. */
export async function fetchMirror(mirror: Mirror): Promise<void> {
  await asWriter(mirror, async () => {
    // prune: a branch `a` that became `a/b` could not be stored beside its old self.
    const options = [
      '--prune',
      '--force',
      '--no-tags',
      '--no-write-fetch-head',
      '--no-recurse-submodules',
      '--progress',
    ]
    const refs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']
    await git(mirror, ['fetch', ...options, '--', mirror.url, ...refs], { remote: true })
    // Here and in the foreground, since a background gc would hold locks that nobody waits for. Does nothing unless packs have piled up.
    const gc: [string, string][] = [
      ['gc.auto', '6700'],
      ['gc.autoDetach', 'false'],
    ]
    // It shows no progress, hence the time; if it fails the fetch still counts.
    await git({ ...mirror, deadline: GC_DEADLINE }, ['gc', '--auto', '--quiet'], { config: gc }).catch(() =>
      removeLeftovers(mirror),
    )
  })
}

/**
 * All branches of the project as GitLab has them now: full ref to sha.
 *
 * @throws GitError rather than a partial listing.
 */
export async function listHeads(mirror: Mirror): Promise<ReadonlyMap<string, string>> {
  return listRemote(mirror, ['--heads'], [])
}

/** Where a branch or tag stands on GitLab now; null when there is none of exactly that name. */
export async function readHead(mirror: Mirror, ref: string): Promise<string | null> {
  // A name that git cannot hold exists nowhere, and must not become a pattern.
  if (!isRefName(ref)) return null
  // A pattern matches ends of names too: refs/heads/x also finds refs/heads/a/refs/heads/x (git-ls-remote(1)).
  return (await listRemote(mirror, ['--refs'], [ref])).get(ref) ?? null
}

async function listRemote(mirror: Mirror, options: string[], patterns: string[]): Promise<Map<string, string>> {
  const args = ['ls-remote', '--quiet', ...options, '--', mirror.url, ...patterns]
  const answer = await git(mirror, args, { remote: true })
  const heads = new Map<string, string>()
  for (const line of answer.stdout.toString().split('\n')) {
    if (line === '') continue
    const [sha = '', ref = ''] = line.split('\t')
    if (!isSha(sha) || !ref.startsWith('refs/'))
      throw new UnreadableError(`git ls-remote ${mirror.url}: cannot read ${JSON.stringify(line.slice(0, 200))}`)
    heads.set(ref, sha)
  }
  if (heads.size === 0) await confirmEmpty(mirror, args)
  return heads
}

/**
 * An empty 200 answer, say of a proxy, passes for the "dumb" protocol with no branches at all (gitprotocol-http(5)), and would look like
 * every branch deleted. A git server ends its listing with a flush packet.
 */
async function confirmEmpty(mirror: Mirror, args: string[]): Promise<void> {
  const again = await git(mirror, args, { remote: true, environment: { GIT_TRACE_PACKET: '1' } })
  if (again.stdout.length > 0)
    throw new GitError('network', `git ls-remote ${mirror.url}: two listings differ; try again`)
  if (!/packet:\s.*< 0000$/m.test(again.stderr)) {
    throw new GitError('network', `git ls-remote ${mirror.url}: the answer is empty and not that of a git server`)
  }
}

const keepRef = (sha: string) => `refs/compops/keep/${sha}`

/**
 * Has the commit here, whole, and pinned so that it survives force-pushes and deletions; false when GitLab does not have it (any more).
 *
 * @throws GitError when GitLab cannot be asked.
 */
export async function ensureCommit(mirror: Mirror, sha: string): Promise<boolean> {
  checkSha(sha)
  const pinned = await git(mirror, ['rev-parse', '--quiet', '--verify', `${keepRef(sha)}^{commit}`], {
    accept: [1, 128],
  })
  if (pinned.code === 0) return true
  if (await pinCommit(mirror, sha)) return true
  let trouble: unknown
  await fetchMirror(mirror).catch(error => {
    trouble = error
  })
  if (trouble instanceof GitError && trouble.kind !== 'git') throw trouble
  if (trouble === undefined && (await pinCommit(mirror, sha))) return true
  if (!(await fetchCommit(mirror, sha))) return false
  return pinCommit(mirror, sha)
}

/** Whether the commit is here already, pinned now; GitLab is not asked. */
export async function hasCommit(mirror: Mirror, sha: string): Promise<boolean> {
  checkSha(sha)
  return pinCommit(mirror, sha)
}

/** True when the commit with all its files and history is here; then it is pinned. */
async function pinCommit(mirror: Mirror, sha: string): Promise<boolean> {
  const type = await git(mirror, ['cat-file', '-t', sha], { accept: [1, 128] })
  if (type.stdout.toString().trim() !== 'commit') return false
  return asWriter(mirror, async () => {
    const whole = await git(mirror, ['rev-list', '--quiet', '--objects', sha, '--not', '--all'], { accept: [1, 128] })
    if (whole.code !== 0) return false
    await git(mirror, ['update-ref', keepRef(sha), sha])
    return true
  })
}

/** Fetches one commit by its id, which GitLab allows; false when it says that it has no such object. */
async function fetchCommit(mirror: Mirror, sha: string): Promise<boolean> {
  checkSha(sha)
  try {
    await asWriter(mirror, () =>
      git(
        mirror,
        ['fetch', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--progress', '--', mirror.url, sha],
        { remote: true },
      ),
    )
    return true
  } catch (error) {
    // upload-pack.c; the second with protocol version 0
    if (error instanceof GitError && /not our ref|unadvertised object/.test(error.message)) return false
    throw error
  }
}
