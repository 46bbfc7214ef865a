import { posix } from 'node:path'
import type { MarkdownContext } from '../markdown.ts'
import type { SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath, findMergeRequest } from '../world.ts'

/** Addresses in the Markdown of a project. A file's links are relative to its folder, a comment's to the default branch. */
export function markdownContext(
  world: World,
  project: SimProject,
  place: { file?: string; ref?: string; mermaidLimited: boolean },
): MarkdownContext {
  const base = `/${project.fullPath}/-`
  return {
    mermaidLimited: place.mermaidLimited,
    resolve: (address, kind) => {
      if (/^\/?uploads\/[0-9a-f]{32}\//.test(address)) return `/-/project/${project.id}/${address.replace(/^\//, '')}`
      if (address.startsWith('/-/') || address.startsWith(`/${project.fullPath}/`)) return address
      const [path = '', fragment] = address.split('#')
      const folder = posix.dirname(place.file ?? '.')
      const target = posix.normalize(path.startsWith('/') ? path.slice(1) : posix.join(folder, decode(path)))
      const view = kind === 'image' ? 'raw' : path.endsWith('/') ? 'tree' : 'blob'
      const ref = encodePath(place.ref ?? project.defaultBranch)
      return `${base}/${view}/${ref}/${encodePath(target.replace(/^(\.\.?\/)+/, ''))}${fragment === undefined ? '' : `#${fragment}`}`
    },
    mergeRequest: iid => (findMergeRequest(world, project.id, iid) ? `${base}/merge_requests/${iid}` : null),
    isUser: name => [...world.users.values()].some(user => user.username === name),
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
