/** Values that a person says beside the file, for one run: `degree=12`, `solve.mem=8G`, `cluster=falcon`. */
import { type Located, type LocatedEntry, type LocatedMap, locateYaml, type Place, quote } from '../config/yaml.ts'
import { CompopsError } from '../errors.ts'
import type { ExpandedFile } from './expand.ts'
import { type KeyMeaning, meaningOf } from './keys.ts'

/** By key; the values as text. */
export type Overrides = Readonly<Record<string, string>>

/** Where they stand: in no file. */
export const said: Place = { line: 0, column: 0, file: 'the command' }

/**
 * The file as if they stood in its jobs, nearest to each, so that whatever holds for the file holds for them: units, clusters, limits of the site. A key is a parameter that a
 * job has (`degree`, `model.layers` inside of one), else a variable (`env.OMP_NUM_THREADS`), else what a job asks for (`mem`, `time`, `cluster`, `array` …); behind the name of
 * a job and a dot it is meant for that one, or for all that a matrix has made of it. Throws where nothing is meant: a slip of the pen must not start hours of the wrong computation.
 */
export function applyOverrides(file: ExpandedFile, given: Overrides): ExpandedFile {
  let { root } = file
  for (const [key, text] of Object.entries(given)) {
    const top = root
    const jobs = top.kind === 'map' ? mapAt(top, 'jobs') : null
    // Whatever else is wrong there is said when the file is checked.
    if (top.kind !== 'map' || jobs === null) return file
    const changed = applyOne(jobs, mapAt(top, 'defaults'), file.groups, key, text)
    root = withEntry(top, 'jobs', changed)
  }
  return { ...file, root }
}

function applyOne(
  jobs: LocatedMap,
  defaults: LocatedMap | null,
  groups: ExpandedFile['groups'],
  key: string,
  text: string,
): LocatedMap {
  const named = [...groups.keys(), ...jobs.entries.map(entry => entry.key)]
    .filter(name => key.startsWith(`${name}.`))
    // `solve.fine.mem` is of the job `solve.fine`, where there is one.
    .sort((a, b) => b.length - a.length)
    .map(name => ({
      meant: new Set([name, ...(groups.get(name) ?? []).map(one => one.name)]),
      rest: key.slice(name.length + 1),
    }))
  const everywhere = { meant: null, rest: key }
  for (const { meant, rest } of [everywhere, ...named])
    for (const set of settersOf(rest, meant !== null)) {
      let hit = false
      const entries = jobs.entries.map(entry => {
        if (entry.value.kind !== 'map' || (meant !== null && !meant.has(entry.key))) return entry
        const value = set(entry.value, defaults, text)
        if (value === null) return entry
        hit = true
        return { ...entry, value }
      })
      if (hit) return { ...jobs, entries }
    }
  throw new CompopsError(unknown(key, jobs, defaults))
}

/** null: this job has no such thing. */
type Setter = (job: LocatedMap, defaults: LocatedMap | null, text: string) => LocatedMap | null

function settersOf(rest: string, named: boolean): Setter[] {
  const meaning = meaningOf(rest)
  return [
    setIn('params', rest.startsWith('params.') ? rest.slice(7) : rest),
    ...(rest.startsWith('env.') ? [setIn('env', rest.slice(4))] : []),
    ...(meaning !== null && (meaning.kind !== null || meaning.key === 'cluster') ? [setKey(rest, meaning)] : []),
    // Not every job becomes an array because one is.
    ...(meaning?.key === 'array' ? [setKey(rest, meaning, named ? 'any' : 'has it')] : []),
  ]
}

/** Under the name that was used, which may have a unit of its own: `max_wallclock_seconds`. */
function setKey(name: string, meaning: KeyMeaning, where: 'any' | 'has it' = 'any'): Setter {
  const same = (entry: LocatedEntry) => meaningOf(entry.key)?.key === meaning.key
  const rival = meaning.key === 'mem' ? 'mem_per_cpu' : meaning.key === 'mem_per_cpu' ? 'mem' : null
  return (job, _, text) => {
    if (where === 'has it' && !job.entries.some(same)) return null
    const kept = job.entries.filter(entry => !same(entry) && meaningOf(entry.key)?.key !== rival)
    const kind = meaning.kind ?? 'word'
    const [number, flag] = [/^-?\d{1,15}$/.test(text), text === 'true' || text === 'false']
    // As YAML would have read it there; `0900` is no number to anybody.
    const value =
      ['count', 'integer', 'minutes', 'seconds', 'mebibytes', 'gpus'].includes(kind) && number
        ? Number(text)
        : kind === 'flag' && flag
          ? text === 'true'
          : text
    return { ...job, entries: [...kept, { ...said, key: name, value: scalar(value, text) }] }
  }
}

/** `params` or `env`: only what is there already, in the job or in `defaults`. */
function setIn(key: 'params' | 'env', path: string): Setter {
  return (job, defaults, text) => {
    const own = mapAt(job, key)
    const inherited = defaults === null ? null : mapAt(defaults, key)
    for (const from of [own, inherited]) {
      const changed = from === null ? null : setAt(from, path, text, key)
      if (changed === null) continue
      const entries = [...(own?.entries ?? []).filter(one => one.key !== changed.key), changed]
      return withEntry(job, key, { ...(own ?? { ...said, kind: 'map' as const }), entries })
    }
    return null
  }
}

/** The entry of the map that the path leads into, changed there; null where it leads nowhere. Names may have dots themselves: the longest that fits is meant. */
function setAt(map: LocatedMap, path: string, text: string, key: 'params' | 'env', whole = path): LocatedEntry | null {
  const found = map.entries.find(entry => entry.key === path)
  if (found !== undefined) return { ...said, key: path, value: like(found.value, text, whole, key) }
  if (key === 'env') return null
  for (const entry of map.entries.filter(one => path.startsWith(`${one.key}.`))) {
    if (entry.value.kind !== 'map') continue
    const below = setAt(entry.value, path.slice(entry.key.length + 1), text, key, whole)
    if (below === null) continue
    const entries = entry.value.entries.map(one => (one.key === below.key ? below : one))
    return { ...said, key: entry.key, value: { ...entry.value, entries } }
  }
  return null
}

/** Of the kind that the file has there, where the text is one. */
function like(before: Located, text: string, path: string, key: 'params' | 'env'): Located {
  if (key === 'env') return scalar(text, text)
  if (before.kind !== 'scalar') {
    const read = locateYaml(text)
    if (!read.ok || read.root.kind !== before.kind)
      throw new CompopsError(
        `${path} is ${before.kind === 'list' ? 'a list: write [1, 2]' : 'keys and values: write {a: 1}'}, not ${quote(text)}`,
      )
    return here(read.root)
  }
  if (typeof before.value === 'boolean' && (text === 'true' || text === 'false')) return scalar(text === 'true', text)
  if (typeof before.value === 'number' && text.trim() !== '' && Number.isFinite(Number(text)))
    return scalar(Number(text), text.trim())
  return scalar(text, text)
}

function here(node: Located): Located {
  if (node.kind === 'scalar') return { ...node, ...said }
  if (node.kind === 'list') return { ...node, ...said, items: node.items.map(here) }
  return { ...node, ...said, entries: node.entries.map(one => ({ ...said, key: one.key, value: here(one.value) })) }
}

function scalar(value: string | number | boolean, source: string): Located {
  return { ...said, kind: 'scalar', value, plain: typeof value !== 'string', source }
}

function mapAt(map: LocatedMap, key: string): LocatedMap | null {
  const found = map.entries.find(entry => entry.key === key || meaningOf(entry.key)?.key === key)?.value
  return found?.kind === 'map' ? found : null
}

function withEntry(map: LocatedMap, key: string, value: Located): LocatedMap {
  const at = map.entries.findIndex(entry => entry.key === key || meaningOf(entry.key)?.key === key)
  const before = map.entries[at]
  if (before === undefined) return { ...map, entries: [...map.entries, { ...said, key, value }] }
  return { ...map, entries: map.entries.with(at, { ...before, value }) }
}

function unknown(key: string, jobs: LocatedMap, defaults: LocatedMap | null): string {
  const known = new Set(
    [...jobs.entries.map(entry => entry.value), ...(defaults === null ? [] : [defaults])].flatMap(one =>
      one.kind === 'map' ? (mapAt(one, 'params')?.entries.map(entry => entry.key) ?? []) : [],
    ),
  )
  return `no job has a parameter ${key}${known.size === 0 ? '' : `; there are: ${[...known].slice(0, 30).join(', ')}`}`
}
