import { isFinal } from './job-state.ts'
import type { CiStep, DeliveryStep, JobStep, ReportStep, RunStep, Standing, Step } from './why.ts'

/** Where a chain stands: the first step, in the order of the path, that is not through. Among jobs the one that a person should look at first. */
export function standingOf(steps: readonly Step[]): Standing {
  const at = (step: Step, kind: Standing['kind']): Standing => ({ kind, step: steps.indexOf(step) })
  const delivery = steps.find((step): step is DeliveryStep => step.kind === 'delivery')
  if (delivery !== undefined && delivery.doneAt === null) return at(delivery, workKind(delivery.work))

  const run = steps.find((step): step is RunStep => step.kind === 'run')
  const ofCi = steps.filter((step): step is CiStep => step.kind === 'ci' && step.endedAt === null)
  if (run === undefined) return ofCi[0] === undefined ? at(steps.at(-1)!, 'over') : at(ofCi[0], ciKind(ofCi[0]))

  const jobs = steps.filter((step): step is JobStep => step.kind === 'job')
  const open = jobs.filter(job => !isFinal(job.state) || job.doing !== null).sort((a, b) => rank(a) - rank(b))[0]
  const parkedReport = reports(steps).find(report => report.state === 'parked')
  if (open !== undefined && kindOfJob(open) !== 'waits') return at(open, kindOfJob(open))
  if (run.composing?.parkedAt != null) return at(run, 'parked')
  if (parkedReport !== undefined) return at(parkedReport, 'parked')
  const parkedCi = ofCi.find(step => ciKind(step) === 'parked')
  if (parkedCi !== undefined) return at(parkedCi, 'parked')
  const failing = reports(steps).find(report => report.state === 'not yet' && report.work.lastError !== null)
  if (failing !== undefined) return at(failing, 'trouble')
  const failingCi = ofCi.find(step => step.over && ciKind(step) === 'trouble')
  if (failingCi !== undefined) return at(failingCi, 'trouble')
  if (open !== undefined) return at(open, 'waits')
  if (run.endedAt === null) return at(run, 'waits')
  if (run.composing !== null) return at(run, workKind(run.composing))
  const unsent = reports(steps).find(report => report.state === 'not yet')
  if (unsent !== undefined) return at(unsent, 'waits')
  const gate = ofCi.find(step => step.over && step.gate !== null)
  return gate === undefined ? at(run, 'over') : at(gate, 'waits')
}

/** One that was only put off, as long as GitLab has not come to its gate, has no tries. */
function ciKind({ work }: CiStep): Standing['kind'] {
  return workKind({ parkedAt: work.parkedAt, lastError: work.tries > 0 ? work.lastError : null })
}

function reports(steps: readonly Step[]): ReportStep[] {
  return steps.filter((step): step is ReportStep => step.kind === 'report')
}

function workKind(work: { readonly parkedAt: string | null; readonly lastError: string | null }): Standing['kind'] {
  if (work.parkedAt !== null) return 'parked'
  return work.lastError === null ? 'waits' : 'trouble'
}

function kindOfJob(job: JobStep): Standing['kind'] {
  if (job.work?.parkedAt != null) return 'parked'
  // One that waits for another job has no business with the cluster yet.
  const away = job.peer?.unreachableSince != null && (job.state !== 'waiting' || job.message === null)
  return away || job.work?.lastError != null ? 'trouble' : 'waits'
}

const order: Readonly<Record<string, number>> = { running: 1, suspended: 2, queued: 3, submitting: 4, held: 5 }

/** Trouble first, then what moves, then what waits for the others. */
function rank(job: JobStep): number {
  const kind = kindOfJob(job)
  if (kind !== 'waits') return kind === 'parked' ? -2 : -1
  return job.doing === 'collect' ? 0 : (order[job.state] ?? 9)
}
