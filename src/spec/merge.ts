import { isEmpty } from '../config/fields.ts'
import type { Located, LocatedEntry, LocatedMap } from '../config/yaml.ts'
import { meaningOf } from './keys.ts'

/** What lies in the way: `top` is a whole file, `jobs` its jobs by name, `job` one of them or `defaults`, `data` everything below. */
type Level = 'top' | 'jobs' | 'job' | 'data'

/** Of these only one may stand in a job: what is nearer replaces what was inherited. */
const rivals: Readonly<Record<string, string>> = {
  script: 'file',
  file: 'script',
  mem: 'mem_per_cpu',
  mem_per_cpu: 'mem',
}

/**
 * As GitLab merges: maps into each other, everything else is replaced by what is nearer, which keeps its own place. In a job `key: null` takes away what was
 * inherited, and a key counts under whatever name it is written (`before_script` is `setup`).
 */
export function mergeMaps(far: LocatedMap, near: LocatedMap, level: Level): LocatedMap {
  const nameOf = (key: string) => (level === 'job' ? (meaningOf(key)?.key ?? key) : key)
  const entries = new Map<string, LocatedEntry>()
  for (const entry of far.entries) entries.set(nameOf(entry.key), entry)
  for (const entry of near.entries) {
    const name = nameOf(entry.key)
    const inherited = entries.get(name)
    if (level === 'job') {
      const rival = rivals[name]
      const other = rival === undefined ? undefined : entries.get(rival)
      // Both in one map is a mistake that the reader tells.
      if (rival !== undefined && other !== undefined && far.entries.includes(other)) entries.delete(rival)
      if (inherited !== undefined && far.entries.includes(inherited) && isEmpty(entry.value)) {
        entries.delete(name)
        continue
      }
      // Twice in the near one, under two names: also told by the reader.
      if (inherited !== undefined && !far.entries.includes(inherited)) {
        entries.set(`${name} ${entry.key}`, entry)
        continue
      }
    }
    entries.set(
      name,
      inherited === undefined
        ? entry
        : { ...entry, value: mergeValues(inherited.value, entry.value, below(level, name)) },
    )
  }
  return { ...near, entries: [...entries.values()] }
}

function mergeValues(far: Located, near: Located, level: Level): Located {
  return far.kind === 'map' && near.kind === 'map' ? mergeMaps(far, near, level) : near
}

function below(level: Level, key: string): Level {
  if (level === 'top') return key === 'jobs' ? 'jobs' : key === 'defaults' ? 'job' : 'data'
  return level === 'jobs' ? 'job' : 'data'
}

const weights = new WeakMap<Located, number>()

/** Characters of a tree, more or less: what is inherited many times is counted many times before anybody reads it. */
export function weightOf(node: Located): number {
  const known = weights.get(node)
  if (known !== undefined) return known
  let weight = 16
  if (node.kind === 'scalar') weight += typeof node.value === 'string' ? node.value.length : node.source.length
  else if (node.kind === 'list') for (const item of node.items) weight += weightOf(item)
  else for (const entry of node.entries) weight += entry.key.length + weightOf(entry.value)
  weights.set(node, weight)
  return weight
}
