import { CompopsError } from '../errors.ts'
import { git } from './git.ts'
import type { Mirror } from './mirror.ts'
import type { TreeEntry } from './read.ts'

export interface Submodule {
  readonly path: string
  readonly sha: string
  /** Below the configured GitLab. */
  readonly url: string
}

/** The submodules that a checkout would fill, with their addresses made absolute. @throws CompopsError that names the path. */
export async function listSubmodules(mirror: Mirror, tree: readonly TreeEntry[]): Promise<Submodule[]> {
  const links = tree.filter(entry => entry.mode === '160000')
  if (links.length === 0) return []
  const file = tree.find(entry => entry.path === '.gitmodules')
  // As a symbolic link it would be read from somewhere else: git refuses that too.
  const settings = file?.mode.startsWith('100')
    ? await readModules(mirror, file.oid)
    : new Map<string, Map<string, string>>()
  const modules: Submodule[] = []
  for (const { path, oid } of links) {
    const module = [...settings.values()].find(one => one.get('path')?.replace(/\/+$/, '') === path)
    const url = module?.get('url')
    if (module?.get('update') === 'none') continue
    if (url === undefined)
      throw new CompopsError(`submodule ${path}: .gitmodules has no address for it; add one, or remove the link`)
    modules.push({ path, sha: oid, url: resolveSubmodule(mirror, path, url) })
  }
  return modules
}

async function readModules(mirror: Mirror, blob: string): Promise<Map<string, Map<string, string>>> {
  const { stdout } = await git(
    mirror,
    ['config', '-z', '--no-includes', '--blob', blob, '--get-regexp', '^submodule\\.'],
    { accept: [1] },
  )
  const modules = new Map<string, Map<string, string>>()
  for (const line of stdout.toString().split('\0')) {
    const [, name, key, value] = /^submodule\.([\s\S]*)\.([^.\n]*)\n([\s\S]*)$/.exec(line) ?? []
    if (name === undefined || key === undefined || value === undefined) continue
    const settings = modules.get(name) ?? new Map<string, string>()
    // The last one counts, as everywhere in git's configuration.
    settings.set(key.toLowerCase(), value)
    modules.set(name, settings)
  }
  return modules
}

/**
 * Relative addresses, and those on the configured GitLab (also in their ssh form, since the service has no ssh key), as an address below it.
 * Anything else is refused: the service talks to its GitLab and to nobody else.
 */
export function resolveSubmodule(
  mirror: Pick<Mirror, 'url' | 'gitlabUrl' | 'submoduleAllowed'>,
  path: string,
  url: string,
): string {
  const gitlab = new URL(mirror.gitlabUrl)
  const prefix = gitlab.pathname.replace(/\/*$/, '/')
  const ssh = /^(?:ssh:\/\/)?(?:[^@/\s]+@)?([^:/\s]+)(?::\d+\/|:\/?|\/)(.+)$/.exec(url)
  let found: URL | null = null
  if (/^\.\.?\//.test(url))
    found = URL.parse(url.startsWith('./') ? url.slice(2) : url.slice(3), relativeBase(mirror.url, url))
  else if (/^https?:\/\//i.test(url)) {
    const parsed = URL.parse(url)
    // http on a GitLab that is configured as https answers with a redirect, which is never followed.
    if (parsed?.host === gitlab.host || (parsed?.hostname === gitlab.hostname && parsed?.port === ''))
      found = URL.parse(parsed.pathname, gitlab.href)
  } else if ((url.startsWith('ssh://') || /^[^/]+@[^/:]+:/.test(url)) && ssh?.[1]?.toLowerCase() === gitlab.hostname) {
    found = URL.parse(`${prefix}${ssh[2]}`, gitlab.href)
  }
  if (
    found === null ||
    found.origin !== gitlab.origin ||
    !found.pathname.startsWith(prefix) ||
    found.pathname === prefix
  ) {
    throw new CompopsError(
      `submodule ${path}: its repository is on ${hostOf(url)}, and only ${gitlab.host} is allowed; mirror it there, or use a relative address`,
    )
  }
  // The token may read more than the person who pushed: which projects come in is the site's choice, not the file's.
  const project = decodeURIComponent(found.pathname.slice(prefix.length)).replace(/\.git\/?$/, '')
  if (mirror.submoduleAllowed !== undefined && !mirror.submoduleAllowed(project)) {
    throw new CompopsError(
      `submodule ${path}: the project ${project} may not come in as a submodule here; the site allows it with \`submodules: [${project}]\` in its rule for this project`,
    )
  }
  return gitlab.origin + found.pathname
}

/** `../x` is beside the project, `./x` below it, though an address ends with a file for URL's rules: hence the slash. */
function relativeBase(projectUrl: string, url: string): string {
  const folder = `${projectUrl.replace(/\/+$/, '')}/`
  return url.startsWith('./') ? folder : new URL('..', folder).href
}

function hostOf(url: string): string {
  const host = URL.parse(url)?.host || /^(?:[^@/\s]+@)?([^:/\s]+):/.exec(url)?.[1]
  return host === undefined || host === '' ? JSON.stringify(url.slice(0, 100)) : host
}
