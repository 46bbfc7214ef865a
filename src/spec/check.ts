import { asLine, asMap, choice, isEmpty, join, reportUnknown } from '../config/fields.ts'
import { nearest } from '../config/nearest.ts'
import { asBranch } from '../config/values.ts'
import { type Located, type LocatedEntry, type Place, quote } from '../config/yaml.ts'
import type { ComputationSpec } from '../model/job-spec.ts'
import { choiceInWords, isChosen } from '../model/matrix.ts'
import { type Supersede, supersedeModes } from '../model/supersede.ts'
import type { SpecContext, SpecLimits } from './context.ts'
import type { ExpandedFile } from './expand.ts'
import { checkGates } from './gate.ts'
import { buildJob, type JobLevel } from './job.ts'
import { laterRemedy, topKeys } from './keys.ts'
import { emptyLevel, type Level, readLevel, type Written } from './level.ts'
import type { MatrixGroup } from './matrix.ts'
import { findCycles, type WrittenNeed } from './needs.ts'
import { type LeftOut, presentJobs } from './present.ts'
import type { Problems } from './problems.ts'
import type { RuleFacts } from './rules.ts'
import { readSchedule } from './schedule.ts'

/** What the tree names as `file`, and templates that are files, so that they can be fetched before the checking, which waits for nothing. */
export function namedFiles(root: Located): string[] {
  if (root.kind !== 'map') return []
  const below = (key: string) => root.entries.find(entry => entry.key === key)?.value
  const jobs = below('jobs')
  const levels = [below('defaults'), ...(jobs?.kind === 'map' ? jobs.entries.map(entry => entry.value) : [])]
  const paths = levels.flatMap(level => (level?.kind === 'map' ? level.entries.flatMap(namedIn) : []))
  return [...new Set(paths)]
}

function namedIn({ key, value }: LocatedEntry): string[] {
  if (value.kind !== 'scalar' || typeof value.value !== 'string') return []
  const text = value.value
  const names = key === 'file' || key === 'sbatch' || (key === 'template' && text.includes('/'))
  return names ? [text.replace(/^\.\//, '')] : []
}

interface Checked {
  readonly spec: ComputationSpec
  readonly notices: readonly string[]
  readonly leftOut: readonly LeftOut[]
  readonly parentPlace?: Place
}

/** A located tree as a computation; null where anything was reported. Linear in the tree. */
export function checkSpec(
  { root, groups }: ExpandedFile,
  context: SpecContext,
  limits: SpecLimits,
  problems: Problems,
  facts: RuleFacts | null,
): Checked | null {
  if (isEmpty(root)) {
    problems.report(root, '', 'The file is empty.', 'Write `jobs:` and below it at least one job with a `script`.')
    return null
  }
  const top = asMap(root, '', problems.report)
  if (top === undefined) return null
  const entries = new Map<string, LocatedEntry>()
  for (const entry of top.entries) {
    if (problems.full()) return null
    const remedy = laterRemedy(entry.key)
    if ((topKeys as readonly string[]).includes(entry.key)) entries.set(entry.key, entry)
    else if (remedy !== null)
      problems.report(entry, join('', entry.key), `${quote(entry.key)} is not supported yet.`, remedy)
    else reportUnknown(entry, join('', entry.key), 'this file', topKeys, problems.report)
  }
  const named = entries.get('parent')
  const parent = readParent(named, problems)
  const supersede = readSupersede(entries.get('supersede'), problems)
  const rerun = readOnStale(entries.get('on_stale'), problems)
  const defaults = readDefaults(entries.get('defaults'), problems)
  const topCluster = readTopCluster(entries.get('cluster'), problems)
  const scheduled = entries.get('schedule')
  const schedule = scheduled === undefined ? undefined : readSchedule(scheduled.value, 'schedule', problems.report)
  const levels = readJobs(entries.get('jobs'), top, limits, problems)
  needAllOf(groups, levels, problems)
  checkNeeds(levels, problems)

  const weight = levels.reduce((sum, level) => sum + level.weight + defaults.weight, 0)
  if (weight > limits.weight) {
    problems.tell(
      'jobs',
      `With \`defaults\` applied, the jobs hold more than ${limits.weight / 1_048_576} MiB.`,
      'Move long scripts and data into files of the repository.',
    )
    return null
  }
  const notices: string[] = []
  const made = new Map(
    [...groups].flatMap(([of, instances]) => instances.map(({ name, values }) => [name, { of, values }] as const)),
  )
  const jobs = levels.map(level => {
    const job = buildJob(level, defaults, topCluster, context, limits, problems, notices)
    const matrix = made.get(level.name)
    return job === null || matrix === undefined ? job : { ...job, matrix }
  })
  const complete = jobs.filter(job => job !== null)
  checkGates(levels, complete, problems)
  const leftOut: LeftOut[] = []
  const present = presentJobs(complete, levels, facts, problems, notices, leftOut)
  return problems.list().length > 0 || complete.length < jobs.length
    ? null
    : {
        spec: {
          parent,
          ...(rerun ? { onStale: 'rerun' as const } : {}),
          ...(supersede === null ? {} : { supersede }),
          jobs: present,
          ...(schedule === undefined ? {} : { schedule }),
        },
        notices,
        leftOut,
        ...(named === undefined ? {} : { parentPlace: placeOf(named) }),
      }
}

const placeOf = ({ line, column }: Place): Place => ({ line, column })

function readParent(entry: LocatedEntry | undefined, problems: Problems): string | null {
  return entry === undefined ? null : (asBranch(entry.value, 'parent', problems.report) ?? null)
}

const readMode = choice(supersedeModes)

function readSupersede(entry: LocatedEntry | undefined, problems: Problems): Supersede | null {
  return entry === undefined ? null : (readMode(entry.value, 'supersede', problems.report) ?? null)
}

const onStale = choice(['mark', 'rerun'])

/** Whether a new result of the parent has it computed again. */
function readOnStale(entry: LocatedEntry | undefined, problems: Problems): boolean {
  return entry !== undefined && onStale(entry.value, 'on_stale', problems.report) === 'rerun'
}

function readTopCluster(entry: LocatedEntry | undefined, problems: Problems): Written<string> | null {
  if (entry === undefined) return null
  const value = asLine(entry.value, 'cluster', problems.report)
  return value === undefined ? null : { value, place: entry }
}

function readDefaults(entry: LocatedEntry | undefined, problems: Problems): Level {
  const map = entry === undefined ? undefined : asMap(entry.value, 'defaults', problems.report)
  return map === undefined ? emptyLevel('defaults') : readLevel(map, 'defaults', 'defaults', problems)
}

function readJobs(entry: LocatedEntry | undefined, top: Place, limits: SpecLimits, problems: Problems): JobLevel[] {
  const remedy = 'Write `jobs:` and below it at least one job with a `script`.'
  if (entry === undefined || isEmpty(entry.value)) {
    problems.report(entry ?? top, 'jobs', 'There are no jobs.', remedy)
    return []
  }
  const map = asMap(entry.value, 'jobs', problems.report)
  if (map === undefined) return []
  if (map.entries.length === 0) problems.report(entry, 'jobs', 'There are no jobs.', remedy)
  if (map.entries.length > limits.jobs) {
    problems.report(
      entry,
      'jobs',
      `There are ${map.entries.length} jobs; ${limits.jobs} are the most.`,
      'Make one job of several, or loop in a script.',
    )
    return []
  }
  return map.entries.flatMap(job => {
    if (problems.full()) return []
    const path = join('jobs', job.key)
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(job.key))
      problems.report(
        job,
        path,
        `${quote(job.key)} cannot be the name of a job.`,
        'Use letters, digits, `_`, `.` and `-`, a letter or digit in front, at most 63.',
      )
    else if (ofTheRun.has(job.key))
      problems.report(
        job,
        path,
        `${quote(job.key)} cannot be the name of a job: \`compops/${job.key}\` is a status of the run.`,
        'Choose another name.',
      )
    const body = isEmpty(job.value) ? undefined : asMap(job.value, path, problems.report)
    if (body === undefined) {
      if (isEmpty(job.value))
        problems.report(job, path, `The job ${quote(job.key)} has nothing to do.`, 'Write a `script` below it.')
      return []
    }
    const level = {
      ...readLevel(body, path, 'job', problems),
      name: job.key,
      place: { line: job.line, column: job.column, ...(job.file === undefined ? {} : { file: job.file }) },
    }
    checkWork(level, problems)
    return [level]
  })
}

/** A job of such a name and the run would write over each other's status. */
const ofTheRun: ReadonlySet<string> = new Set(['tree', 'approval'])

/** Exactly one of `script` and `file`. */
function checkWork(level: JobLevel, problems: Problems): void {
  const { path, place, name } = level
  const script = level.keys.get('script')
  const file = level.keys.get('file')
  if (script !== undefined && file !== undefined)
    problems.report(
      script.line > file.line ? script : file,
      join(path, script.line > file.line ? 'script' : 'file'),
      `The job ${quote(name)} has both \`script\` and \`file\`.`,
      'Keep one of them.',
    )
  else if (script === undefined && file === undefined)
    problems.report(
      place,
      path,
      `The job ${quote(name)} has nothing to do.`,
      'Write a `script`, or the `file` of a batch script.',
    )
  else if (level.script?.value.every(line => line.trim() === '') === true)
    problems.report(level.script.place, join(path, 'script'), 'The `script` is empty.', 'Write at least one command.')
}

/** Whoever needs a job of which a matrix has made several needs all of them, or those with the values that it names. */
function needAllOf(groups: ExpandedFile['groups'], levels: readonly JobLevel[], problems: Problems): void {
  for (const level of levels) {
    if (level.needs === undefined) continue
    const value = level.needs.value.flatMap(need => {
      const group = groups.get(need.value.job)
      if (need.matrix !== undefined) checkChoice(need, group, level, problems)
      const names = group?.filter(one => isChosen(one.values, need.matrix)).map(one => one.name) ?? [need.value.job]
      return names.map(job => ({ ...need, value: { ...need.value, job } }))
    })
    level.needs = { ...level.needs, value }
  }
}

/** A row that names what there is not would need nothing, and nobody would notice. */
function checkChoice(
  { value: { job }, matrix = [], place }: WrittenNeed,
  group: MatrixGroup | undefined,
  level: JobLevel,
  problems: Problems,
): void {
  const report = (message: string, remedy: string) => problems.report(place, join(level.path, 'needs'), message, remedy)
  if (group === undefined) {
    report(`${quote(job)} has no \`matrix\` to choose from.`, 'Name the job alone.')
    return
  }
  for (const row of matrix) {
    if (group.some(one => isChosen(one.values, [row]))) continue
    const names = group.map(one => quote(one.name))
    const shown = names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ')
    report(`The \`matrix\` of ${quote(job)} has no job${choiceInWords([row])}.`, `It has made ${shown}.`)
  }
}

function checkNeeds(levels: readonly JobLevel[], problems: Problems): void {
  const names = new Set(levels.map(level => level.name))
  const graph = new Map<string, string[]>()
  for (const level of levels) {
    const needed: string[] = []
    for (const need of level.needs?.value ?? []) {
      const path = join(level.path, 'needs')
      const { job } = need.value
      if (job === level.name)
        problems.report(need.place, path, `The job ${quote(level.name)} needs itself.`, 'Take it out.')
      else if (needed.includes(job)) problems.report(need.place, path, `${quote(job)} stands here twice.`, 'Keep one.')
      else if (names.has(job)) needed.push(job)
      else {
        const near = nearest(job, names)
        problems.report(
          need.place,
          path,
          `There is no job ${quote(job)} to need.`,
          near === null ? 'Name a job of this file.' : `Did you mean ${quote(near)}?`,
        )
      }
    }
    graph.set(level.name, needed)
  }
  for (const cycle of findCycles(graph)) {
    const level = levels.find(l => l.name === cycle[0])
    const need = level?.needs?.value.find(n => n.value.job === cycle[1])
    if (level === undefined || need === undefined) continue
    const shown = cycle.length > 12 ? [...cycle.slice(0, 6), '…', ...cycle.slice(-5)] : cycle
    problems.report(
      need.place,
      join(level.path, 'needs'),
      `These jobs wait for each other for ever: ${shown.map(n => (n === '…' ? n : quote(n))).join(' needs ')}.`,
      'Take one of them out of `needs`.',
    )
  }
}
