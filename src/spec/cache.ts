import { asLine, asList, isEmpty, join, type Report } from '../config/fields.ts'
import { type Located, quote } from '../config/yaml.ts'
import type { CacheSpec } from '../model/job-spec.ts'
import { refusePath } from './glob.ts'

/** `true`, `false`, or `{ paths: [src, data/*.csv] }`: what of the repository the job reads. */
export function readCache(node: Located, path: string, report: Report): CacheSpec | false | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value ? { paths: null } : false
  if (node.kind !== 'map') {
    report(
      node,
      path,
      '`cache` must be `true`, `false` or name `paths`.',
      'Write `cache: true`, or `cache: { paths: [src] }` with what the job reads of the repository.',
    )
    return undefined
  }
  const other = node.entries.find(entry => entry.key !== 'paths')
  if (other !== undefined) {
    report(other, join(path, other.key), `${quote(other.key)} is not a key of \`cache\`.`, 'There is only `paths`.')
    return undefined
  }
  const paths = node.entries.find(entry => entry.key === 'paths')
  const none = paths?.value.kind === 'list' && paths.value.items.length === 0
  if (paths === undefined || none || isEmpty(paths.value)) {
    report(paths ?? node, path, '`cache` names no paths.', 'Write `cache: true` for the whole repository.')
    return undefined
  }
  const here = join(path, 'paths')
  const items = paths.value.kind === 'scalar' ? [paths.value] : (asList(paths.value, here, report)?.items ?? [])
  const globs = items.flatMap((item, i) => {
    const glob = asLine(item, paths.value.kind === 'scalar' ? here : `${here}[${i}]`, report)
    if (glob === undefined) return []
    const refusal = refusePath(glob, true)
    if (refusal === null) return [glob.replace(/^\.\/(?!-)/, '')]
    report(item, here, `${quote(glob)} ${refusal.message}.`, refusal.remedy)
    return []
  })
  return globs.length === 0 ? undefined : { paths: globs }
}
