import { join } from '../config/fields.ts'
import { nearest } from '../config/nearest.ts'
import { type Place, quote } from '../config/yaml.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type ArraySpec, parseArray } from '../model/array.ts'
import type { JobSpec, Origin, ParamValue, Resources } from '../model/job-spec.ts'
import { shortNeed } from '../model/needs.ts'
import { overPolicy, type Policy } from '../model/policy.ts'
import type { ResourceName } from '../model/resources.ts'
import { checkAgain } from './again.ts'
import { readInterpreter } from './batch-file.ts'
import type { BatchDirectives, SpecCluster, SpecContext, SpecLimits } from './context.ts'
import type { Level, Written } from './level.ts'
import type { Problems } from './problems.ts'

/** A job's own keys, under its name. */
export interface JobLevel extends Level {
  readonly name: string
  readonly place: Place
}

function chooseCluster(
  level: JobLevel,
  top: Written<string> | null,
  context: SpecContext,
  problems: Problems,
): { cluster: SpecCluster; origin: Origin } | null {
  const written = level.cluster ?? top
  const [first] = context.clusters
  if (first === undefined) {
    problems.tell('', 'This project may use no cluster.', 'Ask who runs the service to allow one.')
    return null
  }
  if (written === null) return { cluster: first, origin: 'first cluster of the project' }
  const found = context.clusters.find(cluster => cluster.name === written.value)
  if (found !== undefined) return { cluster: found, origin: lineOf(written.place) }
  const names = context.clusters.map(cluster => cluster.name)
  const near = nearest(written.value, names)
  problems.report(
    written.place,
    level.cluster === undefined ? 'cluster' : join(level.path, 'cluster'),
    `This project may not use a cluster ${quote(written.value)}.`,
    `${near === null ? '' : `Did you mean ${quote(near)}? `}It may use ${names.map(name => quote(name)).join(', ')}.`,
  )
  return null
}

function lineOf({ file = '.compops.yml', line }: Place): Origin {
  return line === 0 ? file : `${file} line ${line}`
}

/** One job with everything applied: cluster default, then the lines of its batch script, then `defaults`, then its own keys; each later one wins. */
export function buildJob(
  level: JobLevel,
  defaults: Level,
  top: Written<string> | null,
  context: SpecContext,
  limits: SpecLimits,
  problems: Problems,
  notices: string[],
): JobSpec | null {
  const chosen = chooseCluster(level, top, context, problems)
  if (chosen === null) return null
  const { cluster } = chosen
  const origins: Record<string, Origin> = { cluster: chosen.origin }
  const batch = level.file === undefined ? null : readBatch(level.file, level, cluster, context, limits, problems)
  for (const { directive, line, reason, essential } of batch?.lines.dropped ?? []) {
    const where = `${quote(batch?.path ?? '')}, line ${line}: ${quote(directive)}`
    if (essential === true && batch !== null)
      problems.report(
        batch.place,
        join(level.path, 'file'),
        `${where} cannot be kept, and without it something else would be computed: ${inert(reason)}.`,
        null,
      )
    else notices.push(`${level.name}: ${batch?.path}, line ${line}: ${quote(directive)} is left out: ${reason}`)
  }

  const resources: Record<string, Resources[ResourceName]> = {}
  const apply = (name: ResourceName, value: Resources[ResourceName], origin: Origin) => {
    // One excludes the other; what is nearer to the job wins.
    const rival = name === 'mem' ? 'mem_per_cpu' : name === 'mem_per_cpu' ? 'mem' : null
    if (rival !== null) {
      delete resources[rival]
      delete origins[rival]
    }
    resources[name] = value
    origins[name] = origin
  }
  for (const [name, value] of Object.entries(cluster.defaults))
    apply(name as ResourceName, value as Resources[ResourceName], `default of cluster ${cluster.name}`)
  for (const [name, value] of Object.entries(batch?.lines.resources ?? {}))
    apply(
      name as ResourceName,
      value as Resources[ResourceName],
      batchOrigin(batch, cluster, batch?.lines.lines[name] ?? null),
    )
  for (const from of [defaults, level])
    for (const [name, { value, place }] of from.resources) apply(name, value, lineOf(place))
  checkPartition(resources.partition as string | undefined, level, defaults, cluster, problems)
  if (context.policy !== undefined)
    checkPolicy(resources as Resources, level, defaults, batch, context.policy, problems)

  const directives = checkDirectives(level, defaults, batch, cluster, context, problems, origins)
  const env = mergeMaps<string>('env', defaults.env, level.env, origins)
  const params = mergeMaps<ParamValue>('params', defaults.params, level.params, origins)
  const nearer = <
    K extends
      | 'setup'
      | 'inputs'
      | 'outputs'
      | 'metrics'
      | 'cache'
      | 'gate'
      | 'requeue'
      | 'image'
      | 'modules'
      | 'fail_on'
      | 'stall_timeout'
      | 'progress'
      | 'retry'
      | 'checkpoint'
      | 'chain'
      | 'on_exhausted',
  >(
    key: K,
  ) => {
    const written = level[key] ?? defaults[key]
    if (written !== undefined) origins[key] = lineOf(written.place)
    return written?.value as NonNullable<Level[K]>['value'] | undefined
  }
  for (const key of ['needs', 'script', 'file', 'rules'] as const) {
    const written = level[key]
    if (written !== undefined) origins[key] = lineOf(written.place)
  }
  const metrics = nearer('metrics')
  const setup = templateLines(
    level,
    defaults,
    cluster,
    { resources: resources as Resources, params },
    context,
    problems,
  )
  const template = (level.template ?? defaults.template)?.value
  const own = nearer('setup') ?? []
  setup.forEach(({ origin }, i) => {
    origins[`setup[${i}]`] = origin
  })
  const image = nearer('image')
  const inputs = nearer('inputs') ?? []
  const others = level.branchNeeds?.value.map(need => need.value) ?? []
  const modules = nearer('modules') ?? []
  const failOn = nearer('fail_on') ?? []
  const stallTimeout = nearer('stall_timeout')
  const progress = nearer('progress')
  const gate = nearer('gate') ?? true
  const cache = nearer('cache') ?? false
  const secrets = namedSecrets(level, defaults, context, problems, origins)
  const array = chooseArray(level, batch, cluster, problems, origins)
  const cached = level.cache
  if (array !== null && cached !== undefined && cached.value !== false)
    problems.report(
      cached.place,
      join(level.path, 'cache'),
      'The results of an array cannot be reused yet.',
      'Leave `cache` out, or write one job for each task.',
    )
  const again = {
    retry: level.retry ?? defaults.retry,
    checkpoint: level.checkpoint ?? defaults.checkpoint,
    chain: level.chain,
  }
  for (const key of ['retry', 'checkpoint', 'chain'] as const) nearer(key)
  const retry = checkAgain(
    again,
    { resources: resources as Resources, array: array !== null, policy: context.policy },
    (place, key, message, remedy) =>
      problems.report(place, join((key in level ? level : defaults).path, key), message, remedy),
  )
  const pauses = nearer('on_exhausted') === 'pause'
  return {
    name: level.name,
    cluster: cluster.name,
    needs: level.needs?.value.map(need => shortNeed(need.value)) ?? [],
    ...(others.length === 0 ? {} : { branch_needs: others }),
    ...(modules.length === 0 ? {} : { modules }),
    ...(template === undefined || template.includes('/') ? {} : { template }),
    setup: [...setup.map(one => one.text), ...own],
    script: level.script?.value ?? null,
    file: batch === null ? null : { path: batch.path, interpreter: batch.interpreter },
    resources: resources as Resources,
    env,
    params,
    outputs: nearer('outputs') ?? [],
    metrics: metrics?.file ?? null,
    ...(Object.keys(metrics?.better ?? {}).length === 0 ? {} : { better: metrics!.better }),
    ...(metrics?.noise == null ? {} : { noise: metrics.noise }),
    directives,
    requeue: nearer('requeue') ?? false,
    ...(retry === undefined ? {} : { retry }),
    ...(again.checkpoint === undefined ? {} : { checkpoint: again.checkpoint.value }),
    ...(again.chain === undefined ? {} : { chain: again.chain.value }),
    ...(pauses ? { on_exhausted: 'pause' as const } : {}),
    ...(image === undefined ? {} : { image }),
    ...(inputs.length === 0 ? {} : { inputs }),
    ...(secrets.length === 0 ? {} : { secrets }),
    ...(failOn.length === 0 ? {} : { fail_on: failOn }),
    ...(stallTimeout === undefined ? {} : { stall_timeout: stallTimeout }),
    ...(progress === undefined ? {} : { progress }),
    ...(array === null ? {} : { array }),
    ...(gate ? {} : { gate }),
    ...(cache === false || array !== null ? {} : { cache }),
    origins,
  }
}

/** What comes before the job's own `setup`: the template. */
function templateLines(
  level: JobLevel,
  defaults: Level,
  cluster: SpecCluster,
  job: { readonly resources: Resources; readonly params: Readonly<Record<string, ParamValue>> },
  context: SpecContext,
  problems: Problems,
): { text: string; origin: Origin }[] {
  const lines: { text: string; origin: Origin }[] = []
  const from = level.template === undefined ? defaults : level
  const { template } = from
  if (template === undefined) return lines
  const origin = `template ${template.value}, ${lineOf(template.place)}`
  const refuse = (message: string, remedy: string) =>
    problems.report(template.place, join(from.path, 'template'), message, remedy)
  if (template.value.includes('/')) {
    const path = template.value.replace(/^\.\//, '')
    if (context.readFile(path) === null)
      refuse(
        `There is no file ${quote(path)} in this commit.`,
        'Commit it, or correct the path; it begins at the top folder of the repository.',
      )
    else lines.push({ text: `. ./${shellWord(path)}`, origin })
    return lines
  }
  const { templates } = context
  if (!templates.names.includes(template.value)) {
    const near = nearest(template.value, templates.names)
    refuse(
      `There is no template ${quote(template.value)}.`,
      `${near === null ? '' : `Did you mean ${quote(near)}? `}There are ${templates.names.map(name => quote(name)).join(', ')}; or write the path of a shell file of the repository, \`./jobs/env.sh\`.`,
    )
    return lines
  }
  try {
    lines.push({ text: templates.render(template.value, { scheduler: cluster.dialectName, ...job }), origin })
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    refuse(
      `The template ${quote(template.value)} cannot be used: ${inert(describeError(error))}.`,
      'Tell who runs the service.',
    )
  }
  return lines
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function namedSecrets(
  level: JobLevel,
  defaults: Level,
  context: SpecContext,
  problems: Problems,
  origins: Record<string, Origin>,
): string[] {
  const from = level.secrets === undefined ? defaults : level
  const written = from.secrets
  if (written === undefined) return []
  origins.secrets = lineOf(written.place)
  for (const { value, place } of written.value) {
    if (context.secrets.includes(value)) continue
    const near = nearest(value, context.secrets)
    problems.report(
      place,
      join(from.path, 'secrets'),
      `This project has no secret ${quote(value)}${context.secrets.length === 0 ? '' : ' on this branch'}.`,
      `${near === null ? '' : `Did you mean ${quote(near)}? `}${context.secrets.length === 0 ? 'Ask who runs the service to add it under `secrets` of the project.' : `It has ${context.secrets.map(name => quote(name)).join(', ')}.`}`,
    )
  }
  return [...new Set(written.value.map(one => one.value))]
}

function chooseArray(
  level: JobLevel,
  batch: Batch | null,
  cluster: SpecCluster,
  problems: Problems,
  origins: Record<string, Origin>,
): ArraySpec | null {
  if (level.array !== undefined) {
    origins.array = lineOf(level.array.place)
    return level.array.value
  }
  const written = batch?.lines.array
  if (batch === null || written === undefined) return null
  const parsed = parseArray(written.text)
  if (parsed.ok) {
    origins.array = batchOrigin(batch, cluster, written.line)
    return parsed.value
  }
  problems.report(
    batch.place,
    join(level.path, 'file'),
    `${quote(batch.path)}, line ${written.line}: ${inert(parsed.message)}.`,
    parsed.remedy,
  )
  return null
}

function mergeMaps<T>(
  key: string,
  defaults: ReadonlyMap<string, Written<T>>,
  own: ReadonlyMap<string, Written<T>>,
  origins: Record<string, Origin>,
): Record<string, T> {
  const merged: Record<string, T> = {}
  for (const from of [defaults, own])
    for (const [name, { value, place }] of from) {
      merged[name] = value
      origins[`${key}.${name}`] = lineOf(place)
    }
  return merged
}

function checkPartition(
  name: string | undefined,
  level: JobLevel,
  defaults: Level,
  cluster: SpecCluster,
  problems: Problems,
): void {
  if (name === undefined || cluster.partitions === undefined || cluster.partitions.length === 0) return
  // Slurm takes a list and starts where it can first.
  const unknown = name.split(',').find(part => cluster.partitions?.includes(part) === false)
  if (unknown === undefined) return
  const near = nearest(unknown, cluster.partitions)
  const from = level.resources.has('partition') ? level : defaults
  const place = from.resources.get('partition')?.place ?? level.place
  problems.report(
    place,
    join(from.path, 'partition'),
    `The cluster ${quote(cluster.name)} has no partition ${quote(unknown)}.`,
    `${near === null ? '' : `Did you mean ${quote(near)}? `}It has ${cluster.partitions
      .slice(0, 20)
      .map(p => quote(p))
      .join(', ')}.`,
  )
}

/** The mistake stands where the value came from: the job, `defaults`, its batch script, else (a default of the cluster, or nothing at all) the job. */
function checkPolicy(
  resources: Resources,
  level: JobLevel,
  defaults: Level,
  batch: Batch | null,
  policy: Policy,
  problems: Problems,
): void {
  for (const { key, message, remedy } of overPolicy(resources, policy)) {
    const from = [level, defaults].find(one => one.resources.has(key))
    const line = batch?.lines.lines[key]
    if (from === undefined && batch !== null && line !== undefined)
      problems.report(batch.place, join(level.path, 'file'), `${quote(batch.path)}, line ${line}: ${message}`, remedy)
    else
      problems.report(
        from?.resources.get(key)?.place ?? level.place,
        join(from?.path ?? level.path, key),
        message,
        remedy,
      )
  }
}

interface Batch {
  readonly path: string
  readonly interpreter: readonly string[]
  readonly lines: BatchDirectives
  readonly place: Place
}

function readBatch(
  file: Written<string>,
  level: JobLevel,
  cluster: SpecCluster,
  context: SpecContext,
  limits: SpecLimits,
  problems: Problems,
): Batch | null {
  const path = join(level.path, 'file')
  const refuse = (message: string, remedy: string | null) => problems.report(file.place, path, message, remedy)
  const text = context.readFile(file.value)
  if (text === null) {
    refuse(
      `There is no file ${quote(file.value)} in this commit.`,
      'Commit it, or correct the path; it begins at the top folder of the repository.',
    )
    return null
  }
  if (Buffer.byteLength(text) > limits.batchFile) {
    refuse(`${quote(file.value)} is larger than ${limits.batchFile / 1_048_576} MiB.`, 'Name a batch script.')
    return null
  }
  const read = readInterpreter(text)
  if (!read.ok) {
    refuse(`${quote(file.value)} ${read.message}.`, read.remedy)
    return null
  }
  try {
    const lines = context.readBatchDirectives(cluster, text)
    return { path: file.value, interpreter: read.interpreter, lines, place: file.place }
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    refuse(`${quote(file.value)}: ${inert(describeError(error))}.`, null)
    return null
  }
}

function batchOrigin(batch: Batch | null, cluster: SpecCluster, line: number | null): Origin {
  const prefix = cluster.directivePrefix ?? 'directive'
  return line === null ? `${prefix} of ${batch?.path}` : `${prefix} line ${line} of ${batch?.path}`
}

/** The raw options: those of the batch script first, since a scheduler lets the later win. */
function checkDirectives(
  level: JobLevel,
  defaults: Level,
  batch: Batch | null,
  cluster: SpecCluster,
  context: SpecContext,
  problems: Problems,
  origins: Record<string, Origin>,
): string[] {
  const directives: string[] = []
  const add = (text: string, origin: Origin, place: Place, path: string, where: string) => {
    const allowed = context.allowedDirective(cluster, text)
    if (allowed !== true) {
      problems.report(place, path, `${where}${quote(text)} is not allowed: ${inert(allowed)}.`, null)
      return
    }
    origins[`directives[${directives.length}]`] = origin
    directives.push(text)
  }
  if (batch !== null)
    for (const { directive, line } of batch.lines.directives)
      add(
        directive,
        batchOrigin(batch, cluster, line),
        batch.place,
        join(level.path, 'file'),
        `${quote(batch.path)}, line ${line}: `,
      )
  const from = level.directives === undefined ? defaults : level
  for (const { value, place } of from.directives?.value ?? [])
    add(value, lineOf(place), place, join(from.path, 'directives'), '')
  return directives
}

/** A dialect's sentence may repeat what a stranger wrote: then it is shown as code, which does nothing in Markdown. */
function inert(sentence: string): string {
  const text = sentence.replace(/\.$/, '')
  return /^[\w\s.,:;()'"=*/-]*$/.test(text) && !text.includes('\n') ? text : quote(text, 300)
}
