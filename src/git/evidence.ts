import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompopsError } from '../errors.ts'
import { GitError, gitWords, kindOf } from './errors.ts'
import { git } from './git.ts'
import { asWriter, inScratch, type Mirror, readHead } from './mirror.ts'
import { isRefName, isTreePath } from './names.ts'

export interface EvidenceCommit {
  /** Short name, such as `compops/evidence`. */
  readonly branch: string
  readonly message: string
  readonly trailers: Readonly<Record<string, string>>
  readonly author: { readonly name: string; readonly email: string }
  /** From the data, not from the clock: the same facts give the same commit. */
  readonly date: Date
  /** What the files should hold, seen from the branch as it is; null removes one. Called again when somebody else was faster. */
  readonly build: (
    read: (path: string) => Promise<string | null>,
    tip: EvidenceTip,
  ) => Promise<ReadonlyMap<string, EvidenceContent | null>>
  /** Beside `ci.skip`. */
  readonly pushOptions?: readonly string[]
}

/** Text, bytes that are fetched when it is their turn (all at once they may be more than the memory holds), or what git has here already under this name. */
export type EvidenceContent = string | (() => Promise<Uint8Array>) | { readonly blob: string }

/** The branch as it is, with all its objects here. */
export interface EvidenceTip {
  /** Paths of the files below a folder. */
  list(folder: string): Promise<string[]>
  /** Which of these blobs are not here. */
  lacking(blobs: readonly string[]): Promise<ReadonlySet<string>>
}

export interface EvidenceResult {
  /** The tip of the branch; forty zeros when there is neither branch nor content. */
  readonly sha: string
  /** What it was built on: the tip as it was found, or where it was last seen; null where it began anew. */
  readonly base: string | null
  /** False: the branch already holds all that. */
  readonly pushed: boolean
}

const ATTEMPTS = 6
const NO_COMMIT = '0'.repeat(40)

/**
 * Commits files to a branch, made in the mirror and pushed forward only; a branch that is not there begins without history, or where we last
 * saw it. A push whose answer was lost is found done the next time.
 *
 * @throws GitError 'rejected' with GitLab's words when it refuses (transient only if others kept being faster), else as any git command.
 */
export async function commitEvidence(mirror: Mirror, evidence: EvidenceCommit): Promise<EvidenceResult> {
  const ref = `refs/heads/${evidence.branch}`
  if (!isRefName(ref)) throw new CompopsError(`${JSON.stringify(evidence.branch)} is not the name of a branch`)
  if (Number.isNaN(evidence.date.getTime())) throw new CompopsError('the evidence has no date')
  return asWriter(mirror, () =>
    inScratch(mirror, async scratch => {
      for (let attempt = 1; ; attempt++) {
        const dir = join(scratch, String(attempt))
        await mkdir(dir)
        const result = await commitOnce(mirror, evidence, ref, dir)
        if (result !== 'moved') return result
        if (attempt >= ATTEMPTS) {
          const message = `git push ${mirror.url}: ${evidence.branch} moved ${ATTEMPTS} times while evidence was being added`
          throw new GitError('rejected', message, { transient: true })
        }
        await sleep(Math.random() * 40 * 2 ** attempt)
      }
    }),
  )
}

async function commitOnce(
  mirror: Mirror,
  evidence: EvidenceCommit,
  ref: string,
  dir: string,
): Promise<EvidenceResult | 'moved'> {
  const remote = await readHead(mirror, ref)
  const tip = remote ?? (await lastKnown(mirror, evidence.branch))
  if (remote !== null) await follow(mirror, evidence.branch, remote)
  const changes = await evidence.build(path => readAt(mirror, tip, path), tipOf(mirror, tip))
  const tree = await buildTree(mirror, tip, changes, dir)
  const same = tip === null ? changes.size === 0 : tree === (await treeOf(mirror, tip))
  if (same && (remote !== null || tip === null)) return { sha: tip ?? NO_COMMIT, base: tip, pushed: false }
  // The same content, but the branch was deleted: it is put back as it was.
  const sha = same && tip !== null ? tip : await commitTree(mirror, evidence, tree, tip)
  if (!(await push(mirror, evidence, ref, sha))) return 'moved'
  await git(mirror, ['update-ref', lastRef(evidence.branch), sha])
  return { sha, base: tip, pushed: true }
}

export interface EvidenceFile {
  readonly path: string
  readonly oid: string
  readonly size: number
}

/** The files below a folder of the evidence branch at this tip, which is fetched where it is not here. */
export async function listEvidence(
  mirror: Mirror,
  { branch, tip, folder }: { readonly branch: string; readonly tip: string; readonly folder: string },
): Promise<EvidenceFile[]> {
  if (!isRefName(`refs/heads/${branch}`) || !isTreePath(folder))
    throw new CompopsError(`${JSON.stringify(`${branch} ${folder}`)} is no place of evidence`)
  await asWriter(mirror, () => follow(mirror, branch, tip))
  const { stdout } = await git(mirror, ['ls-tree', '-r', '-l', '-z', '--full-tree', tip, '--', folder])
  const files: EvidenceFile[] = []
  for (const line of stdout.toString().split('\0')) {
    const [, oid, size, path] = /^100\d+ blob ([0-9a-f]+) +(\d+)\t([\s\S]*)$/.exec(line) ?? []
    if (oid !== undefined && path !== undefined) files.push({ path, oid, size: Number(size) })
  }
  return files
}

/** The text of blobs that are here, by oid, in one process. */
export async function readBlobs(mirror: Mirror, oids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  if (oids.length === 0) return texts
  const { stdout } = await git(mirror, ['cat-file', '--batch'], { input: oids.map(oid => `${oid}\n`).join('') })
  for (let at = 0; at < stdout.length; ) {
    const end = stdout.indexOf(10, at)
    const [oid = '', type, size] = stdout.subarray(at, end).toString().split(' ')
    at = end + 1
    if (type !== 'blob') continue
    texts.set(oid, stdout.subarray(at, at + Number(size)).toString('utf8'))
    at += Number(size) + 1
  }
  return texts
}

const lastRef = (branch: string) => `refs/compops/last/${branch}`

async function lastKnown(mirror: Mirror, branch: string): Promise<string | null> {
  const { code, stdout } = await git(mirror, ['rev-parse', '--quiet', '--verify', `${lastRef(branch)}^{commit}`], {
    accept: [1, 128],
  })
  return code === 0 ? stdout.toString().trim() : null
}

/** Has the tip here, and remembers it in case that somebody deletes the branch. */
async function follow(mirror: Mirror, branch: string, sha: string): Promise<void> {
  if ((await lastKnown(mirror, branch)) === sha) return
  const options = ['--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--progress']
  await git(mirror, ['fetch', ...options, '--', mirror.url, sha], { remote: true })
  await git(mirror, ['update-ref', lastRef(branch), sha])
}

async function readAt(mirror: Mirror, tip: string | null, path: string): Promise<string | null> {
  checkPath(path)
  if (tip === null) return null
  const listing = await git(mirror, ['ls-tree', '-z', '--full-tree', tip, '--', path])
  const oid = /^100\d+ blob ([0-9a-f]+)\t/.exec(listing.stdout.toString())?.[1]
  return oid === undefined ? null : (await git(mirror, ['cat-file', 'blob', oid])).stdout.toString()
}

function tipOf(mirror: Mirror, tip: string | null): EvidenceTip {
  return {
    async list(folder) {
      checkPath(folder)
      if (tip === null) return []
      const { stdout } = await git(mirror, ['ls-tree', '-r', '-z', '--name-only', '--full-tree', tip, '--', folder])
      return stdout.toString().split('\0').filter(Boolean)
    },
    async lacking(blobs) {
      if (blobs.length === 0) return new Set()
      const input = blobs.map(blob => `${blob}\n`).join('')
      const { stdout } = await git(mirror, ['cat-file', '--batch-check=%(objectname) %(objecttype)'], { input })
      const answers = stdout.toString().split('\n')
      return new Set(blobs.filter((_, index) => !answers[index]?.endsWith(' blob')))
    },
  }
}

/** A file of the evidence branch by git's name for it; the branch is fetched where it is not here. null where it holds no such thing. */
export async function readEvidenceBlob(
  mirror: Mirror,
  { branch, tip, blob }: { readonly branch: string; readonly tip: string; readonly blob: string },
): Promise<Buffer | null> {
  await asWriter(mirror, () => follow(mirror, branch, tip))
  const answer = await git(mirror, ['cat-file', 'blob', blob], { accept: [128] })
  return answer.code === 0 ? answer.stdout : null
}

function checkPath(path: string): void {
  if (!isTreePath(path)) {
    throw new CompopsError(
      `${JSON.stringify(path)} is no place for evidence: relative paths only, without empty, ".", ".." or ".git" parts`,
    )
  }
}

async function treeOf(mirror: Mirror, commit: string): Promise<string> {
  return (await git(mirror, ['rev-parse', '--verify', `${commit}^{tree}`])).stdout.toString().trim()
}

/** The tree of the tip with the changes, in an index of its own. */
async function buildTree(
  mirror: Mirror,
  tip: string | null,
  changes: ReadonlyMap<string, EvidenceContent | null>,
  dir: string,
): Promise<string> {
  const environment = { GIT_INDEX_FILE: join(dir, 'index') }
  await git(mirror, ['read-tree', ...(tip === null ? ['--empty'] : [tip])], { environment })
  for (const path of changes.keys()) checkPath(path)
  const written = [...changes].filter((change): change is [string, EvidenceContent] => change[1] !== null)
  const oids = await storeBlobs(
    mirror,
    written.map(([, content]) => content),
    dir,
  )
  const expected = new Set(await listIndex(mirror, environment))
  for (const [path, text] of changes) text === null ? expected.delete(path) : expected.add(path)
  // Removals first: a file may have become a folder.
  const removed = [...changes].filter(([, text]) => text === null).map(([path]) => `0 ${NO_COMMIT}\t${path}\0`)
  const added = written.map(([path], index) => `100644 ${oids[index]} 0\t${path}\0`)
  await git(mirror, ['update-index', '-z', '--index-info'], { environment, input: [...removed, ...added].join('') })
  // Git silently drops a file where a folder of that name is put, and the other way round. Evidence is never dropped.
  for (const path of await listIndex(mirror, environment)) expected.delete(path)
  for (const path of expected)
    throw new CompopsError(
      `evidence at ${JSON.stringify(path)} would be both a file and a folder; somebody has put something else there`,
      { transient: true },
    )
  return (await git(mirror, ['write-tree'], { environment })).stdout.toString().trim()
}

async function listIndex(mirror: Mirror, environment: Record<string, string>): Promise<string[]> {
  const { stdout } = await git(mirror, ['ls-files', '--cached', '-z'], { environment })
  return stdout.toString().split('\0').filter(Boolean)
}

/** All in one process: git reads them from files that we name. Returns their names, in order. */
async function storeBlobs(mirror: Mirror, contents: readonly EvidenceContent[], dir: string): Promise<string[]> {
  const paths: string[] = []
  for (const [index, content] of contents.entries()) {
    if (typeof content === 'object') continue
    const path = join(dir, `blob-${index}`)
    await writeFile(path, typeof content === 'string' ? content : await content())
    paths.push(path)
  }
  const { stdout } = await git(mirror, ['hash-object', '-w', '--no-filters', '--stdin-paths'], {
    input: paths.map(path => `${path}\n`).join(''),
  })
  const made = stdout.toString().split('\n').filter(Boolean).values()
  return contents.map(content => (typeof content === 'object' ? content.blob : made.next().value!))
}

async function commitTree(mirror: Mirror, evidence: EvidenceCommit, tree: string, tip: string | null): Promise<string> {
  const date = `@${Math.max(0, Math.floor(evidence.date.getTime() / 1000))} +0000`
  const given = oneLine(evidence.author.name.replace(/[<>]/g, ' '))
  // Git strips these characters from the ends, and refuses a name with nothing else in it (ident.c).
  const name = /[^\s.,:;<>"\\']/.test(given) ? given : 'ComputationalOps'
  const email = oneLine(evidence.author.email).replace(/[<>\s]/g, '')
  const environment = {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  }
  const parents = tip === null ? [] : ['-p', tip]
  const input = formatMessage(evidence.message, evidence.trailers)
  return (await git(mirror, ['commit-tree', ...parents, tree], { environment, input })).stdout.toString().trim()
}

/** The message, then the trailers as a paragraph of their own, so that no message can pass for one of them. */
export function formatMessage(message: string, trailers: Readonly<Record<string, string>>): string {
  const text = message
    .replace(/\r\n?/g, '\n')
    .replace(/[\0-\x08\x0b-\x1f\x7f]/g, '')
    .trim()
  const lines = Object.entries(trailers).map(([key, value]) => {
    if (!/^[A-Za-z0-9-]+$/.test(key)) throw new CompopsError(`${JSON.stringify(key)} cannot be the name of a trailer`)
    return `${key}: ${oneLine(value)}`
  })
  return `${[text || 'Evidence', lines.join('\n')].filter(Boolean).join('\n\n')}\n`
}

function oneLine(text: string): string {
  return text.replace(/[\0-\x20\x7f]+/g, ' ').trim()
}

/** False when the branch has moved meanwhile. */
async function push(mirror: Mirror, evidence: EvidenceCommit, ref: string, sha: string): Promise<boolean> {
  const options = ['ci.skip', ...(evidence.pushOptions ?? [])].flatMap(option => ['-o', option])
  const args = [
    'push',
    '--porcelain',
    '--progress',
    '--no-verify',
    '--no-follow-tags',
    '--recurse-submodules=no',
    ...options,
  ]
  const answer = await git(mirror, [...args, '--', mirror.url, `${sha}:${ref}`], { remote: true, accept: [1] })
  if (answer.code === 0) return true
  const status =
    answer.stdout
      .toString()
      .split('\n')
      .find(line => line.startsWith('!')) ?? ''
  // send-pack.c says the first line when it saw the move itself, receive-pack.c the others when it lost the race for the ref.
  if (
    /\[rejected\]/.test(status) ||
    /failed to update ref|cannot lock ref|incorrect old value|reference already exists|failed to lock/.test(status)
  ) {
    return false
  }
  const words = gitWords(answer.stderr)
  if (!status.includes('[remote rejected]')) {
    const why = `git push ${mirror.url}: ${words || status}`
    throw new GitError(/remote failure/.test(status) ? 'network' : kindOf(words), why)
  }
  const said = words
    .split('\n')
    .filter(line => line.startsWith('remote:'))
    .map(line => line.slice('remote:'.length).trim())
    .filter(Boolean)
    .join('\n')
  const reason = said || (/\(([^()]*)\)\s*$/.exec(status)?.[1] ?? words)
  // Its hook could not reach GitLab's own API: nothing to do with rights.
  const transient = /API (is )?(un|not )(reachable|accessible)|internal (server )?error|timed? ?out|try again/i.test(
    reason,
  )
  throw new GitError('rejected', `GitLab refused the push to ${evidence.branch}: ${reason}`, { transient })
}
