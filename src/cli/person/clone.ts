import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What the clone in the current folder knows. */
export interface Clone {
  readonly remotes: readonly Remote[]
  /** As it is called where it is pushed to; null on no branch. */
  readonly branch: string | null
  /** The commit that is checked out; null before the first. */
  readonly head: string | null
  /** Its top folder. */
  readonly folder: string
}

export interface Remote {
  readonly name: string
  /** Without a port: ssh and https have different ones. */
  readonly host: string
  /** As the address has it, without `.git`: with the folder that GitLab is installed below, where it is. */
  readonly path: string
  readonly http: boolean
}

/** null where the folder is no clone, or there is no git. */
export async function readClone(folder: string = process.cwd()): Promise<Clone | null> {
  const git = async (...args: string[]) => {
    try {
      return (await run('git', args, { cwd: folder, timeout: 10_000 })).stdout.trim()
    } catch {
      return null
    }
  }
  const top = await git('rev-parse', '--show-toplevel')
  if (top === null) return null
  const local = await git('symbolic-ref', '--quiet', '--short', 'HEAD')
  const [names, pushed, own, head] = await Promise.all([
    git('remote'),
    git('rev-parse', '--symbolic-full-name', '@{push}'),
    local === null ? null : git('config', `branch.${local}.remote`),
    git('rev-parse', '--verify', '--quiet', 'HEAD'),
  ])
  const list = (names ?? '').split('\n').filter(name => name !== '')
  // The one that the branch belongs to first, then the usual one.
  const rank = (name: string) => (name === own ? 0 : name === 'origin' ? 1 : 2)
  const sorted = list.sort((a, b) => rank(a) - rank(b)).slice(0, 20)
  const remotes = await Promise.all(
    sorted.map(async name => readRemote(name, (await git('remote', 'get-url', name)) ?? '')),
  )
  return {
    remotes: remotes.filter(remote => remote !== null),
    branch: branchOf(pushed, sorted) ?? local,
    head,
    folder: top,
  }
}

/** `refs/remotes/origin/calc/heat` is `calc/heat`. */
function branchOf(pushed: string | null, remotes: readonly string[]): string | null {
  const rest = pushed?.replace(/^refs\/remotes\//, '') ?? ''
  const remote = remotes.find(name => rest.startsWith(`${name}/`))
  return pushed === null || remote === undefined || !pushed.startsWith('refs/remotes/')
    ? null
    : rest.slice(remote.length + 1)
}

/** `git@host:group/name.git`, `ssh://git@host:2222/group/name`, `https://host/group/name.git`; null for anything else, such as a folder. */
export function readRemote(name: string, address: string): Remote | null {
  const url = /^[a-z][a-z+]*:\/\//i.test(address) ? URL.parse(address) : null
  if (url !== null)
    return /^(https?|ssh|git\+ssh):$/.test(url.protocol)
      ? {
          name,
          host: url.hostname.toLowerCase(),
          path: cleanPath(safeDecode(url.pathname)),
          http: url.protocol.startsWith('http'),
        }
      : null
  const [, host, path] = /^(?:[^@/\s]+@)?([^:/\s]{2,}):(?!\/\/)(.+)$/.exec(address) ?? []
  return host === undefined || path === undefined
    ? null
    : { name, host: host.toLowerCase(), path: cleanPath(path), http: false }
}

function cleanPath(path: string): string {
  return path.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '')
}

function safeDecode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** The project that the clone is of, on this GitLab. null: none of its remotes leads there. */
export function projectOf(clone: Clone, gitlab: string): string | null {
  const { hostname, pathname } = new URL(gitlab)
  const below = pathname.replace(/^\/+|\/+$/g, '')
  const found = clone.remotes.find(remote => remote.host === hostname.toLowerCase())
  if (found === undefined) return null
  return found.http && below !== '' && found.path.startsWith(`${below}/`)
    ? found.path.slice(below.length + 1)
    : found.path
}
