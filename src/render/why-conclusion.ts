/** The last words of "why": where it stands, and what comes next. */
import { isFinal, jobStates } from '../model/job-state.ts'
import type { Chain, CiStep, JobStep, ReportStep, RunStep, Step, Why, Work } from '../model/why.ts'
import { formatDuration } from './amounts.ts'
import { safe, type Tone } from './paint.ts'

export interface Conclusion {
  readonly tone: Tone
  readonly text: string
}

/** One sentence: "It stands at: …; next: …", or how it ended. */
export function conclusionOf(why: Why, chain: Chain): Conclusion[] {
  const { kind, step: index } = chain.stands
  const step = chain.steps[index]!
  if (kind === 'over') return [{ tone: 'bold', text: ended(chain, step) }]
  const tone: Tone = kind === 'waits' ? 'bold' : kind === 'parked' ? 'bad' : 'warn'
  const text = `It stands at: ${place(step)}${because(step)}; next: ${next(why, step, kind)}.`
  if (why.running) return [{ tone, text }]
  return [
    { tone, text },
    { tone: 'warn', text: 'No service is at work on this store: nothing goes on before `compops serve` runs.' },
  ]
}

function ended(chain: Chain, step: Step): string {
  if (step.kind === 'delivery') {
    if (step.outcome === 'ignored') return `It ended there: ignored, ${safe(step.reason ?? 'without a reason')}.`
    return `It ended there: ${safe(step.result ?? 'nothing to do')}.`
  }
  if (step.kind === 'ci') return `It ended there: refused. ${safe(step.result ?? 'No reason is known')}`
  const run = chain.steps.find((one): one is RunStep => one.kind === 'run')
  const refused = chain.steps.filter(one => one.kind === 'report' && one.state === 'refused').length
  const told =
    refused === 0 ? 'GitLab has been told everything' : `GitLab refused ${refused} of the statuses, all else is told`
  return `It is over: the run ${run === undefined ? 'ended' : `is ${run.state}`}, ${told}; nothing is to come.`
}

function place(step: Step): string {
  switch (step.kind) {
    case 'delivery':
      return step.work.parkedAt === null ? 'the delivery, stored and not acted on yet' : 'the delivery, parked'
    case 'ci':
      return ciPlace(step)
    case 'run':
      if (step.endedAt === null) return 'the run, whose jobs have all ended'
      return step.composing?.parkedAt == null
        ? 'the run, being composed for GitLab'
        : 'the run, parked: what GitLab should show cannot be composed'
    case 'job':
      return jobPlace(step)
    case 'report':
      return `${reportName(step)}, ${step.state === 'parked' ? 'parked' : 'not told yet'}`
  }
}

function ciPlace(step: CiStep): string {
  const which = `CI job ${step.ciJob} (${safe(step.name, 60)})`
  if (step.work.parkedAt !== null) return `what ${which} left to us, parked`
  if (!step.started) return `${which}, which has no run yet`
  return step.gate === null ? `${which}, to be closed` : `the gate ${safe(step.gate, 60)}, not played yet`
}

function jobPlace(step: JobStep): string {
  const name = safe(step.name, 60)
  switch (step.doing) {
    case 'submit':
      return `the submission of ${name} to ${step.connection}`
    case 'collect':
      return `the results of ${name}, being fetched from ${step.connection}`
    case 'cancel':
      return `${name}, being cancelled on ${step.connection}`
    default: {
      const where = step.nativeId === null ? step.connection : `${step.cluster} ${safe(step.nativeId, 60)}`
      return `${name}, ${jobStates[step.state].label} (${where})`
    }
  }
}

function because(step: Step): string {
  const error = errorOf(step)
  return error === null ? '' : `, ${safe(error, 300)}`
}

function errorOf(step: Step): string | null {
  switch (step.kind) {
    case 'delivery':
      return step.work.lastError
    case 'run':
      return step.composing?.lastError ?? null
    case 'ci':
    case 'report':
      return step.work.lastError
    case 'job':
      if (step.work?.lastError != null) return step.work.lastError
      if (step.peer?.unreachableSince != null)
        return `${step.connection} does not answer: ${step.peer.lastError ?? 'no answer'}`
      return isFinal(step.state) ? null : step.message
  }
}

const recovery = 'it goes on when what has happened since the restored backup has been read'

function next(why: Why, step: Step, kind: Chain['stands']['kind']): string {
  if (kind === 'parked') return `nothing by itself; \`compops retry ${idOf(step)}\` gives it another chance`
  switch (step.kind) {
    case 'delivery':
      return step.recovering ? recovery : tryWords(step.work, why, 'it is read')
    case 'run':
      if (step.endedAt === null) return 'it is closed within seconds'
      return step.composing === null ? 'nothing' : tryWords(step.composing, why, 'it is composed')
    case 'ci':
      if (!step.started) return 'the CI job asks again'
      return tryWords(step.work, why, step.gate === null ? 'it is looked after' : 'GitLab is asked for it')
    case 'report':
      return step.recovering ? recovery : tryWords(step.work, why, 'it is sent')
    case 'job':
      return jobNext(why, step)
  }
}

function jobNext(why: Why, step: JobStep): string {
  if (step.peer?.recovering === true) return recovery
  if (step.work !== null && step.doing !== null)
    return tryWords(
      step.work,
      why,
      { submit: 'it is handed over', collect: 'they are fetched', cancel: 'it is asked for again' }[step.doing],
    )
  const away = step.peer?.unreachableSince != null
  if (step.state === 'waiting' && step.retryAt !== null && !away) {
    const seconds = (Date.parse(step.retryAt) - Date.parse(why.at)) / 1000
    return seconds < 1 ? 'it is tried again at once' : `it is tried again in ${formatDuration(seconds)}`
  }
  if (step.state === 'waiting' && !away)
    return step.message === null ? 'it is handed over as soon as its turn comes' : 'it goes on when that is over'
  if (step.hold !== null) return endOfHold[step.hold]
  if (step.state === 'held') return 'it is handed over when there is room'
  const every = step.peer?.pollEvery
  const last = step.peer?.lastRoundAt == null ? '' : `, last ${ago(step.peer.lastRoundAt, why)}`
  return every == null
    ? `${step.cluster} is asked`
    : `${step.cluster} is asked every ${formatDuration(every[0] / 1000)} to ${formatDuration(every[1] / 1000)}${last}`
}

const endOfHold: Readonly<Record<NonNullable<JobStep['hold']>, string>> = {
  person: 'it goes on when somebody releases it',
  approval: 'it goes on when somebody with the right approves it',
  paused: 'it goes on when somebody says so',
}

function tryWords(work: Work, why: Why, does: string): string {
  if (work.busy) return `${does}, at this moment`
  const seconds = work.nextAt === null ? 0 : (Date.parse(work.nextAt) - Date.parse(why.at)) / 1000
  return seconds < 1
    ? `${does} at once`
    : `${does} in ${formatDuration(seconds)}${work.lastError === null ? '' : ' (next try)'}`
}

function ago(at: string, why: Why): string {
  return `${formatDuration((Date.parse(why.at) - Date.parse(at)) / 1000)} ago`
}

function reportName(step: ReportStep): string {
  switch (step.report) {
    case 'status':
      return `the status ${safe(step.name)}`
    case 'note':
      return `the note on ${step.name}`
    case 'reply':
      return `the reply on ${step.name}`
    case 'evidence':
      return 'the evidence commit'
  }
}

/** The id of the row that can be given another chance. */
function idOf(step: Step): string {
  return step.kind === 'job' ? (step.attemptId ?? step.id) : step.id
}
