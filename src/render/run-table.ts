/** Runs and their jobs for a terminal. */
import type { JobAnswer, RunAnswer, RunSummary } from '../model/api.ts'
import { failureReasons, isFinal, type JobState, jobStates } from '../model/job-state.ts'
import { countOf, formatDuration, secondsBetween } from './amounts.ts'
import { type Cell, columns } from './columns.ts'
import { createPaint, type Paint, safe, type Tone } from './paint.ts'

export interface TableStyle {
  readonly colour?: boolean
  /** Columns of the terminal; nothing is cut without it. */
  readonly width?: number | undefined
  readonly now: Date
}

const tones: Readonly<Record<JobState, Tone>> = {
  ...{ waiting: 'dim', held: 'warn', submitting: 'dim', queued: 'warn', running: 'moving', suspended: 'warn' },
  ...{ completed: 'good', failed: 'bad', canceled: 'dim', skipped: 'dim' },
}

/** `● completed`, in its colour. */
export function stateCell(state: JobState, more = ''): Cell {
  const { symbol, label } = jobStates[state]
  return [tones[state], `${symbol} ${label}${more}`]
}

/** A run with a line for each of its jobs. */
export function renderRun(run: RunAnswer, { colour = false, width, now }: TableStyle): string {
  const paint = createPaint(colour)
  const lines = ['', ...titleOf(run, paint, now), '']
  if (run.problem !== null) lines.push(`  ${paint('bad', safe(run.problem, 600))}`)
  for (const { line, message, remedy } of run.problems.slice(0, 20))
    lines.push(
      `  ${line === null ? '' : paint('dim', `line ${line}: `)}${safe(message)}${remedy === null ? '' : ` ${paint('dim', safe(remedy))}`}`,
    )
  if (run.job_list.length > 0) {
    const head: Cell[] = ['JOB', 'STATE', 'WHERE', 'WAITED', 'RAN', ''].map(text => ['dim', text] as const)
    lines.push(...columns([head, ...run.job_list.map(job => jobRow(job, now))], paint, width))
  }
  for (const words of run.removed) lines.push(`  ${paint('dim', safe(words))}`)
  return `${lines.join('\n')}\n\n`
}

function titleOf(run: RunAnswer, paint: Paint, now: Date): string[] {
  const [tone, words] = stateCell(run.state) as [Tone, string]
  const done = run.jobs.completed ?? 0
  const of = run.job_list.length === 0 ? '' : ` · ${done} of ${countOf(run.job_list.length, 'job')} done`
  const parent = run.parent === null ? '' : ` · child of ${safe(run.parent.branch, 100)}`
  const left = run.superseded_by === null ? '' : ' · superseded'
  return [
    `  ${paint(tone, words)}  ${paint('bold', safe(run.branch, 120))} at ${run.sha.slice(0, 8)}${of}${parent}${left}`,
    `  ${paint('dim', [safe(run.subject ?? '', 80), `${safe(run.caused_how, 100)}, ${ago(run.created_at, now)}`, run.id].filter(Boolean).join(' · '))}`,
  ]
}

function jobRow(job: JobAnswer, now: Date): Cell[] {
  const last = job.attempts.at(-1)
  const at = (text: string | null | undefined) => (text == null ? null : new Date(text))
  const [submitted, started, ended] = [at(last?.submitted_at), at(last?.started_at), at(last?.ended_at)]
  const waited = secondsBetween(submitted, started ?? ended ?? (isFinal(job.state) ? null : now))
  const ran = secondsBetween(started, ended ?? (isFinal(job.state) ? null : now))
  return [
    safe(job.name, 64),
    stateCell(job.state, job.progress?.percent == null ? '' : `, ${Math.round(job.progress.percent)} %`),
    `${safe(job.cluster, 40)}${last?.native_id == null ? '' : ` ${safe(last.native_id, 40)}`}`,
    waited === null ? '-' : formatDuration(waited),
    ran === null ? '-' : formatDuration(ran),
    ['dim', remarkOf(job)],
  ]
}

function remarkOf(job: JobAnswer): string {
  const parts: string[] = []
  const last = job.attempts.at(-1)
  const code = last?.exit_code ?? null
  if (job.state === 'failed' && job.reason !== null)
    parts.push(job.reason === 'exit' && code !== null ? `exit ${code}` : failureReasons[job.reason].label)
  if (job.attempts.length > 1) parts.push(`attempt ${job.attempts.length}`)
  if (job.tasks !== null)
    parts.push(
      Object.entries(job.tasks.states)
        .map(([state, count]) => `${count} ${state}`)
        .join(', '),
    )
  else if (job.message !== null && !parts.some(part => part === job.message)) parts.push(safe(job.message, 200))
  const metrics = Object.entries(job.metrics).slice(0, 3)
  if (metrics.length > 0) parts.push(metrics.map(([name, value]) => `${safe(name, 40)} ${value}`).join(', '))
  return parts.filter(Boolean).join(' · ')
}

/** Runs, a line each. */
export function renderRuns(runs: readonly RunSummary[], { colour = false, width, now }: TableStyle): string {
  const paint = createPaint(colour)
  const head: Cell[] = ['BRANCH', 'STATE', 'JOBS', 'COMMIT', 'WHEN', ''].map(text => ['dim', text] as const)
  const body = runs.map((run): Cell[] => [
    safe(run.branch, 80),
    stateCell(run.state),
    jobsOf(run),
    run.sha.slice(0, 8),
    ago(run.created_at, now),
    ['dim', run.problem === null ? safe(run.subject ?? '', 100) : safe(run.problem, 100)],
  ])
  return `${columns([head, ...body], paint, width).join('\n')}\n`
}

/** `3/4` done. */
export function jobsOf(run: RunSummary): string {
  const all = Object.values(run.jobs).reduce((sum, count) => sum + count, 0)
  return all === 0 ? '-' : `${run.jobs.completed ?? 0}/${all}`
}

export function ago(time: string, now: Date): string {
  const seconds = (now.getTime() - new Date(time).getTime()) / 1_000
  return seconds < 10 ? 'just now' : `${formatDuration(seconds)} ago`
}
