import { setTimeout as sleep } from 'node:timers/promises'
import { RunAnswer } from '../../model/api.ts'
import { isFinal } from '../../model/job-state.ts'
import { renderRun } from '../../render/run-table.ts'
import { CommandError, exitCodes, type Io, terminalStyle } from '../command.ts'
import type { Person } from './person.ts'

/** Ten minutes of a service that is being restarted. */
const patience = 600_000

/** Follows a run to its end. On a terminal the table is drawn over itself; elsewhere each change of a job is a line. Returns the run as it ended. */
export async function watchRun(person: Pick<Person, 'service'>, id: string, io: Io, every = 2_000): Promise<RunAnswer> {
  const onTerminal = io.stdout.isTTY === true
  let drawn = 0
  let before = new Map<string, string>()
  let troubledSince: number | null = null
  for (;;) {
    let run: RunAnswer | null = null
    try {
      run = await person.service.get(RunAnswer, `/runs/${id}`)
      troubledSince = null
    } catch (error) {
      // The run goes on, whoever looks: what mends itself is waited for.
      if (!(error instanceof CommandError && error.transient)) throw error
      troubledSince ??= Date.now()
      if (Date.now() - troubledSince > patience) throw error
    }
    if (run !== null) {
      if (onTerminal) {
        const text = renderRun(run, { ...terminalStyle(io), now: new Date() })
        io.stdout.write(`${drawn === 0 ? '' : `\x1b[${drawn}A\x1b[0J`}${text}`)
        drawn = rowsOf(text, io.stdout.columns)
      } else before = sayChanges(run, before, io)
      if (run.ended_at !== null) {
        if (!onTerminal) io.stdout.write(`${run.branch} at ${run.sha.slice(0, 8)}: ${run.state}\n`)
        return run
      }
    }
    await sleep(every)
  }
}

/** Rows of the terminal: a long line takes several. */
function rowsOf(text: string, width = Number.POSITIVE_INFINITY): number {
  const lines = text
    .replace(/\x1b\[[0-9;]*m/g, '')
    .split('\n')
    .slice(0, -1)
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil([...line].length / width)), 0)
}

function sayChanges(run: RunAnswer, before: ReadonlyMap<string, string>, io: Io): Map<string, string> {
  const now = new Map<string, string>()
  for (const { name, state, message, reason } of run.job_list) {
    now.set(name, state)
    if (before.get(name) === state) continue
    const why = isFinal(state) || state === 'held' ? [reason, message].filter(Boolean).join(', ') : ''
    io.stdout.write(`${name}: ${state}${why === '' ? '' : ` (${why.replace(/[\0-\x1f\x7f-\x9f]/g, ' ')})`}\n`)
  }
  return now
}

/** The exit code of a run that has ended: 0 only for what completed. */
export function verdictOf(run: Pick<RunAnswer, 'state'>): number {
  return run.state === 'completed' ? 0 : exitCodes.failed
}
