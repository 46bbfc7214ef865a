/**
 * The YAML record of a run, as it is committed. The same facts give the same bytes: keys in a fixed order, maps of others sorted, times in
 * UTC, no clock of ours. Text that another reader (YAML 1.1: `no`, `12:30`) would take for something else is quoted.
 */
import { Document, type Node, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { writeTasks } from '../model/array.ts'
import type { Resources } from '../model/job-spec.ts'
import { largestDigested } from '../model/observation.ts'
import type { Attempt, Job, Run, Task } from '../model/run.ts'
import { copiesFolder, evidencePath } from './links.ts'
import { oneLine } from './markdown.ts'
import { coreSeconds, cpuEfficiency, exitCodeInWords } from './outcome.ts'

export function renderEvidence(run: Run): string {
  return [...evidenceParts(run)].join('')
}

/** The same text part by part, a job each: a run of hundreds of jobs is a megabyte of YAML, which takes too long to be made in one go. */
export function* evidenceParts(run: Run): Generator<string> {
  const { parent, spec } = run
  const record = block({
    run: run.id,
    project: run.projectPath,
    branch: run.branch,
    commit: flow({ sha: run.sha, author: text(run.commit?.author), message: text(run.commit?.subject) }),
    parent:
      parent === null
        ? null
        : flow({
            branch: parent.branch,
            run: run.parentRunId ?? undefined,
            sha: parent.sha,
            why: text(parent.why),
          }),
    triggered_by: text(run.causedHow),
    cause: run.cause,
    spec: spec === null ? null : flow({ file: '.compops.yml', sha256: spec.sha256 }),
    includes: (run.includes ?? []).map(({ project, ref, sha, file }) =>
      flow({ project, ref: text(ref), sha, file: text(file) }),
    ),
    state: run.state,
    problem: text(run.problem),
    problems: (spec?.problems ?? []).map(problem =>
      flow({
        file: text(problem.file),
        line: problem.line,
        message: text(problem.message),
        remedy: text(problem.remedy),
      }),
    ),
    superseded_by: run.supersededBy,
    submitted_at: time(run.createdAt),
    ended_at: time(run.endedAt),
    // Where outputs lie (`at`) there is nothing any more.
    removed: (run.removed ?? []).flatMap(({ cluster, at, days }) =>
      at === null ? [] : [flow({ cluster, at: time(at), keep: `${days} days` })],
    ),
    core_hours: rounded(coreSeconds(run, run.endedAt ?? run.createdAt) / 3600, 4),
  })
  yield write(
    'ComputationalOps evidence, schema 1. Written by the service; the history of this branch is the audit trail.',
    record,
  )
  if (run.jobs.length > 0) yield 'jobs:\n'
  for (const job of run.jobs.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    yield write(null, block({ jobs: mapOf([[job.name, jobRecord(job, run)]]) })).slice('jobs:\n'.length)
}

function jobRecord(job: Job, run: Run): Node {
  const folder = copiesFolder(run).replace(/^.*\//, '')
  const collected = job.attempts.at(-1)?.collected ?? null
  return block({
    state: job.state,
    reason: job.reason,
    message: text(job.message),
    cluster: job.cluster,
    scheduler: text(job.scheduler),
    needs: flowList(job.spec.needs.map(need => (typeof need === 'string' ? need : flow(need)))),
    gate: job.spec.gate,
    file: job.spec.file?.path,
    params: sortedMap(new Map(Object.entries(job.spec.params))),
    directives: [...job.spec.directives],
    // The lineage: which bytes of the parent's run went in.
    inputs: (job.attempts.findLast(attempt => attempt.inputs !== undefined)?.inputs ?? [])
      .toSorted((a, b) => (a.path < b.path ? -1 : 1))
      .map(({ path, size, sha256, job: from, cluster }) => {
        const where = cluster === undefined ? '' : `, brought from ${cluster}`
        return flow({ path, size, sha256, from: text(`${from} of the parent${where}`) })
      }),
    array: flow({ tasks: job.spec.array?.tasks, throttle: job.spec.array?.throttle }),
    tasks: tasksRecord(job),
    attempts: job.attempts.map(attempt =>
      attemptRecord(attempt, { ...job.spec.resources, ...attempt.asked?.resources }),
    ),
    outputs: (collected?.outputs ?? [])
      .toSorted((a, b) => (a.path < b.path ? -1 : 1))
      .map(({ path, size, sha256, at, copy, copyProblem }) =>
        flow({
          path,
          size,
          sha256,
          no_digest: text(
            sha256 !== null ? null : size > largestDigested ? 'larger than 1 GiB' : 'the job had no time left for it',
          ),
          at,
          // Relative to this file.
          copy: copy === undefined ? null : `${folder}/${copy}`,
          not_copied: text(copyProblem),
        }),
      ),
    outputs_omitted: collected === null || collected.outputsOmitted === 0 ? null : collected.outputsOmitted,
    metrics: sortedMap(new Map(Object.entries(collected?.metrics ?? {}))),
    metrics_problem: text(collected?.metricsProblem),
  })
}

/** Failed tasks that are told one by one. */
const mostFailures = 200

/** Which tasks stand how, in ranges; of each that failed a line; of those with metrics a line likewise. */
function tasksRecord(job: Job): Node | null {
  const tasks = job.tasks ?? []
  if (tasks.length === 0) return null
  const byState = Map.groupBy(tasks, task => task.state)
  const failed = byState.get('failed') ?? []
  const measured = (job.attempts.at(-1)?.collected?.tasks ?? []).filter(task => Object.keys(task.metrics).length > 0)
  return block({
    ...Object.fromEntries(
      [...byState]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([state, list]) => [state, writeTasks(list.map(task => task.index))]),
    ),
    failures: failed.slice(0, mostFailures).map(failureRecord),
    failures_omitted: failed.length > mostFailures ? failed.length - mostFailures : null,
    metrics: measured.map(({ index, metrics }) =>
      flow({ task: index, metrics: inFlow(sortedMap(new Map(Object.entries(metrics)))) }),
    ),
  })
}

function inFlow(map: YAMLMap | null): YAMLMap | null {
  if (map !== null) map.flow = true
  return map
}

function failureRecord(task: Task): Node | null {
  return flow({
    task: task.index,
    reason: task.reason,
    exit_code: task.exitCode,
    message: text(task.message),
    native_id: task.nativeId === null ? null : quoted(task.nativeId),
    attempt: task.attempt,
    node: text(task.node),
    started_at: time(task.startedAt),
    ended_at: time(task.endedAt),
    max_rss: task.maxRss === null ? null : compactSize(task.maxRss),
  })
}

function attemptRecord(attempt: Attempt, asked: Resources): Node {
  const { accounting } = attempt
  return block({
    native_id: attempt.nativeId === null ? null : quoted(attempt.nativeId),
    step: text(attempt.asked?.step),
    tasks: attempt.array?.tasks,
    state: attempt.state,
    // Nothing ran here: this run has the result, and how it came about.
    reused: flow({ run: attempt.reused?.runId, job: attempt.reused?.job, sha: attempt.reused?.sha }),
    reason: attempt.reason,
    queue: text(attempt.queue ?? accounting?.queue),
    account: text(accounting?.account),
    nodes: flowList(attempt.nodes),
    submitted_at: time(attempt.submittedAt),
    queued_at: time(attempt.queuedAt),
    started_at: time(attempt.startedAt),
    ended_at: time(attempt.endedAt),
    exit_code: attempt.exitCode ?? accounting?.exitCode,
    exit_means: attempt.state === 'failed' ? exitCodeInWords(attempt.exitCode ?? 0) : null,
    signal: attempt.signal ?? accounting?.signal,
    restarts: attempt.restarts === 0 ? null : attempt.restarts,
    requested: flow(requested(asked)),
    excluded_nodes: flowList(attempt.asked?.exclude ?? []),
    used: flow({
      cpu: accounting?.cpuSeconds == null ? null : compactDuration(accounting.cpuSeconds),
      max_rss: accounting?.maxRss == null ? null : compactSize(accounting.maxRss),
      cpu_efficiency: rounded(cpuEfficiency(attempt), 2),
    }),
    allocated: text(accounting?.allocatedTres),
    script: flow({ sha256: attempt.scriptSha256 }),
    environment: environment(attempt.collected?.environment ?? {}),
  })
}

/** In the words and units of .compops.yml, so that it can be copied back. */
function requested(asked: Resources): Record<string, unknown> {
  const gpus = (request: Resources['gpus']) =>
    request === undefined ? null : request.type === null ? request.count : `${request.type}:${request.count}`
  return {
    partition: asked.partition,
    account: asked.account,
    qos: asked.qos,
    time: asked.time === undefined ? null : compactDuration(asked.time),
    nodes: asked.nodes,
    ntasks: asked.ntasks,
    ntasks_per_node: asked.ntasks_per_node,
    cpus_per_task: asked.cpus_per_task,
    mem: asked.mem === undefined ? null : compactMebibytes(asked.mem),
    mem_per_cpu: asked.mem_per_cpu === undefined ? null : compactMebibytes(asked.mem_per_cpu),
    gpus: gpus(asked.gpus),
    gpus_per_node: gpus(asked.gpus_per_node),
    gres: asked.gres,
    constraint: asked.constraint,
    reservation: asked.reservation,
    exclusive: asked.exclusive,
    licenses: asked.licenses,
    nice: asked.nice,
  }
}

/** Loaded modules as a list, all else as it was found. */
function environment(found: Readonly<Record<string, string>>): Node | null {
  const entries = new Map<string, unknown>()
  for (const [name, value] of Object.entries(found))
    if (name === 'LOADEDMODULES') entries.set('modules', flowList(value.split(':').filter(part => part !== '')))
    else entries.set(name, oneLine(value, 400))
  return sortedMap(entries)
}

/** `45s`, `30m`, `1h30m`, `5m22s`: as a time is written in .compops.yml. */
function compactDuration(seconds: number): string {
  const whole = Math.round(seconds)
  const parts: [number, string][] = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ]
  return parts.map(([value, unit]) => (value === 0 ? '' : `${value}${unit}`)).join('') || '0s'
}

function compactMebibytes(mebibytes: number): string {
  return mebibytes % 1024 === 0 && mebibytes > 0 ? `${mebibytes / 1024}G` : `${mebibytes}M`
}

function compactSize(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${Number(value.toFixed(1))}${units[unit]}`
}

function rounded(value: number | null, digits: number): number | null {
  return value === null || value === 0 ? null : Number(value.toFixed(digits))
}

export interface BranchRecord {
  readonly project: string
  readonly branch: string
  readonly parent: Run['parent']
  readonly stale: boolean
  readonly children: readonly string[]
  readonly run: Run
}

/** `branches/<branch>.yml`: a node of the tree, for programs. */
export function renderBranchRecord(view: BranchRecord): string {
  const { run } = view
  const record = block({
    branch: view.branch,
    project: view.project,
    parent: view.parent === null ? null : flow({ branch: view.parent.branch, why: text(view.parent.why) }),
    children: view.children.toSorted(),
    stale: view.stale,
    state: run.state,
    run: flow({ id: run.id, sha: run.sha, evidence: evidencePath(run) }),
    submitted_at: time(run.createdAt),
    ended_at: time(run.endedAt),
  })
  return write('ComputationalOps computation branch, schema 1. Written by the service.', record)
}

/** A time stands unquoted, as in every other YAML file; for the library it is text. */
class Time {
  readonly text: string
  constructor(date: Date) {
    this.text = date.toISOString().replace(/\.\d{3}Z$/, 'Z')
  }
}

const timeTag = {
  tag: 'tag:compops,time',
  default: true as const,
  identify: (value: unknown) => value instanceof Time,
  test: /^(?!)/,
  resolve: (source: string) => source,
  stringify: (item: Scalar) => (item.value as Time).text,
}

/** Makes the nodes; each record is written by taking its place as the contents. */
const plain = new Document(null, {
  version: '1.2',
  compat: 'yaml-1.1',
  aliasDuplicateObjects: false,
  customTags: tags => [...tags, timeTag],
})

function time(date: Date | null): Time | null {
  return date === null ? null : new Time(date)
}

/** Prose of others: one line, without control and direction characters. Paths and ids stand as they are. */
function text(value: string | null | undefined): string | null {
  const line = value == null ? '' : oneLine(value, 1000)
  return line === '' ? null : line
}

function quoted(value: string): Scalar {
  const scalar = new Scalar(value)
  scalar.type = Scalar.QUOTE_DOUBLE
  return scalar
}

/** A map in the order of its keys here; what is null, or an empty list, is left out. */
function block(entries: Readonly<Record<string, unknown>>): YAMLMap {
  return mapOf(Object.entries(entries))
}

function mapOf(entries: readonly (readonly [string, unknown])[]): YAMLMap {
  const map = new YAMLMap(plain.schema)
  for (const [key, value] of entries) {
    if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) continue
    // Never through an object: a job or metric named `__proto__` is a name like any other.
    map.add(plain.createPair(key, value instanceof Time ? new Scalar(value) : value))
  }
  return map
}

function flow(entries: Readonly<Record<string, unknown>>): YAMLMap | null {
  const map = block(entries)
  map.flow = true
  return map.items.length === 0 ? null : map
}

function sortedMap(entries: ReadonlyMap<string, unknown>): YAMLMap | null {
  const map = mapOf([...entries].sort(([a], [b]) => (a < b ? -1 : 1)))
  return map.items.length === 0 ? null : map
}

function flowList(values: readonly unknown[]): Node | null {
  if (values.length === 0) return null
  const list = new YAMLSeq(plain.schema)
  for (const value of values) list.add(plain.createNode(value))
  list.flow = true
  return list
}

function write(comment: string | null, record: Node): string {
  plain.contents = record
  plain.commentBefore = comment === null ? null : ` ${comment}`
  return plain.toString({ lineWidth: 0 })
}
