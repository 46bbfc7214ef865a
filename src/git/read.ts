import { UnreadableError } from '../errors.ts'
import { git } from './git.ts'
import type { Mirror } from './mirror.ts'
import { checkSha, isTreePath } from './names.ts'

export interface Commit {
  readonly sha: string
  readonly parents: readonly string[]
  readonly authorName: string
  readonly authorEmail: string
  readonly committerName: string
  readonly committerEmail: string
  readonly authoredAt: Date
  readonly committedAt: Date
  /** The first paragraph on one line. */
  readonly subject: string
  readonly message: string
  /** Without a prototype; one that stands several times has its values on lines of their own. */
  readonly trailers: Readonly<Record<string, string>>
}

export interface TreeEntry {
  readonly mode: string
  readonly oid: string
  readonly path: string
}

/** A file of a commit, read without a checkout. Symbolic links are not followed: they are not files. */
export async function readFile(
  mirror: Mirror,
  sha: string,
  path: string,
  limits: { maxBytes: number },
): Promise<{ text: string; blob: string } | 'absent' | 'too large' | 'not a file'> {
  checkSha(sha)
  if (!isTreePath(path)) return 'absent'
  const listing = await git(mirror, ['ls-tree', '-z', '-l', '--full-tree', sha, '--', path])
  const line = listing.stdout.toString().split('\0')[0] ?? ''
  if (line === '') return 'absent'
  // `BAD` is the size of what is missing here: git says so when it is read.
  const [, mode = '', type, oid = '', size] = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-|BAD)\t/.exec(line) ?? []
  if (type !== 'blob' || mode === '120000') return 'not a file'
  if (Number(size) > limits.maxBytes) return 'too large'
  const { stdout } = await git(mirror, ['cat-file', 'blob', oid])
  return { text: stdout.toString('utf8'), blob: oid }
}

/** Everything in the tree of a commit, submodules too. */
export async function listTree(mirror: Mirror, sha: string): Promise<TreeEntry[]> {
  checkSha(sha)
  const { stdout } = await git(mirror, ['ls-tree', '-r', '-z', '--full-tree', sha])
  const entries: TreeEntry[] = []
  for (const line of stdout.toString().split('\0')) {
    if (line === '') continue
    const [, mode = '', oid = '', path = ''] = /^(\d+) \w+ ([0-9a-f]+)\t([\s\S]*)$/.exec(line) ?? []
    if (path === '') throw new UnreadableError(`git ls-tree: cannot read ${JSON.stringify(line.slice(0, 200))}`)
    entries.push({ mode, oid, path })
  }
  return entries
}

/** Paths of files and symbolic links, in git's order. */
export async function listFiles(mirror: Mirror, sha: string): Promise<string[]> {
  return (await listTree(mirror, sha)).filter(entry => entry.mode !== '160000').map(entry => entry.path)
}

/** Paths that differ between two commits; of what was renamed both. */
export async function changedPaths(mirror: Mirror, from: string, to: string): Promise<string[]> {
  checkSha(from)
  checkSha(to)
  const { stdout } = await git(mirror, ['diff-tree', '-r', '-z', '--name-only', '--no-renames', from, to])
  return stdout
    .toString()
    .split('\0')
    .filter(path => path !== '')
}

/** The best common ancestor; null when the two have none. */
export async function mergeBase(mirror: Mirror, a: string, b: string): Promise<string | null> {
  checkSha(a)
  checkSha(b)
  const { code, stdout } = await git(mirror, ['merge-base', a, b], { accept: [1] })
  return code === 0 ? stdout.toString().trim() : null
}

/** Whether `b` contains `a`. A commit is its own ancestor. */
export async function isAncestor(mirror: Mirror, a: string, b: string): Promise<boolean> {
  checkSha(a)
  checkSha(b)
  return (await git(mirror, ['merge-base', '--is-ancestor', a, b], { accept: [1] })).code === 0
}

export async function readCommit(mirror: Mirror, sha: string): Promise<Commit> {
  checkSha(sha)
  const { stdout } = await git(mirror, ['cat-file', 'commit', sha])
  const commit = parseCommit(sha, stdout)
  // Most messages have none, and a process each is much where one push moves hundreds of branches: a trailer stands behind the title, and has a colon.
  if (!/\n[^\n:]*:/.test(commit.message)) return { ...commit, trailers: parseTrailers('') }
  // Git itself decides what a trailer is. It gets the same text as our reader, as divided by no patch line.
  const parsed = await git(mirror, ['interpret-trailers', '--parse', '--no-divider'], { input: commit.message })
  return { ...commit, trailers: parseTrailers(parsed.stdout.toString()) }
}

/** Reads the raw commit object (git-cat-file(1)) of whatever bytes; what is not readable becomes U+FFFD, a missing date the epoch. */
export function parseCommit(sha: string, raw: Buffer): Omit<Commit, 'trailers'> {
  const split = raw.indexOf('\n\n')
  const head = split < 0 ? raw : raw.subarray(0, split)
  const body = split < 0 ? Buffer.alloc(0) : raw.subarray(split + 2)
  const decode = decoderFor(/^encoding (.+)$/m.exec(head.toString('latin1'))?.[1])
  const parents: string[] = []
  let author = readIdentity('')
  let committer = author
  // Lines that begin with a space go on with the one before (signatures), and match nothing here.
  for (const line of decode(head).split('\n')) {
    if (line.startsWith('parent ')) parents.push(line.slice(7))
    else if (line.startsWith('author ')) author = readIdentity(line.slice(7))
    else if (line.startsWith('committer ')) committer = readIdentity(line.slice(10))
  }
  const message = decode(body)
  return {
    sha,
    parents,
    authorName: author.name,
    authorEmail: author.email,
    committerName: committer.name,
    committerEmail: committer.email,
    authoredAt: author.at,
    committedAt: committer.at,
    subject: (message.trimStart().split(/\n\s*\n/)[0] ?? '').replace(/\s+/g, ' ').trim(),
    message,
  }
}

function decoderFor(encoding: string | undefined): (bytes: Buffer) => string {
  let decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  try {
    if (encoding !== undefined) decoder = new TextDecoder(encoding.trim())
  } catch {
    // an encoding that nobody knows
  }
  // No database column and no argument list takes a zero byte.
  return bytes => decoder.decode(bytes).replaceAll('\0', '\ufffd')
}

function readIdentity(text: string): { name: string; email: string; at: Date } {
  const open = text.indexOf('<')
  const close = open < 0 ? -1 : text.indexOf('>', open)
  // Of its end only: whoever pushes chooses the name, and its length.
  const date = close < 0 ? null : /(?:^|[^\d-])(-?\d+)(?: [+-]\d+)?$/.exec(text.slice(close + 1).slice(-100))
  if (date === null) return { name: '', email: '', at: new Date(0) }
  const at = new Date(Number(date[1]) * 1000)
  return {
    name: text.slice(0, open).trimEnd(),
    email: text.slice(open + 1, close),
    at: Number.isNaN(at.getTime()) ? new Date(0) : at,
  }
}

function parseTrailers(text: string): Record<string, string> {
  const trailers: Record<string, string> = Object.create(null)
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const key = line.slice(0, colon).trim()
    const value = line.slice(colon + 1).trim()
    trailers[key] = trailers[key] === undefined ? value : `${trailers[key]}\n${value}`
  }
  return trailers
}
