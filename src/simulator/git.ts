import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Git on a bare repository, always as an argument list, never through a shell. Names that came from outside go in on standard input
 * and come back as object ids, so that a branch called `$(id)` or `--upload-pack=x` stays a name.
 */

/** Nothing of the person's own git configuration may colour the simulator. */
export const GIT_ENVIRONMENT = {
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
}

export interface GitOptions {
  input?: string | Uint8Array
  environment?: Record<string, string>
  /** Exit codes that are answers and not failures; 0 always is. */
  accept?: number[]
}

export interface GitResult {
  code: number
  stdout: Buffer
}

const MAX_PROCESSES = 8
let running = 0
const waiting: (() => void)[] = []

async function takeTurn(): Promise<() => void> {
  if (running >= MAX_PROCESSES) await new Promise<void>(resolve => waiting.push(resolve))
  else running += 1
  return () => {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }
}

/** @throws Error with git's own message when the exit code is not accepted. */
export async function git(directory: string, args: string[], options: GitOptions = {}): Promise<GitResult> {
  const done = await takeTurn()
  try {
    return await new Promise<GitResult>((resolve, reject) => {
      const child = spawn('git', ['--git-dir', directory, '--literal-pathspecs', ...args], {
        env: { ...GIT_ENVIRONMENT, ...options.environment },
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      const stdout: Buffer[] = []
      const stderr: Buffer[] = []
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
      child.on('error', reject)
      child.on('close', code => {
        const exit = code ?? -1
        if (exit !== 0 && !options.accept?.includes(exit)) {
          reject(new Error(`git ${args[0]} failed (${exit}): ${Buffer.concat(stderr).toString().trim()}`))
        } else resolve({ code: exit, stdout: Buffer.concat(stdout) })
      })
      // Git may end before it has read everything; that is its answer, not our error.
      child.stdin.on('error', () => {})
      child.stdin.end(options.input ?? '')
    })
  } finally {
    done()
  }
}

async function gitText(directory: string, args: string[], options?: GitOptions): Promise<string> {
  return (await git(directory, args, options)).stdout.toString()
}

/** A bare repository as `git init --bare` makes it, with the settings Gitaly pushes into. Written directly: seeding a demo should not wait for a dozen processes. */
export function initRepository(directory: string, defaultBranch: string): void {
  // What an earlier simulator left here belongs to a memory that is gone.
  rmSync(directory, { recursive: true, force: true })
  knownCommits.delete(directory)
  for (const folder of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags', 'info']) {
    mkdirSync(join(directory, folder), { recursive: true })
  }
  writeFileSync(join(directory, 'HEAD'), `ref: refs/heads/${defaultBranch}\n`)
  writeFileSync(join(directory, 'config'), REPOSITORY_CONFIG)
}

const REPOSITORY_CONFIG = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	hooksPath = /dev/null
[gc]
	auto = 0
[receive]
	advertisePushOptions = true
	denyDeleteCurrent = ignore
	fsckObjects = true
	autogc = false
	hideRefs = refs/merge-requests
	hideRefs = refs/pipelines
[receive "fsck"]
	badTimezone = ignore
	missingSpaceBeforeDate = ignore
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
`

/** Branches and tags of one repository into another, as a fork has them. */
export async function copyRefs(directory: string, from: string): Promise<void> {
  await git(directory, [
    'fetch',
    '--quiet',
    '--no-write-fetch-head',
    from,
    '+refs/heads/*:refs/heads/*',
    '+refs/tags/*:refs/tags/*',
  ])
}

const SHA = /^[0-9a-f]{40}$/
const SHORT_SHA = /^[0-9a-f]{4,40}$/

/** True for what git accepts as the name of a branch or tag (git-check-ref-format(1)). */
export function isRefName(name: string): boolean {
  return (
    name !== '' &&
    name !== '@' &&
    !name.startsWith('-') &&
    !name.startsWith('/') &&
    !name.endsWith('/') &&
    !name.endsWith('.') &&
    !/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\//.test(name) &&
    name.split('/').every(part => !part.startsWith('.') && !part.endsWith('.lock'))
  )
}

/** The object an expression names, null when there is none. */
async function objectId(directory: string, expression: string): Promise<string | null> {
  const text = await gitText(directory, ['cat-file', '-z', '--batch-check'], { input: `${expression}\0` })
  // `<id> <type> <size>`; a missing or ambiguous name is echoed, and may hold anything.
  return /^([0-9a-f]{40}) [a-z]+ \d+\n$/.exec(text)?.[1] ?? null
}

/** Commits never go (`gc.auto` is 0), so a full sha that was found once is not looked up again. */
const knownCommits = new Map<string, Set<string>>()
const MAX_KNOWN = 20_000

function isKnown(directory: string, sha: string): boolean {
  return knownCommits.get(directory)?.has(sha) ?? false
}

function markKnown(directory: string, sha: string): void {
  const known = knownCommits.get(directory) ?? new Set()
  knownCommits.set(directory, known)
  if (known.size >= MAX_KNOWN) known.clear()
  known.add(sha)
}

/** The commit that a full or short sha, branch, tag, `HEAD` or full ref stands for. */
export async function resolveCommit(directory: string, name: string): Promise<string | null> {
  if (isKnown(directory, name)) return name
  const candidates: string[] = []
  if (SHORT_SHA.test(name)) candidates.push(name)
  if (name === 'HEAD') candidates.push('HEAD')
  if (isRefName(name)) {
    if (name.startsWith('refs/')) candidates.push(name)
    candidates.push(`refs/heads/${name}`, `refs/tags/${name}`)
  }
  for (const candidate of candidates) {
    const id = await objectId(directory, `${candidate}^{commit}`)
    if (id) {
      markKnown(directory, id)
      return id
    }
  }
  return null
}

export async function resolveRef(directory: string, ref: string): Promise<string | null> {
  if (!isRefName(ref)) return null
  return objectId(directory, ref)
}

export interface Ref {
  name: string
  /** The commit, also for an annotated tag. */
  sha: string
  object: string
  message: string | null
}

/** Refs below `prefix` (`refs/heads`), in git's order, names without the prefix. */
export async function listRefs(directory: string, prefix: string, options: string[] = []): Promise<Ref[]> {
  const format = '%(refname)%00%(objectname)%00%(*objectname)%00%(contents:subject)'
  const text = await gitText(directory, ['for-each-ref', `--format=${format}`, ...options, `${prefix}/`])
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [name = '', object = '', peeled = '', subject = ''] = line.split('\0')
      return {
        name: name.slice(prefix.length + 1),
        object,
        sha: peeled === '' ? object : peeled,
        message: peeled === '' ? null : subject,
      }
    })
}

export async function branchesContaining(directory: string, sha: string): Promise<string[]> {
  return (await listRefs(directory, 'refs/heads', [`--contains=${sha}`])).map(ref => ref.name)
}

export interface Person {
  name: string
  email: string
  date: string
}

export interface Commit {
  id: string
  tree: string
  parents: string[]
  author: Person
  committer: Person
  message: string
  title: string
}

// The message stands last: it alone may hold the separator.
const COMMIT_FORMAT = '%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B'

function readCommit(record: string): Commit {
  const fields = record.split('\x1f')
  const [id = '', tree = '', parents = '', an = '', ae = '', ad = '', cn = '', ce = '', cd = ''] = fields
  const message = fields.slice(9).join('\x1f')
  return {
    id,
    tree,
    parents: parents.split(' ').filter(parent => parent !== ''),
    author: { name: an, email: ae, date: ad },
    committer: { name: cn, email: ce, date: cd },
    message,
    title: message.split('\n', 1)[0] ?? '',
  }
}

export interface LogOptions {
  from: string[]
  except?: string[]
  max?: number
  skip?: number
  path?: string
  since?: string
  until?: string
  firstParent?: boolean
}

/** Newest first. `from` and `except` are object ids. */
export async function listCommits(directory: string, options: LogOptions): Promise<Commit[]> {
  const args = ['log', '-z', `--format=${COMMIT_FORMAT}`]
  if (options.max !== undefined) args.push(`--max-count=${options.max}`)
  if (options.skip !== undefined) args.push(`--skip=${options.skip}`)
  if (options.since !== undefined) args.push(`--since=${options.since}`)
  if (options.until !== undefined) args.push(`--until=${options.until}`)
  if (options.firstParent) args.push('--first-parent')
  args.push('--stdin')
  if (options.path !== undefined && options.path !== '') args.push('--', options.path)
  const input = [...options.from, ...(options.except ?? []).map(sha => `^${sha}`)].join('\n')
  const text = await gitText(directory, args, { input: `${input}\n` })
  return text
    .split('\0')
    .filter(record => record !== '')
    .map(readCommit)
}

export async function findCommit(directory: string, sha: string): Promise<Commit | null> {
  const [commit] = await listCommits(directory, { from: [sha], max: 1 })
  return commit ?? null
}

export async function countCommits(directory: string, from: string, except: string[]): Promise<number> {
  const text = await gitText(directory, ['rev-list', '--count', from, ...except.map(sha => `^${sha}`)])
  return Number(text.trim())
}

export async function isAncestor(directory: string, ancestor: string, descendant: string): Promise<boolean> {
  const { code } = await git(directory, ['merge-base', '--is-ancestor', ancestor, descendant], { accept: [1, 128] })
  return code === 0
}

export async function mergeBase(directory: string, shas: string[]): Promise<string | null> {
  const { code, stdout } = await git(directory, ['merge-base', ...shas], { accept: [1] })
  return code === 0 ? stdout.toString().trim() : null
}

export interface TreeEntry {
  mode: string
  type: 'blob' | 'tree' | 'commit'
  id: string
  path: string
  name: string
}

/** Entries of a directory, null when there is no such directory. */
export async function listTree(
  directory: string,
  sha: string,
  path: string,
  recursive: boolean,
): Promise<TreeEntry[] | null> {
  const clean = path.replace(/^\/+|\/+$/g, '')
  const id = await objectId(directory, clean === '' ? `${sha}^{tree}` : `${sha}:${clean}`)
  if (!id) return null
  const result = await git(directory, ['ls-tree', '-z', ...(recursive ? ['-r', '-t'] : []), id], { accept: [128] })
  if (result.code !== 0) return null
  return result.stdout
    .toString()
    .split('\0')
    .filter(line => line !== '')
    .map(line => {
      const tab = line.indexOf('\t')
      const [mode = '', type = 'blob', entry = ''] = line.slice(0, tab).split(' ')
      const below = line.slice(tab + 1)
      const full = clean === '' ? below : `${clean}/${below}`
      return { mode, type: type as TreeEntry['type'], id: entry, path: full, name: below.split('/').at(-1) ?? below }
    })
}

export interface Blob {
  id: string
  bytes: Buffer
}

export async function readBlob(directory: string, sha: string, path: string): Promise<Blob | null> {
  if (path === '' || path.includes('\0')) return null
  const { stdout } = await git(directory, ['cat-file', '-z', '--batch'], { input: `${sha}:${path}\0` })
  const end = stdout.indexOf(10)
  const [id, type, size] = stdout.subarray(0, end).toString().split(' ')
  if (type !== 'blob' || id === undefined || !SHA.test(id)) return null
  return { id, bytes: stdout.subarray(end + 1, end + 1 + Number(size)) }
}

export interface ChangedFiles {
  added: string[]
  modified: string[]
  removed: string[]
}

/** What each commit changed against its first parent, as push hooks tell it. */
export async function listChangedFiles(directory: string, shas: string[]): Promise<Map<string, ChangedFiles>> {
  const found = new Map<string, ChangedFiles>()
  if (shas.length === 0) return found
  const args = ['diff-tree', '--stdin', '-z', '-r', '-m', '--root', '--no-renames', '--name-status']
  const text = await gitText(directory, args, { input: `${shas.join('\n')}\n` })
  let current: ChangedFiles | undefined
  const words = text.split('\0')
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    const sha = word.slice(0, 40)
    if (SHA.test(sha) && shas.includes(sha)) {
      // `-m` lists a merge once for each parent; the first list is the one against the first parent.
      if (found.has(sha)) current = undefined
      else {
        current = { added: [], modified: [], removed: [] }
        found.set(sha, current)
      }
      continue
    }
    if (word === '') continue
    index += 1
    const path = words[index] ?? ''
    if (word === 'A') current?.added.push(path)
    else if (word === 'D') current?.removed.push(path)
    else current?.modified.push(path)
  }
  return found
}

export interface FileDiff {
  oldPath: string
  newPath: string
  oldMode: string
  newMode: string
  newFile: boolean
  renamedFile: boolean
  deletedFile: boolean
  diff: string
}

const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'

/** Differences between two commits; `from` null is the empty tree. */
export async function listDiffs(directory: string, from: string | null, to: string): Promise<FileDiff[]> {
  const base = from ?? EMPTY_TREE
  const raw = await gitText(directory, ['diff-tree', '-r', '-M', '-z', '--raw', base, to])
  const patch = await gitText(directory, ['diff-tree', '-r', '-M', '-p', '--no-color', '--full-index', base, to])
  // Both list the same files in the same order; names are taken from the raw list, where they are not quoted.
  const patches = `\n${patch}`.split('\ndiff --git ').slice(1)
  const diffs: FileDiff[] = []
  const words = raw.split('\0')
  for (let index = 0; index < words.length - 1; index += 1) {
    const [oldMode = '', newMode = '', , , status = ''] = (words[index] ?? '').replace(/^:/, '').split(' ')
    index += 1
    const oldPath = words[index] ?? ''
    const moved = status.startsWith('R') || status.startsWith('C')
    if (moved) index += 1
    const hunks = patches[diffs.length] ?? ''
    const start = hunks.indexOf('\n@@')
    diffs.push({
      oldPath,
      newPath: moved ? (words[index] ?? '') : oldPath,
      oldMode: oldMode.padStart(6, '0'),
      newMode: newMode.padStart(6, '0'),
      newFile: status === 'A',
      renamedFile: moved,
      deletedFile: status === 'D',
      diff: start === -1 ? '' : `${hunks.slice(start + 1).replace(/\n$/, '')}\n`,
    })
  }
  return diffs
}

/** Creates, moves or deletes (`after` null) a ref; `before` guards against a move in between. */
export async function updateRef(directory: string, ref: string, after: string | null, before?: string): Promise<void> {
  if (!isRefName(ref) || !ref.startsWith('refs/')) throw new Error(`not a ref: ${JSON.stringify(ref)}`)
  const expected = before === undefined ? [] : [before]
  if (after === null) await git(directory, ['update-ref', '-d', ref, ...expected])
  else await git(directory, ['update-ref', ref, after, ...expected])
}

/** Brings an object from another repository and names it `ref`. */
export async function fetchObject(directory: string, from: string, sha: string, ref: string): Promise<void> {
  await git(directory, ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', from, `+${sha}:${ref}`])
}

function identity(person: Person, role: 'AUTHOR' | 'COMMITTER'): Record<string, string> {
  return {
    [`GIT_${role}_NAME`]: person.name,
    [`GIT_${role}_EMAIL`]: person.email,
    [`GIT_${role}_DATE`]: person.date,
  }
}

/** The tree that merging gives, null when there is a conflict. */
export async function mergeTree(directory: string, ours: string, theirs: string): Promise<string | null> {
  const args = ['merge-tree', '--write-tree', '--no-messages', '--allow-unrelated-histories', ours, theirs]
  const { code, stdout } = await git(directory, args, { accept: [1] })
  return code === 0 ? stdout.toString().trim() : null
}

export async function commitTree(
  directory: string,
  tree: string,
  parents: string[],
  message: string,
  person: Person,
): Promise<string> {
  const environment = { ...identity(person, 'AUTHOR'), ...identity(person, 'COMMITTER') }
  const args = ['commit-tree', tree, ...parents.flatMap(parent => ['-p', parent])]
  return (await gitText(directory, args, { input: message, environment })).trim()
}

/** Files by path; null removes one. Text stays a plain file unless `executable` names it. */
export interface CommitFiles {
  ref: string
  from: string | null
  files: Record<string, string | Uint8Array | null>
  executable?: string[]
  message: string
  author: Person
}

/** Writes one commit without a worktree and moves the ref to it. */
export async function commitFiles(directory: string, commit: CommitFiles): Promise<string> {
  const chunks: Buffer[] = []
  const line = (text: string) => chunks.push(Buffer.from(`${text}\n`))
  const data = (content: string | Uint8Array) => {
    const bytes = Buffer.from(content as Uint8Array)
    line(`data ${bytes.length}`)
    chunks.push(bytes, Buffer.from('\n'))
  }
  const plain = (text: string) => text.replace(/[<>\n\0]/g, '')
  const seconds = Math.floor(new Date(commit.author.date).getTime() / 1000)
  const who = `${plain(commit.author.name)} <${plain(commit.author.email)}> ${seconds} +0000`
  line(`commit ${commit.ref}`)
  line(`author ${who}`)
  line(`committer ${who}`)
  data(commit.message)
  if (commit.from !== null) line(`from ${commit.from}`)
  for (const [path, content] of Object.entries(commit.files)) {
    const quoted = `"${path.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`
    if (content === null) line(`D ${quoted}`)
    else {
      line(`M ${commit.executable?.includes(path) ? '100755' : '100644'} inline ${quoted}`)
      data(content)
    }
  }
  await git(directory, ['fast-import', '--quiet', '--force'], { input: Buffer.concat(chunks) })
  const sha = await resolveRef(directory, commit.ref)
  if (sha === null) throw new Error(`the commit on ${commit.ref} was not written`)
  return sha
}
