import {
  asLine,
  asList,
  asMap,
  asScalar,
  asText,
  isEmpty,
  join,
  nameOf,
  type Report,
  reportUnknown,
} from '../config/fields.ts'
import { inQuotes, type Located, type LocatedEntry, type LocatedMap, type Place, quote } from '../config/yaml.ts'
import { type ArraySpec, parseArray } from '../model/array.ts'
import type { CacheSpec, InputsFrom, ParamValue, Resources } from '../model/job-spec.ts'
import type { BranchNeed } from '../model/needs.ts'
import { type ResourceName, readResource } from '../model/resources.ts'
import type { ChainSpec, CheckpointSpec, OnExhausted, RetrySpec } from '../model/retry.ts'
import { readChain, readCheckpoint, readOnExhausted, readRetry } from './again.ts'
import { readCache } from './cache.ts'
import { readSurroundings } from './environment.ts'
import { readGlobs, refusePath } from './glob.ts'
import { readInputs } from './inputs.ts'
import { canonicalJobKeys, isInDefaults, type KeyMeaning, laterRemedy, meaningOf } from './keys.ts'
import { type MetricsKey, readMetricsKey } from './metrics.ts'
import { readNeeds, type WrittenNeed } from './needs.ts'
import type { Problems } from './problems.ts'
import { type Rule, readRules } from './rules.ts'
import { readPattern, readPatterns, readStallTimeout } from './watched.ts'

/** A value and where it stands. */
export interface Written<T> {
  readonly value: T
  readonly place: Place
}

/** What one map of the file says, a job's or `defaults`; nothing applied yet. */
export interface Level {
  readonly path: string
  readonly resources: Map<ResourceName, Written<NonNullable<Resources[ResourceName]>>>
  readonly env: Map<string, Written<string>>
  readonly params: Map<string, Written<ParamValue>>
  cluster?: Written<string>
  needs?: Written<readonly WrittenNeed[]>
  branchNeeds?: Written<readonly Written<BranchNeed>[]>
  rules?: Written<readonly Rule[]>
  modules?: Written<readonly string[]>
  template?: Written<string>
  image?: Written<string>
  secrets?: Written<readonly Written<string>[]>
  setup?: Written<readonly string[]>
  script?: Written<readonly string[]>
  file?: Written<string>
  inputs?: Written<readonly InputsFrom[]>
  outputs?: Written<readonly string[]>
  metrics?: Written<MetricsKey>
  directives?: Written<readonly Written<string>[]>
  fail_on?: Written<readonly string[]>
  stall_timeout?: Written<number>
  progress?: Written<string>
  cache?: Written<CacheSpec | false>
  gate?: Written<boolean>
  requeue?: Written<boolean>
  array?: Written<ArraySpec>
  retry?: Written<RetrySpec>
  checkpoint?: Written<CheckpointSpec>
  chain?: Written<ChainSpec>
  on_exhausted?: Written<OnExhausted>
  /** Keys that stand there, right or wrong. */
  readonly keys: Map<string, Place>
  /** Characters of all its values, more or less. */
  weight: number
}

export function emptyLevel(path: string): Level {
  return { path, resources: new Map(), env: new Map(), params: new Map(), keys: new Map(), weight: 0 }
}

/** Reads a job's map, or `defaults`. Every mistake is reported; what is right is kept all the same, so that the next mistake shows too. */
export function readLevel(map: LocatedMap, path: string, owner: 'job' | 'defaults', problems: Problems): Level {
  const level = emptyLevel(path)
  const writtenAs = new Map<string, string>()
  for (const entry of map.entries) {
    if (problems.full()) break
    const here = join(path, entry.key)
    const meaning = meaningOf(entry.key)
    if (meaning === null) {
      refuseKey(entry, here, owner, problems)
      continue
    }
    if (owner === 'defaults' && !isInDefaults(meaning.key)) {
      const remedy = meaning.key === 'cluster' ? 'Write it at the top of the file, or in a job.' : 'Write it in a job.'
      problems.report(entry, here, `${quote(entry.key)} is not a key of \`defaults\`.`, remedy)
      continue
    }
    const earlier = writtenAs.get(meaning.key)
    if (earlier !== undefined) {
      problems.report(entry, here, `${quote(entry.key)} and ${quote(earlier)} mean the same.`, 'Keep one of them.')
      continue
    }
    writtenAs.set(meaning.key, entry.key)
    level.keys.set(meaning.key, entry)
    if (isEmpty(entry.value))
      problems.report(entry, here, `${quote(entry.key)} is empty.`, 'Write a value, or leave the key out.')
    else readKey(level, entry, meaning, here, problems.report)
  }
  const perCpu = level.keys.get('mem_per_cpu')
  if (perCpu !== undefined && level.keys.has('mem'))
    problems.report(
      perCpu,
      join(path, 'mem_per_cpu'),
      '`mem` and `mem_per_cpu` exclude each other.',
      'Keep one of them.',
    )
  return level
}

function refuseKey(entry: LocatedEntry, path: string, owner: 'job' | 'defaults', problems: Problems): void {
  const remedy = laterRemedy(entry.key)
  if (remedy !== null) problems.report(entry, path, `${quote(entry.key)} is not supported yet.`, remedy)
  else {
    const known = canonicalJobKeys.filter(key => owner === 'job' || isInDefaults(key))
    reportUnknown(entry, path, owner === 'job' ? 'a job' : '`defaults`', known, problems.report)
  }
}

function readKey(level: Level, entry: LocatedEntry, { key, kind }: KeyMeaning, path: string, report: Report): void {
  const node = entry.value
  if (kind !== null) {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return
    const parsed = readResource(kind, scalar.value, !scalar.plain)
    if (!parsed.ok) {
      report(scalar, path, `\`${key}\`: ${parsed.message}`, parsed.remedy)
      return
    }
    weigh(level, String(scalar.value))
    level.resources.set(key as ResourceName, { value: parsed.value, place: entry })
    return
  }
  const place = entry
  switch (key) {
    case 'cluster':
    case 'file': {
      const value = asLine(node, path, report)
      if (value === undefined) return
      const refusal = key === 'cluster' ? null : refusePath(value, false)
      if (refusal !== null) {
        report(node, path, `\`${key}\`: ${quote(value)} ${refusal.message}.`, refusal.remedy)
        return
      }
      weigh(level, value)
      level[key] = { value: value.replace(/^\.\//, ''), place }
      return
    }
    case 'needs': {
      const value = readNeeds(node, path, report)
      if (value === undefined) return
      level.needs = { value: value.own, place }
      level.branchNeeds = { value: value.others, place }
      return
    }
    case 'rules': {
      const value = readRules(node, path, report)
      if (value !== undefined) level.rules = { value, place }
      return
    }
    // Resolved before: a job stands by itself here.
    case 'extends':
    case 'parallel':
      return
    case 'modules':
    case 'template':
    case 'image':
    case 'secrets': {
      const value = readSurroundings(key, node, path, report)
      if (value === undefined) return
      for (const one of value) weigh(level, one.value)
      if (key === 'secrets') level.secrets = { value, place }
      else if (key === 'modules') level.modules = { value: value.map(one => one.value), place }
      else if (value[0] !== undefined) level[key] = { value: value[0].value, place }
      return
    }
    case 'setup':
    case 'script': {
      const value = readCommands(node, path, report)
      if (value === undefined) return
      for (const line of value) weigh(level, line)
      level[key] = { value, place }
      return
    }
    case 'inputs': {
      const value = readInputs(node, path, report)
      if (value === undefined) return
      for (const { paths } of value) for (const glob of paths) weigh(level, glob)
      level.inputs = { value, place }
      return
    }
    case 'outputs': {
      const value = readOutputs(node, entry.key, path, report)
      if (value === undefined) return
      for (const glob of value) weigh(level, glob)
      level.outputs = { value, place }
      return
    }
    case 'metrics': {
      const value = readMetricsKey(node, path, report)
      if (value === undefined) return
      for (const text of [value.file, ...Object.keys(value.better)]) weigh(level, text)
      level.metrics = { value, place }
      return
    }
    case 'directives': {
      const value = readDirectives(node, path, report)
      if (value === undefined) return
      for (const directive of value) weigh(level, directive.value)
      level.directives = { value, place }
      return
    }
    case 'fail_on': {
      const value = readPatterns(node, path, report)
      if (value === undefined) return
      for (const one of value) weigh(level, one)
      level.fail_on = { value, place }
      return
    }
    case 'progress': {
      const value = readPattern(node, path, report)
      if (value === undefined) return
      weigh(level, value)
      level.progress = { value, place }
      return
    }
    case 'stall_timeout': {
      const value = readStallTimeout(node, path, report)
      if (value !== undefined) level.stall_timeout = { value, place }
      return
    }
    case 'cache': {
      const value = readCache(node, path, report)
      if (value === undefined) return
      if (value !== false) for (const glob of value.paths ?? []) weigh(level, glob)
      level.cache = { value, place }
      return
    }
    case 'gate':
    case 'requeue': {
      if (node.kind === 'scalar' && typeof node.value === 'boolean') level[key] = { value: node.value, place }
      else report(node, path, `\`${key}\` must be \`true\` or \`false\`.`, 'Write it without quotes.')
      return
    }
    case 'retry': {
      const value = readRetry(node, path, report)
      if (value !== undefined) level.retry = { value, place }
      return
    }
    case 'checkpoint': {
      const value = readCheckpoint(node, path, report)
      if (value !== undefined) level.checkpoint = { value, place }
      return
    }
    case 'chain': {
      const value = readChain(node, path, report)
      if (value !== undefined) level.chain = { value, place }
      return
    }
    case 'on_exhausted': {
      const value = readOnExhausted(node, path, report)
      if (value !== undefined) level.on_exhausted = { value, place }
      return
    }
    case 'array': {
      const value = readArray(node, path, report)
      if (value === undefined) return
      weigh(level, value.tasks)
      level.array = { value, place }
      return
    }
    case 'env':
      readEnv(level, node, path, report)
      return
    case 'params':
      readParams(level, node, path, report)
  }
}

/** Text as after `--array=`, or a list of numbers and such texts. */
function readArray(node: Located, path: string, report: Report): ArraySpec | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'number') {
    // One task of this number to schedulers, so many tasks to people.
    const n = node.source
    report(
      node,
      path,
      '`array` must say which tasks there are.',
      `Write \`0-${Math.max(1, Number(n)) - 1}\` for ${n} tasks, or \`[${n}]\` for one.`,
    )
    return undefined
  }
  const items = node.kind === 'scalar' ? [node] : (asList(node, path, report)?.items ?? [])
  const parts = items.map((item, i) => {
    const scalar = asScalar(item, node.kind === 'scalar' ? path : `${path}[${i}]`, report)
    return scalar === undefined ? null : String(scalar.value)
  })
  if (parts.length === 0 || parts.includes(null)) {
    if (node.kind === 'list' && parts.length === 0)
      report(node, path, '`array` has no tasks.', 'Write for example `0-9`.')
    return undefined
  }
  const parsed = parseArray(parts.join(','))
  if (parsed.ok) return parsed.value
  report(node, path, `\`array\`: ${inertText(parsed.message)}`, parsed.remedy)
  return undefined
}

/** What was written is repeated as code, which does nothing in Markdown. */
function inertText(message: string): string {
  return message.replace(/"(?:[^"\\]|\\.)*"/g, written => quote(JSON.parse(written) as string))
}

function weigh(level: Level, text: string): void {
  level.weight += text.length + 16
}

/** A command or a list of them; lists in lists, as anchors make them, are one list (GitLab does the same). */
function readCommands(node: Located, path: string, report: Report): readonly string[] | undefined {
  if (node.kind === 'scalar') {
    const text = readCommand(node, path, report)
    return text === undefined ? undefined : [text]
  }
  if (node.kind === 'map') {
    report(node, path, `${nameOf(path)} must be a list of commands.`, 'Write lines that begin with `- `.')
    return undefined
  }
  const commands: string[] = []
  node.items.forEach((item, i) => {
    const here = `${path}[${i}]`
    if (item.kind === 'map')
      report(
        item,
        here,
        'YAML reads this command as a key and a value, because `: ` stands in it.',
        "Put the whole command in quotes: '…'.",
      )
    else if (item.kind === 'list') commands.push(...(readCommands(item, here, report) ?? []))
    else {
      const text = readCommand(item, here, report)
      if (text !== undefined) commands.push(text)
    }
  })
  // What was refused is no empty script.
  return commands.length === 0 && node.items.length > 0 ? undefined : commands
}

function readCommand(node: Located, path: string, report: Report): string | undefined {
  if (isEmpty(node)) return ''
  const text = asText(node, path, report)
  if (text === undefined || !text.includes('\0')) return text
  report(node, path, `${nameOf(path)} holds a NUL character.`, 'Take it out.')
  return undefined
}

function readOutputs(node: Located, written: string, path: string, report: Report): readonly string[] | undefined {
  if (written === 'artifacts' && node.kind === 'map') {
    const other = node.entries.find(entry => entry.key !== 'paths')
    const paths = node.entries.find(entry => entry.key === 'paths')
    if (other !== undefined)
      report(
        other,
        join(path, other.key),
        `${quote(other.key)} of \`artifacts\` is not supported.`,
        'Keep `paths`, or write `outputs`.',
      )
    return paths === undefined ? undefined : readOutputs(paths.value, 'paths', join(path, 'paths'), report)
  }
  return readGlobs(node, path, report)
}

function readDirectives(node: Located, path: string, report: Report): readonly Written<string>[] | undefined {
  // Other tools take one text with all the options; it can be split as long as nothing is quoted in it.
  if (node.kind === 'scalar') {
    const text = asLine(node, path, report)
    if (text === undefined) return undefined
    if (/["'\\]/.test(text)) {
      report(node, path, 'Options with quotes cannot be told apart here.', 'Write a list: `directives: ["--a=b c"]`.')
      return undefined
    }
    return text.split(/\s+/).flatMap(option => checkDirective(option, node, path, report))
  }
  return asList(node, path, report)?.items.flatMap((item, i) => {
    const text = asLine(item, `${path}[${i}]`, report)
    return text === undefined ? [] : checkDirective(text.trim(), item, `${path}[${i}]`, report)
  })
}

function checkDirective(text: string, node: Located, path: string, report: Report): Written<string>[] {
  if (/^--?[A-Za-z]/.test(text)) return [{ value: text, place: node }]
  const option = /^#\s?(?:SBATCH|BSUB|PBS|\$)\s+(-.*)$/.exec(text)?.[1]
  report(
    node,
    path,
    `${quote(text)} is not an option of a scheduler.`,
    option === undefined
      ? 'Write it as on the command line: "--hint=nomultithread".'
      : `Write only the option: ${quote(option)}.`,
  )
  return []
}

// Values are not expanded: `PATH: /x:$PATH` would leave a job without its commands. The others change how shells read anything at all.
const reserved = new Set(['PATH', 'IFS', 'BASH_ENV', 'ENV'])

function readEnv(level: Level, node: Located, path: string, report: Report): void {
  for (const entry of asMap(node, path, report)?.entries ?? []) {
    const here = join(path, entry.key)
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(entry.key))
      report(
        entry,
        here,
        `${quote(entry.key)} cannot be the name of a variable.`,
        'Use letters, digits and `_`; no digit in front.',
      )
    else if (entry.key.startsWith('COMPOPS_'))
      report(entry, here, 'Variables that begin with `COMPOPS_` are set by the service.', 'Choose another name.')
    else if (reserved.has(entry.key))
      report(
        entry,
        here,
        `\`${entry.key}\` decides how the job's shell itself works.`,
        `Set it in \`setup\`: \`export ${entry.key}=…\`.`,
      )
    else {
      const value =
        isEmpty(entry.value) && entry.value.kind === 'scalar' && entry.value.source === ''
          ? reportEmptyVariable(entry, here, report)
          : asLine(entry.value, here, report)
      if (value === undefined) continue
      weigh(level, entry.key + value)
      level.env.set(entry.key, { value, place: entry })
    }
  }
}

function reportEmptyVariable(entry: LocatedEntry, path: string, report: Report): undefined {
  report(entry, path, `${quote(entry.key)} is empty.`, 'Write "" for a variable that is empty.')
}

function readParams(level: Level, node: Located, path: string, report: Report): void {
  const variables = new Map<string, string>()
  for (const entry of asMap(node, path, report)?.entries ?? []) {
    const here = join(path, entry.key)
    if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/.test(entry.key)) {
      report(
        entry,
        here,
        `${quote(entry.key)} cannot be the name of a parameter.`,
        'Use letters, digits, `_`, `.` and `-`; no digit in front.',
      )
      continue
    }
    const variable = entry.key.toUpperCase().replace(/[^A-Z0-9]/g, '_')
    const first = variables.get(variable)
    if (first !== undefined) {
      report(
        entry,
        here,
        `\`${entry.key}\` and \`${first}\` would both be COMPOPS_PARAM_${variable}.`,
        'Rename one of them.',
      )
      continue
    }
    variables.set(variable, entry.key)
    weigh(level, entry.key)
    const value = readParam(level, entry.value, here, report)
    if (value !== undefined) level.params.set(entry.key, { value, place: entry })
  }
}

/** Any data, as JSON would hold it; what JSON or a double would change on the way is refused. */
function readParam(level: Level, node: Located, path: string, report: Report): ParamValue | undefined {
  if (node.kind === 'list') return node.items.map((item, i) => readParam(level, item, `${path}[${i}]`, report) ?? null)
  if (node.kind === 'map') {
    const value: Record<string, ParamValue> = {}
    for (const entry of node.entries) {
      weigh(level, entry.key)
      value[entry.key] = readParam(level, entry.value, join(path, entry.key), report) ?? null
    }
    return value
  }
  const { value } = node
  weigh(level, node.source)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    report(
      node,
      path,
      `${quote(node.source)} is not a number that JSON knows.`,
      `Write it in quotes: ${inQuotes(node.source)}.`,
    )
    return undefined
  }
  if (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    !Number.isSafeInteger(value) &&
    /^[-+]?\d+$/.test(node.source)
  ) {
    report(
      node,
      path,
      `${quote(node.source)} has more digits than a number can keep.`,
      `Write it in quotes: ${inQuotes(node.source)}.`,
    )
    return undefined
  }
  if (typeof value === 'string' && value.includes('\0')) {
    report(node, path, `${nameOf(path)} holds a NUL character.`, 'Take it out.')
    return undefined
  }
  return value
}
