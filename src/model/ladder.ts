import type { JobSpec, Resources } from './job-spec.ts'
import { type FailureReason, failureReasons, type JobState } from './job-state.ts'
import { formatMemory } from './resources.ts'
import { isInfrastructureReason, isRetryReason, nodeName, type RetryReason, type RetryRule } from './retry.ts'
import { formatWalltime } from './walltime.ts'

/** What an attempt asks for differently from its job, and which step of the ladder it is. */
export interface Asked {
  /** The resources that were raised. */
  readonly resources?: Pick<Resources, 'mem' | 'mem_per_cpu' | 'time'>
  /** Nodes that it keeps away from. */
  readonly exclude?: readonly string[]
  /** For people: `attempt 2 of 3 after out of memory, mem 2 G → 3 G`. */
  readonly step?: string
}

/** Where a job stands on it, as its row keeps it. */
export interface Ladder {
  /** Only what failed in attempts with a higher number counts: somebody has started it anew. */
  readonly from: number
  /** For all attempts to come. */
  readonly asked?: Asked
}

/** An attempt that has ended, or a task in it. */
export interface Tried {
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly nodes: readonly string[]
  /** Its chain's `until` is there. */
  readonly reached: boolean
}

export type Step =
  /** `wait`: how many intervals until then, since what the cluster could not do it may not do at once either. */
  | { readonly kind: 'again'; readonly asked: Asked; readonly wait: number }
  /** `exhausted`: a person may know more than the rules of the job. */
  | {
      readonly kind: 'ends'
      readonly state: 'completed' | 'failed'
      readonly reason: FailureReason | null
      readonly message: string
      readonly exhausted: boolean
    }

type Spec = Pick<JobSpec, 'resources' | 'retry' | 'checkpoint' | 'chain'>

/** The first attempt's, where it is one of many from the start. */
export function firstStep({ chain }: Spec): Asked | null {
  return chain === undefined ? null : { step: `segment 1 of ${chain.segments}` }
}

/** What follows the last of the attempts that count; null: the job ends as it did. */
export function nextStep(spec: Spec, tried: readonly Tried[], asked: Asked = {}): Step | null {
  const last = tried.at(-1)
  if (last === undefined) return null
  const { chain } = spec
  if (chain !== undefined && endsSegment(last)) {
    if (last.reached) return null
    const done = tried.filter(endsSegment).length
    if (done < chain.segments)
      return { kind: 'again', asked: { ...asked, step: `segment ${done + 1} of ${chain.segments}` }, wait: 0 }
    return chain.until === null
      ? ended('completed', null, `${segments(chain.segments)} run`, false)
      : ended('failed', 'segments', `${segments(chain.segments)} run, and ${chain.until} is not there`, true)
  }
  if (last.state !== 'failed' || last.reason === null) return null
  const found = ruleOf(spec, last.reason)
  if (found === null) return null
  const counted = tried.filter(one => one.state === 'failed' && found.counts(one.reason)).length
  const { rule, reason } = found
  if (counted > rule.times) return usedUp(reason, rule)
  const raised = raise(spec.resources, asked, reason, rule)
  if (raised.most !== null)
    return ended('failed', reason, `it had ${raised.most}, the most that its \`retry\` allows`, true)
  const kept = keepAway(asked, reason, rule, last.nodes)
  const of = tried.length + 1 + rule.times - counted
  const which =
    chain !== undefined
      ? `segment ${tried.filter(endsSegment).length + 1} of ${chain.segments} again`
      : found.checkpoint
        ? `restart ${counted} of ${rule.times} from its checkpoint`
        : `attempt ${tried.length + 1} of ${of}`
  const step = `${which} after ${failureReasons[reason].label}${raised.words}${kept.words}`
  return { kind: 'again', asked: { ...asked, ...raised.asked, ...kept.asked, step }, wait: waitFor(reason, counted) }
}

/** A failed task of an array, with each of its failures that count. */
export interface TriedTask {
  readonly index: number
  /** Oldest first. */
  readonly failures: readonly { readonly reason: FailureReason; readonly nodes: readonly string[] }[]
}

/** Which failed tasks of an array run again: each has the retries of its own, and all that go again ask for the same. null: none does. */
export function nextTasks(
  spec: Spec,
  tasks: readonly TriedTask[],
  asked: Asked = {},
): { readonly tasks: readonly number[]; readonly asked: Asked; readonly wait: number } | null {
  const again: number[] = []
  const reasons = new Map<RetryReason, number>()
  let next = asked
  let words = ''
  let wait = 0
  for (const { index, failures } of tasks) {
    const last = failures.at(-1)
    const found = last === undefined ? null : ruleOf(spec, last.reason)
    if (last === undefined || found === null) continue
    const { rule, reason } = found
    const counted = failures.filter(one => found.counts(one.reason)).length
    if (counted > rule.times) continue
    // From what they had: many tasks that failed alike raise it once.
    const raised = raise(spec.resources, asked, reason, rule)
    if (raised.most !== null) continue
    const kept = keepAway(next, reason, rule, last.nodes)
    if (!reasons.has(reason)) words += raised.words
    next = { ...next, ...kept.asked }
    if (raised.asked.resources !== undefined)
      next = { ...next, resources: { ...next.resources, ...changed(asked, raised.asked.resources) } }
    again.push(index)
    reasons.set(reason, Math.max(reasons.get(reason) ?? 0, counted))
    wait = Math.max(wait, waitFor(reason, counted))
  }
  if (again.length === 0) return null
  const why = [...reasons.keys()].map(reason => failureReasons[reason].label).join(', ')
  const away = next.exclude === asked.exclude ? '' : `, without ${next.exclude?.join(', ')}`
  const step = `${again.length} of its tasks again after ${why}${words}${away}`
  return { tasks: again, asked: { ...next, step }, wait }
}

/** Whether its last failure is one that its job tries again at all. */
export function hasRule(spec: Spec, { failures }: TriedTask): boolean {
  const last = failures.at(-1)
  return last !== undefined && ruleOf(spec, last.reason) !== null
}

function changed(before: Asked, after: NonNullable<Asked['resources']>): NonNullable<Asked['resources']> {
  return Object.fromEntries(Object.entries(after).filter(([key, value]) => before.resources?.[key as 'mem'] !== value))
}

const segments = (n: number) => (n === 1 ? '1 segment has' : `${n} segments have`)

const endsSegment = ({ state, reason }: Tried) => state === 'completed' || (state === 'failed' && reason === 'timeout')

function ended(state: 'completed' | 'failed', reason: FailureReason | null, message: string, exhausted: boolean): Step {
  return { kind: 'ends', state, reason, message, exhausted }
}

interface Found {
  readonly reason: RetryReason
  readonly rule: RetryRule
  readonly checkpoint: boolean
  /** Whether an attempt that ended so used up one of its times. */
  readonly counts: (reason: FailureReason | null) => boolean
}

function ruleOf({ retry, checkpoint }: Spec, reason: FailureReason): Found | null {
  if (!isRetryReason(reason)) return null
  const goesOn = (one: FailureReason | null) => one === 'timeout' || one === 'preempted'
  // What the job said of this very reason holds; else its checkpoint, else what it said of all reasons.
  if (retry?.total === null && retry.rules[reason] !== undefined) {
    const rule =
      checkpoint !== undefined && goesOn(reason) ? { factor: 1, ...retry.rules[reason] } : retry.rules[reason]
    return { reason, rule, checkpoint: checkpoint !== undefined && goesOn(reason), counts: one => one === reason }
  }
  if (checkpoint !== undefined && goesOn(reason))
    return { reason, rule: { times: checkpoint.restarts, factor: 1 }, checkpoint: true, counts: goesOn }
  const rule = retry?.rules[reason]
  if (rule === undefined) return null
  const ofCheckpoint = (one: FailureReason | null) => checkpoint !== undefined && goesOn(one)
  return { reason, rule, checkpoint: false, counts: one => one !== null && isRetryReason(one) && !ofCheckpoint(one) }
}

function usedUp(reason: RetryReason, { times }: RetryRule): Step | null {
  if (times === 0) return null
  const words = times === 1 ? 'its retry is' : `its ${times} retries are`
  return ended('failed', reason, `${words} used up`, true)
}

/** `most`: it had all that it may have, and failed with it. */
function raise(
  resources: Resources,
  before: Asked,
  reason: RetryReason,
  rule: RetryRule,
): { readonly asked: Asked; readonly words: string; readonly most: string | null } {
  const nothing = { asked: {}, words: '', most: null }
  const now = { ...resources, ...before.resources }
  const key = reason === 'timeout' ? 'time' : reason !== 'memory' ? null : now.mem !== undefined ? 'mem' : 'mem_per_cpu'
  const had = key === null ? undefined : now[key]
  const factor = rule.factor ?? (key === 'time' ? 2 : 1.5)
  if (key === null || had === undefined || factor === 1) return nothing
  const format = key === 'time' ? formatWalltime : formatMemory
  const next = Math.min(Math.ceil(Number((had * factor).toFixed(6))), rule.max ?? Number.POSITIVE_INFINITY)
  if (next <= had) return { ...nothing, most: format(had) }
  return {
    asked: { resources: { ...before.resources, [key]: next } },
    words: `, ${key} ${format(had)} → ${format(next)}`,
    most: null,
  }
}

/** A scheduler's command line has an end. */
const mostExcluded = 50

/** Of several nodes nobody says which one failed; without all of them there might soon be none left. */
function keepAway(
  before: Asked,
  reason: RetryReason,
  { exclude = false }: RetryRule,
  nodes: readonly string[],
): { readonly asked: Asked; readonly words: string } {
  if (reason !== 'node' || !exclude) return { asked: {}, words: '' }
  const [node] = nodes
  if (node === undefined || nodes.length > 1 || !nodeName.test(node))
    return {
      asked: {},
      words: `; which ${node === undefined ? 'node' : `of its ${nodes.length} nodes`} failed is not known`,
    }
  const all = [...new Set([...(before.exclude ?? []), node])].slice(-mostExcluded)
  return { asked: { exclude: all }, words: `, without ${all.join(', ')}` }
}

/** 1, 2, 4 … 32 intervals. What the code did it does at once again. */
function waitFor(reason: RetryReason, counted: number): number {
  return isInfrastructureReason(reason) ? 2 ** Math.min(5, counted - 1) : 0
}
