import { join } from '../config/fields.ts'
import type { Located, LocatedEntry, LocatedMap } from '../config/yaml.ts'
import { isHidden, resolveExtends } from './extends.ts'
import { readLevel } from './level.ts'
import { expandMatrix, type MatrixGroups } from './matrix.ts'
import type { Problems } from './problems.ts'

/** A file in which every job stands by itself. */
export interface ExpandedFile {
  readonly root: Located
  /** What a job with `parallel: { matrix }` has become. */
  readonly groups: MatrixGroups
}

/**
 * More jobs from less text: `extends` is resolved, then `parallel: { matrix }`; jobs whose name begins with a dot are looked over and taken out. null where that
 * would be more than anybody shall read, which is reported.
 */
export function expandFile(
  root: Located,
  limits: { readonly jobs: number; readonly weight: number },
  problems: Problems,
): ExpandedFile | null {
  const none = { root, groups: new Map() }
  if (root.kind !== 'map') return none
  const entry = root.entries.find(one => one.key === 'jobs')
  if (entry === undefined || entry.value.kind !== 'map') return none
  const resolved = resolveExtends(entry.value, limits.weight, problems)
  const expanded = resolved === null ? null : expandMatrix(resolved, limits, problems)
  if (expanded === null) {
    if (!problems.full())
      problems.report(
        entry,
        'jobs',
        `With what they \`extends\` and their \`matrix\`, the jobs hold more than ${limits.weight / 1_048_576} MiB.`,
        'Move long scripts and data into files of the repository.',
      )
    return null
  }
  const [hidden, jobs] = split(expanded.jobs)
  for (const one of hidden) if (one.value.kind === 'map') readLevel(one.value, join('jobs', one.key), 'job', problems)
  const at = root.entries.indexOf(entry)
  return {
    root: { ...root, entries: root.entries.with(at, { ...entry, value: { ...expanded.jobs, entries: jobs } }) },
    groups: expanded.groups,
  }
}

function split(jobs: LocatedMap): [LocatedEntry[], LocatedEntry[]] {
  return [jobs.entries.filter(one => isHidden(one.key)), jobs.entries.filter(one => !isHidden(one.key))]
}
