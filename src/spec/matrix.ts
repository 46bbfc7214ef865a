import { createHash } from 'node:crypto'
import { asList, asMap, isEmpty, join, type Report, reportUnknown } from '../config/fields.ts'
import {
  type Located,
  type LocatedEntry,
  type LocatedMap,
  type LocatedScalar,
  type Place,
  quote,
} from '../config/yaml.ts'
import type { MatrixInstance } from '../model/matrix.ts'
import { isHidden } from './extends.ts'
import { meaningOf } from './keys.ts'
import { weightOf } from './merge.ts'
import type { Problems } from './problems.ts'

/** Jobs of which `parallel: { matrix }` has made several. */
export interface Expanded {
  readonly jobs: LocatedMap
  /** In GitLab's order. */
  readonly groups: MatrixGroups
}

/** The jobs that one has become. */
export type MatrixGroup = readonly { readonly name: string; readonly values: MatrixInstance['values'] }[]

/** By the name that was written. */
export type MatrixGroups = ReadonlyMap<string, MatrixGroup>

interface Choice {
  readonly key: string
  readonly place: Place
  readonly value: LocatedScalar
}

/**
 * One job for each combination of the values, which it has as variables of its environment and as parameters; a later key varies faster. null where that would
 * be more jobs, or more text, than there may be.
 */
export function expandMatrix(
  jobs: LocatedMap,
  limits: { readonly jobs: number; readonly weight: number },
  problems: Problems,
): Expanded | null {
  const groups = new Map<string, MatrixGroup>()
  const taken = new Set(jobs.entries.map(entry => entry.key))
  const entries: LocatedEntry[] = []
  let weight = 0
  for (const entry of jobs.entries) {
    const body = entry.value
    const parallel = body.kind === 'map' ? body.entries.find(one => one.key === 'parallel') : undefined
    if (body.kind !== 'map' || parallel === undefined) {
      entries.push(entry)
      continue
    }
    const rest = { ...body, entries: body.entries.filter(one => one !== parallel) }
    const path = join(join('jobs', entry.key), 'parallel')
    const combinations = readMatrix(parallel, path, entry.key, limits.jobs, problems.report)
    if (combinations === null || isHidden(entry.key)) {
      entries.push({ ...entry, value: rest })
      continue
    }
    weight += combinations.length * weightOf(rest)
    if (weight > limits.weight) return null
    const names = nameAll(entry.key, combinations, taken)
    if (new Set(names).size < names.length) {
      problems.report(parallel, path, `The \`matrix\` of ${quote(entry.key)} has the same values twice.`, 'Keep one.')
      entries.push({ ...entry, value: rest })
      continue
    }
    groups.set(
      entry.key,
      combinations.map((choices, i) => ({
        name: names[i]!,
        values: Object.fromEntries(choices.map(({ key, value }) => [key, textOf(value)])),
      })),
    )
    combinations.forEach((choices, i) => {
      entries.push({ ...entry, key: names[i]!, value: withValues(rest, choices) })
    })
  }
  return { jobs: { ...jobs, entries }, groups }
}

/** The combinations that are written; null where nothing can be made of it, which has been told. */
function readMatrix(
  parallel: LocatedEntry,
  path: string,
  job: string,
  most: number,
  report: Report,
): Choice[][] | null {
  const { value } = parallel
  if (value.kind === 'scalar' && typeof value.value === 'number') {
    const count = Math.max(2, Math.trunc(value.value))
    report(
      value,
      path,
      '`parallel` must say what differs between the jobs.',
      `Write \`array: 0-${count - 1}\` for ${count} tasks that differ by their number, or \`parallel: { matrix: [{ NAME: [a, b] }] }\`.`,
    )
    return null
  }
  const map = asMap(value, path, report)
  if (map === undefined) return null
  for (const entry of map.entries)
    if (entry.key !== 'matrix') reportUnknown(entry, join(path, entry.key), '`parallel`', ['matrix'], report)
  const matrix = map.entries.find(entry => entry.key === 'matrix')
  if (matrix === undefined) {
    report(parallel, path, '`parallel` has no `matrix`.', 'Write `parallel: { matrix: [{ NAME: [a, b] }] }`.')
    return null
  }
  const list = asList(matrix.value, join(path, 'matrix'), report)
  if (list === undefined) return null
  const all: Choice[][] = []
  for (const [i, item] of list.items.entries()) {
    const row = asMap(item, `${join(path, 'matrix')}[${i}]`, report)
    if (row === undefined) return null
    const columns: Choice[][] = []
    for (const entry of row.entries) {
      const choices = readValues(entry, join(`${join(path, 'matrix')}[${i}]`, entry.key), report)
      if (choices === null) return null
      columns.push(choices)
    }
    if (columns.length === 0) {
      report(item, path, 'This row of the `matrix` is empty.', 'Write `{ NAME: [a, b] }`.')
      return null
    }
    // Counted before they are made.
    const count = columns.reduce((product, column) => Math.min(product * column.length, 1e9), 1)
    if (all.length + count > most) {
      report(
        matrix,
        join(path, 'matrix'),
        `${quote(job)} would be ${count >= 1e9 ? 'more than a thousand million' : all.length + count} jobs; ${most} are the most.`,
        'Take values out, or let them be tasks of one job: `array`.',
      )
      return null
    }
    let combinations: Choice[][] = [[]]
    for (const column of columns) combinations = combinations.flatMap(one => column.map(choice => [...one, choice]))
    all.push(...combinations)
  }
  if (all.length === 0) {
    report(matrix, join(path, 'matrix'), 'The `matrix` is empty.', 'Write `matrix: [{ NAME: [a, b] }]`.')
    return null
  }
  return all
}

function readValues(entry: LocatedEntry, path: string, report: Report): Choice[] | null {
  const items: readonly Located[] = entry.value.kind === 'list' ? entry.value.items : [entry.value]
  if (items.length === 0) {
    report(entry, path, `${quote(entry.key)} has no values.`, 'Write at least one.')
    return null
  }
  const choices: Choice[] = []
  for (const item of items) {
    if (item.kind !== 'scalar' || isEmpty(item)) {
      report(item, path, `A value of ${quote(entry.key)} must be a text or a number.`, 'Write `[a, b]`.')
      return null
    }
    choices.push({ key: entry.key, place: item, value: item })
  }
  return choices
}

const longest = 63

/** `solve-4d-12` for `solve: [4d, 12]`: whatever cannot stand in the name of a job is `_`. Where that is too long, or says of two jobs the same, a digest of the values is its end. */
function nameAll(job: string, combinations: readonly (readonly Choice[])[], taken: Set<string>): string[] {
  const plain = combinations.map(choices =>
    [job, ...choices.map(one => textOf(one.value).replace(/[^A-Za-z0-9_.-]+/g, '_'))].join('-'),
  )
  const seen = new Map<string, number>()
  for (const name of plain) seen.set(name, (seen.get(name) ?? 0) + 1)
  return plain.map((name, i) => {
    const unique = seen.get(name) === 1 && !taken.has(name) && name.length <= longest
    if (unique) return name
    const values = JSON.stringify(combinations[i]!.map(one => [one.key, textOf(one.value)]))
    const digest = createHash('sha256').update(values).digest('hex').slice(0, 8)
    return `${name.slice(0, longest - 9)}-${digest}`
  })
}

/** As written: 1.10 stays 1.10. */
function textOf(value: LocatedScalar): string {
  return typeof value.value === 'string' ? value.value : value.source
}

function withValues(body: LocatedMap, choices: readonly Choice[]): LocatedMap {
  const texts = choices.map(
    ({ key, place, value }): LocatedEntry => ({ ...place, key, value: { ...value, value: textOf(value) } }),
  )
  const data = choices.map(({ key, place, value }): LocatedEntry => ({ ...place, key, value }))
  return setIn(
    setIn(body, 'env', texts, key => key),
    'params',
    data,
    variableOf,
  )
}

/** The part of a parameter's name that COMPOPS_PARAM_… knows: `degree` and `DEGREE` are one. */
const variableOf = (key: string) => key.toUpperCase().replace(/[^A-Z0-9]/g, '_')

function setIn(
  body: LocatedMap,
  key: 'env' | 'params',
  values: readonly LocatedEntry[],
  same: (key: string) => string,
): LocatedMap {
  const at = body.entries.findIndex(entry => meaningOf(entry.key)?.key === key)
  const before = body.entries[at]
  const place = values[0]!
  if (before === undefined) {
    const map: LocatedMap = { ...placeOf(place), kind: 'map', entries: values }
    return { ...body, entries: [...body.entries, { ...placeOf(place), key, value: map }] }
  }
  // What is no map is a mistake of its own.
  if (before.value.kind !== 'map') return body
  const byName = new Map(values.map(value => [same(value.key), value]))
  const kept = before.value.entries.map(entry => {
    const value = byName.get(same(entry.key))
    byName.delete(same(entry.key))
    return value === undefined ? entry : { ...value, key: entry.key }
  })
  const merged: LocatedEntry = { ...before, value: { ...before.value, entries: [...kept, ...byName.values()] } }
  return { ...body, entries: body.entries.with(at, merged) }
}

function placeOf({ line, column, file }: Place): Place {
  return { line, column, ...(file === undefined ? {} : { file }) }
}
