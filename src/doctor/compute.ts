import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { clockAhead } from '../cluster/clock.ts'
import type { Cluster, SubmitRequest, WatchedAttempt } from '../cluster/cluster.ts'
import { neededTools } from '../cluster/examine-program.ts'
import { trialRoot } from '../cluster/trial.ts'
import type { Config } from '../config/index.ts'
import { clusterConfigOf, openConnection } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { writeTar } from '../git/tar.ts'
import { newId } from '../model/id.ts'
import type { Resources } from '../model/job-spec.ts'
import { isFinal, type JobState } from '../model/job-state.ts'
import { nextState } from '../model/next-state.ts'
import { type ComputeSeen, concludeCompute } from './compute-findings.ts'
import type { Finding } from './finding.ts'

export interface ComputeOptions {
  readonly now: () => Date
  /** Modules that are loaded there, in this order. */
  readonly modules: readonly string[]
  /** ms for which a place in the queue is waited for. */
  readonly wait: number
  /** Told how it stands, in a few words, for people who wait. */
  readonly onProgress?: (connection: string, text: string) => void
  /** Aborted, the job is cancelled and everything removed. */
  readonly signal?: AbortSignal
  /** Between two looks at the queue, at first and at most; for tests. ms */
  readonly pace?: readonly [number, number]
}

/** What may stand in `module load` without being read by a shell as something else. */
export const moduleName = /^[\w.+/:@=~-]{1,200}$/

/**
 * Sends one tiny job through the ordinary path of a cluster, and asks the node what it sees. The job has a root of its own below the configured one, so that no
 * service takes it for a run; it is removed whatever happens, and a job that has not ended is cancelled first.
 */
export async function tryCompute(config: Config, connection: string, options: ComputeOptions): Promise<Finding[]> {
  const { scheduler, defaults, root } = clusterConfigOf(config, connection)
  const id = newId()
  const cluster = openConnection(config, connection, {
    now: options.now,
    lookOnly: true,
    rootBelow: configured => trialRoot(configured, id),
  })
  const place = await mkdtemp(join(tmpdir(), 'compops-trial-'))
  try {
    const word = randomBytes(12).toString('hex')
    const request = await requestFor(connection, place, word, defaults, options.modules)
    const seen = await runTrial(cluster, request, options)
    return concludeCompute({ name: connection, scheduler, root, word, modules: options.modules, seen })
  } finally {
    await rm(place, { recursive: true, force: true })
    await cluster.close()
  }
}

async function requestFor(
  connection: string,
  place: string,
  word: string,
  defaults: Resources,
  modules: readonly string[],
): Promise<SubmitRequest> {
  const checkout = join(place, 'checkout')
  await mkdir(checkout)
  await writeFile(join(checkout, 'word'), `${word}\n`)
  const path = join(place, 'source.tar')
  const { size } = await writeTar(checkout, path, 0)
  const sha = createHash('sha1').update(word).digest('hex')
  return {
    ...{ projectId: 1, projectPath: 'compops/doctor', branch: 'doctor', sha, parentBranch: null, parentRunId: null },
    ...{ runId: newId(), jobId: newId(), attemptId: newId(), attempt: 1, siblings: [], dependsOn: [], array: null },
    person: null,
    origin: { gitlab: '', cause: `api:${word}`, how: 'compops doctor', by: null, createdAt: new Date() },
    spec: {
      ...{
        name: 'compute',
        cluster: connection,
        needs: [],
        setup: [],
        file: null,
        params: {},
        outputs: [],
        metrics: null,
      },
      ...{ directives: [], requeue: false, origins: {} },
      resources: { ...defaults, time: Math.min(defaults.time ?? 600, 600) },
      env: { COMPOPS_DOCTOR_MODULES: modules.join(' ') },
      script: [look],
    },
    secrets: {},
    source: { sha, path, size },
  }
}

/** What the job does: lines `<key> <value>` into a file, at last `end`. */
const look = `seen=$COMPOPS_OUTPUT_DIR/seen
one() { printf '%s %s\\n' "$1" "$(printf '%s' "$2" | head -c 300 | tr '\\n\\r' '  ')" >>"$seen"; }
one clock "$(date +%s)"
one node "$(uname -n)"
one shell "$BASH_VERSION"
one word "$(cat word)"
one scratch "$(df -Pk "\${TMPDIR:-/tmp}" 2>/dev/null | awk 'NR == 2 { print $4 }')"
for tool in ${neededTools.join(' ')}; do command -v "$tool" >/dev/null 2>&1 || one missing "$tool"; done
for name in $COMPOPS_DOCTOR_MODULES; do
  if ! command -v module >/dev/null 2>&1; then one module "$name absent"; continue; fi
  before=\${LOADEDMODULES-}
  rc=0
  module load "$name" >said 2>&1 || rc=$?
  loaded=no
  case ":\${LOADEDMODULES-}:" in *":$name:"* | *":$name/"*) loaded=yes ;; esac
  [ "\${LOADEDMODULES-}" = "$before" ] || loaded=yes
  # The old ones say ERROR and leave with 0.
  [ "$rc" -eq 0 ] && [ "$loaded" = yes ] && how=loaded || how=refused
  one module "$name $how $(cat said)"
done
one loaded "\${LOADEDMODULES-}"
one end "$(date +%s)"`

async function runTrial(cluster: Cluster, request: SubmitRequest, options: ComputeOptions): Promise<ComputeSeen> {
  const { onProgress, now } = options
  const tell = (text: string) => onProgress?.(cluster.name, text)
  const watched: WatchedAttempt = {
    ...{ projectId: request.projectId, runId: request.runId, jobId: request.jobId },
    ...{ id: request.attemptId, nativeId: null },
  }
  let asked = false
  let over = false
  const end = async (): Promise<string | null> => {
    try {
      if (asked && !over) {
        tell('is cancelled')
        const fates = await cluster.cancel([watched], { fence: true })
        if (fates.get(watched.id) !== 'gone') return `${cluster.root} was left: its job is still there`
      }
      tell('is removed')
      return (await cluster.removeTrial()) ? null : `${cluster.root} could not be removed whole`
    } catch (error) {
      return `${cluster.root} was left: ${describeError(error)}`
    }
  }
  const began = now().getTime()
  const late = () => now().getTime() - began > options.wait || options.signal?.aborted === true
  try {
    tell('is handed over')
    asked = true
    const submitted = await submitWithPatience(cluster, request, options, late)
    if ('refused' in submitted) {
      over = submitted.certain
      return { ...nothing, refused: submitted.refused, left: await end() }
    }
    const { nativeId } = submitted
    const outcome = await watch(cluster, { ...watched, nativeId }, options, tell, late)
    over = outcome.final
    if (!outcome.final) return { ...nothing, nativeId, waited: outcome.message ?? '', left: await end() }
    const [piece] = await cluster.files.read(watched, [{ in: 'output', path: 'seen', offset: 0, bytes: 65_536 }])
    const text = piece !== undefined && 'bytes' in piece ? piece.bytes.toString('utf8') : null
    const log = text?.endsWith('\n') === true && /^end /m.test(text) ? '' : await lastWords(cluster, watched)
    return {
      ...nothing,
      ...{ nativeId, text, log },
      ended: { state: outcome.state, message: outcome.message },
      clockAhead: clockOf(text, outcome.between),
      left: await end(),
    }
  } catch (error) {
    return { ...nothing, failed: describeError(error), left: await end() }
  }
}

const nothing: ComputeSeen = {
  ...{
    nativeId: null,
    refused: null,
    waited: null,
    failed: null,
    ended: null,
    text: null,
    log: '',
    clockAhead: 0,
    left: null,
  },
}

async function submitWithPatience(
  cluster: Cluster,
  request: SubmitRequest,
  options: ComputeOptions,
  late: () => boolean,
): Promise<{ nativeId: string } | { refused: string; certain: boolean }> {
  for (;;) {
    const outcome = await cluster.submit(request)
    if (outcome.kind === 'accepted') return outcome
    if (outcome.kind === 'refused') return { refused: outcome.message, certain: true }
    if (outcome.kind === 'given up' || outcome.kind === 'overtaken')
      return { refused: 'it was given up', certain: true }
    if (late()) return { refused: outcome.message, certain: outcome.kind === 'transient' }
    options.onProgress?.(cluster.name, outcome.message)
    await pause(outcome.kind === 'unsure' ? outcome.askAgainInMs : 5_000, options.signal)
  }
}

interface Watched {
  readonly final: boolean
  readonly state: JobState
  readonly message: string | null
  /** It looked at its clock between these two moments of ours. */
  readonly between: readonly [Date, Date]
}

async function watch(
  cluster: Cluster,
  attempt: WatchedAttempt & { readonly nativeId: string },
  options: ComputeOptions,
  tell: (text: string) => void,
  late: () => boolean,
): Promise<Watched> {
  const facts = await cluster.facts()
  const [shortest, longest] = options.pace ?? [2_000, 15_000]
  let every = shortest
  let before = {
    ...{ state: 'queued' as JobState, nativeId: attempt.nativeId, restarts: 0, misses: 0, cancelRequested: false },
    ...{ missedSince: null as Date | null, awaiting: null as Date | null },
  }
  let notYet = options.now()
  for (;;) {
    const asked = options.now()
    const round = await cluster.observe([attempt])
    const seen = round.seen.get(attempt.id)
    const after =
      seen === undefined
        ? null
        : nextState(before, seen, { facts, now: round.at, accountingWait: 20_000, inWords: cluster.inWords })
    const state = after?.state ?? before.state
    if (after !== null && isFinal(state))
      return { final: true, state, message: after.message, between: [notYet, options.now()] }
    const why = after?.message ?? null
    tell(`job ${attempt.nativeId} ${state === 'queued' ? 'waits' : 'runs'}${why === null ? '' : ` (${why})`}`)
    if (late()) return { final: false, state, message: why, between: [notYet, options.now()] }
    if (state === 'queued') notYet = asked
    if (after !== null) {
      const { misses, awaiting } = after
      before = {
        ...before,
        state,
        misses,
        awaiting,
        missedSince: misses === 0 ? null : (before.missedSince ?? round.at),
      }
    }
    await pause(every, options.signal)
    every = Math.min(longest, every * 1.3)
  }
}

function clockOf(text: string | null, [from, to]: readonly [Date, Date]): number {
  const seconds = /^clock (\d{1,12})$/m.exec(text ?? '')?.[1]
  return seconds === undefined ? 0 : Math.round(clockAhead(new Date(Number(seconds) * 1000), from, to) / 1000)
}

async function lastWords(cluster: Cluster, attempt: WatchedAttempt): Promise<string> {
  try {
    const piece = await cluster.files.log(attempt, { offset: -2_000, bytes: 2_000 })
    return 'bytes' in piece ? piece.bytes.toString('utf8') : ''
  } catch (error) {
    if (error instanceof CompopsError) return ''
    throw error
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
}
