import { asLine, asList, isEmpty, join } from '../config/fields.ts'
import { nearest } from '../config/nearest.ts'
import { type LocatedEntry, type LocatedMap, quote } from '../config/yaml.ts'
import { mergeMaps, weightOf } from './merge.ts'
import type { Problems } from './problems.ts'

/** As deep as one job may be made of another, which is made of another. GitLab has the same limit. */
const deepest = 10

/** A job whose name begins with a dot is none: others are made of it. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

/**
 * `extends: .base`, or a list of which a later one wins: what the named jobs say, with the job's own keys over it. Returns all jobs, the hidden ones too,
 * without the key. null where they would hold more than `weight` characters: nobody shall read them then.
 */
export function resolveExtends(jobs: LocatedMap, weight: number, problems: Problems): LocatedMap | null {
  const byName = new Map(jobs.entries.map(entry => [entry.key, entry]))
  const done = new Map<string, { entry: LocatedEntry; depth: number }>()
  const open: string[] = []
  let sum = 0

  function resolve(entry: LocatedEntry): { entry: LocatedEntry; depth: number } {
    const known = done.get(entry.key)
    if (known !== undefined) return known
    const own = entry.value
    const written = own.kind === 'map' ? own.entries.find(one => one.key === 'extends') : undefined
    let result = { entry, depth: 0 }
    if (own.kind === 'map' && written !== undefined) {
      open.push(entry.key)
      const bases = basesOf(entry, written).flatMap(base => {
        const resolved = resolve(base)
        return resolved.entry.value.kind === 'map' ? [{ ...resolved, map: resolved.entry.value }] : []
      })
      open.pop()
      const rest: LocatedMap = { ...own, entries: own.entries.filter(one => one !== written) }
      const depth = 1 + Math.max(0, ...bases.map(base => base.depth))
      if (depth === deepest + 1)
        problems.report(
          written,
          join(join('jobs', entry.key), 'extends'),
          `${quote(entry.key)} extends through more than ${deepest} jobs.`,
          'Make it flatter.',
        )
      const inherited = bases.reduce<LocatedMap | null>(
        (far, { map }) => (far === null ? map : mergeMaps(far, map, 'job')),
        null,
      )
      result = {
        entry: { ...entry, value: inherited === null ? rest : mergeMaps(inherited, rest, 'job') },
        depth: Math.min(depth, deepest + 2),
      }
    }
    sum += weightOf(result.entry.value)
    done.set(entry.key, result)
    return result
  }

  function basesOf(entry: LocatedEntry, written: LocatedEntry): LocatedEntry[] {
    const path = join(join('jobs', entry.key), 'extends')
    if (isEmpty(written.value)) {
      problems.report(written, path, '`extends` is empty.', 'Write the name of a job, or leave the key out.')
      return []
    }
    const single = written.value.kind === 'scalar'
    const items =
      written.value.kind === 'scalar' ? [written.value] : (asList(written.value, path, problems.report)?.items ?? [])
    return items.flatMap((item, i) => {
      const name = asLine(item, single ? path : `${path}[${i}]`, problems.report)
      if (name === undefined) return []
      const base = byName.get(name)
      if (base === undefined) {
        const near = nearest(name, byName.keys())
        problems.report(
          item,
          path,
          `There is no job ${quote(name)} to extend.`,
          near === null ? 'Name a job of this file, or of one that it includes.' : `Did you mean ${quote(near)}?`,
        )
        return []
      }
      const from = open.indexOf(name)
      if (from !== -1) {
        const cycle = [...open.slice(from), name]
        problems.report(
          item,
          path,
          `These jobs extend each other for ever: ${cycle.map(one => quote(one)).join(' extends ')}.`,
          'Take one of them out of `extends`.',
        )
        return []
      }
      return [base]
    })
  }

  const entries: LocatedEntry[] = []
  for (const entry of jobs.entries) {
    if (sum > weight || problems.full()) return null
    entries.push(resolve(entry).entry)
  }
  return sum > weight ? null : { ...jobs, entries }
}
