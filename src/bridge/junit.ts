import type { Context } from '../context.ts'
import { isFinal } from '../model/job-state.ts'
import { type CiJobRow, wantedJobs } from '../store/ci-jobs.ts'
import { loadRun } from '../store/runs.ts'
import type { Answer } from './answer.ts'

/** The batch jobs as test cases, for `artifacts:reports:junit`: what failed shows in the merge request with the last lines of its log. */
export async function tellJUnit(context: Context, row: CiJobRow): Promise<Answer> {
  const jobs = await wantedJobs(context.db, row)
  const run = await loadRun(context.db, row.runId!, 'collected')
  const cases = jobs.map(job => {
    const attempt = run.jobs.find(one => one.id === job.id)?.attempts.at(-1)
    const seconds =
      attempt?.startedAt != null && attempt.endedAt !== null
        ? (attempt.endedAt.getTime() - attempt.startedAt.getTime()) / 1_000
        : 0
    return {
      ...{ name: job.name, state: job.state, seconds },
      message: [job.reason, job.message].filter(Boolean).join(': '),
      log: attempt?.collected?.logTail ?? '',
    }
  })
  return { words: { jobs: cases.length }, said: 'JUnit', body: renderJUnit(run.branch, cases) }
}

export interface TestCase {
  readonly name: string
  readonly state: string
  readonly seconds: number
  readonly message: string
  readonly log: string
}

export function renderJUnit(suite: string, cases: readonly TestCase[]): string {
  const failed = cases.filter(one => isFailure(one)).length
  const skipped = cases.filter(one => one.state === 'skipped').length
  const rows = cases.map(one => {
    const open = `  <testcase classname="compops" name="${xml(one.name)}" time="${one.seconds.toFixed(3)}"`
    if (one.state === 'completed') return `${open}/>\n`
    if (one.state === 'skipped') return `${open}><skipped message="${xml(one.message)}"/></testcase>\n`
    return `${open}><failure message="${xml(`${one.state} ${one.message}`.trim())}">${xml(one.log)}</failure></testcase>\n`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="${xml(suite)}" tests="${cases.length}" failures="${failed}" skipped="${skipped}">\n${rows.join('')}</testsuite>\n`
}

const isFailure = ({ state }: TestCase) => state !== 'completed' && state !== 'skipped' && isFinal(state as never)

/** XML 1.0 has no words for most control characters: they are left out. */
function xml(text: string): string {
  return text
    .replace(/\x1b\[[0-9;]*[A-Za-z]/g, '')
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, '')
    .replace(/[&<>"]/g, letter => `&#${letter.charCodeAt(0)};`)
}
