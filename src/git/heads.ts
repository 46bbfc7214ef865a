import { UnreadableError } from '../errors.ts'
import { GitError } from './errors.ts'
import { git } from './git.ts'
import type { Mirror } from './mirror.ts'
import { isRefName, isSha } from './names.ts'

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
  return (await listTogether(mirror, ref)).get(ref) ?? null
}

interface Listing {
  readonly refs: Set<string>
  readonly heads: Promise<ReadonlyMap<string, string>>
}

/** Of each mirror what is being listed, and what will be when that has ended. */
const underWay = new Map<string, { now: Promise<unknown>; next: Listing | null }>()
const mostRefs = 200

/** One push may move hundreds of branches: whoever asks while a listing is under way shares the next one, which begins after everybody has asked. */
function listTogether(mirror: Mirror, ref: string): Promise<ReadonlyMap<string, string>> {
  const key = `${mirror.dir}\0${mirror.url}`
  const running = underWay.get(key)
  // A pattern matches ends of names too: refs/heads/x also finds refs/heads/a/refs/heads/x (git-ls-remote(1)).
  const list = (refs: Iterable<string>) => listRemote(mirror, ['--refs'], [...refs])
  if (running === undefined) {
    const heads = list([ref])
    follow(key, heads)
    return heads
  }
  const { next } = running
  if (next !== null) {
    // More would not fit into one command line.
    if (!next.refs.has(ref) && next.refs.size >= mostRefs) return list([ref])
    next.refs.add(ref)
    return next.heads
  }
  const refs = new Set([ref])
  running.next = { refs, heads: running.now.then(() => list(refs)) }
  return running.next.heads
}

/** The next listing is the present one as soon as that has ended, whatever came of it. */
function follow(key: string, listing: Promise<unknown>): void {
  const mine = { now: listing.catch(() => {}), next: null as Listing | null }
  underWay.set(key, mine)
  void mine.now.then(() => {
    if (mine.next === null) underWay.delete(key)
    else follow(key, mine.next.heads)
  })
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
