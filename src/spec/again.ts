/** `retry`, `checkpoint` and `chain`: what a job says of running again. */
import { asLine, asMap, asScalar, join, type Report } from '../config/fields.ts'
import { nearest } from '../config/nearest.ts'
import { type Located, type LocatedEntry, type LocatedMap, type Place, quote } from '../config/yaml.ts'
import type { Resources } from '../model/job-spec.ts'
import type { Policy } from '../model/policy.ts'
import { formatMemory, parseMemory } from '../model/resources.ts'
import {
  type ChainSpec,
  type CheckpointSpec,
  checkpointSignals,
  isRetryReason,
  type OnExhausted,
  onExhausted,
  type RetryReason,
  type RetryRule,
  type RetrySpec,
  retryReasons,
} from '../model/retry.ts'
import { formatWalltime, parseWalltime } from '../model/walltime.ts'
import { refusePath } from './glob.ts'

export const mostRetries = 20
export const mostSegments = 1_000
const defaultTimes = 2
const defaultRestarts = 10

/** A number for all reasons together, or what holds for each. */
export function readRetry(node: Located, path: string, report: Report): RetrySpec | undefined {
  if (node.kind === 'scalar') {
    const total = readTimes(node, path, report)
    if (total === undefined) return undefined
    return { total, rules: Object.fromEntries(retryReasons.map(reason => [reason, { times: total }])) }
  }
  const rules: Partial<Record<RetryReason, RetryRule>> = {}
  const map = node.kind === 'map' ? node : asMap(node, path, report)
  for (const entry of map?.entries ?? []) {
    const here = join(path, entry.key)
    if (!isRetryReason(entry.key as RetryReason)) {
      refuseReason(entry, here, report)
      continue
    }
    const reason = entry.key as RetryReason
    const rule = readRule(reason, entry.value, here, report)
    if (rule !== undefined) rules[reason] = rule
  }
  return map === undefined ? undefined : { total: null, rules }
}

const gitlabWords: Readonly<Record<string, string>> = {
  max: 'Write `retry: 2`, or a number for each reason: `retry: { node: 2 }`.',
  when: 'Write each reason with its number: `retry: { node: 2, timeout: 1 }`.',
  exit_codes: 'Write `retry: { exit: 1 }`: each exit code but 0 counts.',
  oom: 'Write `memory`.',
  node_fail: 'Write `node`.',
  submit: 'What the scheduler does not accept it would not accept again.',
}

function refuseReason(entry: LocatedEntry, path: string, report: Report): void {
  const near = nearest(entry.key, retryReasons)
  const known = `Reasons are ${retryReasons.map(reason => `\`${reason}\``).join(', ')}.`
  const remedy = Object.hasOwn(gitlabWords, entry.key)
    ? gitlabWords[entry.key]!
    : `${near === null ? '' : `Did you mean \`${near}\`? `}${known}`
  report(entry, path, `${quote(entry.key)} is not a reason to retry.`, remedy)
}

function readRule(reason: RetryReason, node: Located, path: string, report: Report): RetryRule | undefined {
  if (node.kind === 'scalar') {
    const times = readTimes(node, path, report)
    return times === undefined ? undefined : { times }
  }
  const map = asMap(node, path, report)
  if (map === undefined) return undefined
  const raised = reason === 'memory' ? 'mem' : reason === 'timeout' ? 'time' : null
  const known = ['times', ...(raised === null ? [] : [raised, 'max']), ...(reason === 'node' ? ['exclude'] : [])]
  const keys = keysOf(map, path, known, `\`${reason}\``, { max_attempts: 'times' }, report)
  const times = read(keys, 'times', path, report, readTimes) ?? defaultTimes
  const factor = raised === null ? undefined : read(keys, raised, path, report, readFactor)
  const max = raised === null ? undefined : read(keys, 'max', path, report, readMost(raised))
  const exclude = read(keys, 'exclude', path, report, readFlag)
  return {
    times,
    ...(factor === undefined ? {} : { factor }),
    ...(max === undefined ? {} : { max }),
    ...(exclude === undefined ? {} : { exclude }),
  }
}

type Keys = ReadonlyMap<string, LocatedEntry>

/** The entries by their key; what is not known, or said twice, is told. */
function keysOf(
  map: LocatedMap,
  path: string,
  known: readonly string[],
  owner: string,
  aliases: Readonly<Record<string, string>>,
  report: Report,
): Keys {
  const found = new Map<string, LocatedEntry>()
  for (const entry of map.entries) {
    const key = Object.hasOwn(aliases, entry.key) ? aliases[entry.key]! : entry.key
    const here = join(path, entry.key)
    if (!known.includes(key)) {
      const near = nearest(entry.key, known)
      report(
        entry,
        here,
        `${quote(entry.key)} is not a key of ${owner}.`,
        `${near === null ? '' : `Did you mean \`${near}\`? `}It has ${known.map(one => `\`${one}\``).join(', ')}.`,
      )
    } else if (found.has(key))
      report(entry, here, `${quote(entry.key)} and ${quote(found.get(key)!.key)} mean the same.`, 'Keep one of them.')
    else found.set(key, entry)
  }
  return found
}

type ReadValue<T> = (node: Located, path: string, report: Report) => T | undefined

function read<T>(keys: Keys, key: string, path: string, report: Report, value: ReadValue<T>): T | undefined {
  const entry = keys.get(key)
  return entry === undefined ? undefined : value(entry.value, join(path, entry.key), report)
}

const readWhole =
  (least: number, most: number, what: string): ReadValue<number> =>
  (node, path, report) => {
    if (node.kind === 'scalar' && typeof node.value === 'number' && Number.isSafeInteger(node.value)) {
      if (node.value >= least && node.value <= most) return node.value
      report(node, path, `${what} is a number from ${least} to ${most}.`, null)
    } else report(node, path, `${what} must be a whole number.`, `Write for example \`${Math.max(2, least)}\`.`)
    return undefined
  }

const readTimes = readWhole(0, mostRetries, 'How often a job is tried again')

const readFlag: ReadValue<boolean> = (node, path, report) => {
  if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value
  report(node, path, 'This must be `true` or `false`.', 'Write it without quotes.')
  return undefined
}

/** `x1.5`: of what the last attempt had. */
const readFactor: ReadValue<number> = (node, path, report) => {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const text = typeof scalar.value === 'string' ? scalar.value : scalar.source
  const factor = Number(/^x(\d{1,2}(?:\.\d{1,3})?)$/.exec(text)?.[1])
  if (factor >= 1 && factor <= 10) return factor
  const number = Number(text)
  const instead = number >= 1 && number <= 10 ? `x${text}` : 'x1.5'
  report(scalar, path, `${quote(text)} does not say how much more.`, `Write \`${instead}\`, from \`x1\` to \`x10\`.`)
  return undefined
}

const readMost =
  (of: 'mem' | 'time'): ReadValue<number> =>
  (node, path, report) => {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return undefined
    const parsed = of === 'mem' ? parseMemory(scalar.value) : parseWalltime(scalar.value, !scalar.plain)
    if (parsed.ok) return parsed.value
    report(scalar, path, `\`max\`: ${parsed.message}`, parsed.remedy)
    return undefined
  }

/** `{ signal: USR1, lead: 5m }`, or the lead alone. */
export function readCheckpoint(node: Located, path: string, report: Report): CheckpointSpec | undefined {
  if (node.kind === 'scalar') {
    const lead = readLead(node, path, report)
    return lead === undefined ? undefined : { signal: 'USR1', lead, restarts: defaultRestarts }
  }
  const map = asMap(node, path, report)
  if (map === undefined) return undefined
  const keys = keysOf(map, path, ['signal', 'lead', 'restarts'], '`checkpoint`', {}, report)
  const lead = read(keys, 'lead', path, report, readLead)
  if (!keys.has('lead'))
    report(map, path, '`checkpoint` does not say how long it takes to write one.', 'Write for example `lead: 5m`.')
  const signal = read(keys, 'signal', path, report, readSignal) ?? 'USR1'
  const restarts = read(keys, 'restarts', path, report, readWhole(0, mostSegments, 'How often it is started again'))
  return lead === undefined ? undefined : { signal, lead, restarts: restarts ?? defaultRestarts }
}

const readSignal: ReadValue<CheckpointSpec['signal']> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const signal = checkpointSignals.find(one => one === text.replace(/^SIG/, ''))
  if (signal === undefined)
    report(
      node,
      path,
      `${quote(text)} is not a signal for checkpoints.`,
      `Write ${checkpointSignals.map(one => `\`${one}\``).join(' or ')}: others mean the end.`,
    )
  return signal
}

const readLead: ReadValue<number> = (node, path, report) => {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const parsed = parseWalltime(scalar.value, !scalar.plain)
  if (!parsed.ok) {
    report(scalar, path, `\`lead\`: ${parsed.message}`, parsed.remedy)
    return undefined
  }
  // As far as sbatch --signal goes, and LSF and others count seconds too.
  if (parsed.value <= 65_535) return parsed.value
  report(scalar, path, '`lead` is longer than 18 hours.', 'Write for example `5m`.')
  return undefined
}

/** `{ segments: 10, until: converged }`, or the number alone. */
export function readChain(node: Located, path: string, report: Report): ChainSpec | undefined {
  const count = readWhole(1, mostSegments, 'The number of segments')
  if (node.kind === 'scalar') {
    const segments = count(node, path, report)
    return segments === undefined ? undefined : { segments, until: null }
  }
  const map = asMap(node, path, report)
  if (map === undefined) return undefined
  const keys = keysOf(map, path, ['segments', 'until'], '`chain`', {}, report)
  if (!keys.has('segments'))
    report(map, path, '`chain` does not say how many segments there are at most.', 'Write for example `segments: 10`.')
  const segments = read(keys, 'segments', path, report, count)
  const until = read(keys, 'until', path, report, readFile)
  return segments === undefined ? undefined : { segments, until: until ?? null }
}

const readFile: ReadValue<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const refusal = refusePath(text, false)
  if (refusal === null) return text.replace(/^\.\//, '')
  report(node, path, `\`until\`: ${quote(text)} ${refusal.message}.`, refusal.remedy)
  return undefined
}

export function readOnExhausted(node: Located, path: string, report: Report): OnExhausted | undefined {
  const value = node.kind === 'scalar' ? onExhausted.find(one => one === node.value) : undefined
  if (value === undefined)
    report(node, path, '`on_exhausted` must be `fail` or `pause`.', 'With `pause` the job waits for a person.')
  return value
}

interface Written<T> {
  readonly value: T
  readonly place: Place
}

export interface AgainKeys {
  readonly retry: Written<RetrySpec> | undefined
  readonly checkpoint: Written<CheckpointSpec> | undefined
  readonly chain: Written<ChainSpec> | undefined
}

/** What only shows beside the job's other keys; and its retries as far as the site lets them go. */
export function checkAgain(
  { retry, checkpoint, chain }: AgainKeys,
  job: { readonly resources: Resources; readonly array: boolean; readonly policy: Policy | undefined },
  tell: (place: Place, key: keyof AgainKeys, message: string, remedy: string) => void,
): RetrySpec | undefined {
  const { mem, mem_per_cpu: perCpu, time } = job.resources
  if (chain !== undefined && job.array)
    tell(chain.place, 'chain', '`chain` and `array` exclude each other.', 'Write a job for each chain.')
  if (checkpoint !== undefined) {
    if (time === undefined)
      tell(checkpoint.place, 'checkpoint', '`checkpoint` needs the `time` whose end is announced.', 'Write `time: 4h`.')
    else if (checkpoint.value.lead >= time)
      tell(
        checkpoint.place,
        'checkpoint',
        `\`lead\` is not shorter than \`time\`, ${formatWalltime(time)}.`,
        'Write for example `lead: 5m`.',
      )
  }
  if (retry === undefined) return undefined
  const { memory, timeout } = retry.value.rules
  const memoryNow = mem ?? perCpu
  if (memory?.factor !== undefined && memoryNow === undefined)
    tell(retry.place, 'retry', 'There is no `mem` that could be raised.', 'Write for example `mem: 2G`.')
  if (memory?.max !== undefined && memoryNow !== undefined && memory.max < memoryNow)
    tell(retry.place, 'retry', `\`max\` is less than the ${formatMemory(memoryNow)} it begins with.`, 'Write more.')
  if (timeout?.factor !== undefined && time === undefined)
    tell(retry.place, 'retry', 'There is no `time` that could be raised.', 'Write for example `time: 1h`.')
  if (timeout?.max !== undefined && time !== undefined && timeout.max < time)
    tell(retry.place, 'retry', `\`max\` is less than the ${formatWalltime(time)} it begins with.`, 'Write more.')
  if (Object.values(retry.value.rules).every(rule => rule.times === 0)) return undefined
  const most = job.policy?.time ?? null
  if (timeout === undefined || most === null) return retry.value
  const max = Math.min(timeout.max ?? most, most)
  return { ...retry.value, rules: { ...retry.value.rules, timeout: { ...timeout, max } } }
}
