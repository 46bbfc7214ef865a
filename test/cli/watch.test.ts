import { describe, expect, test } from 'vitest'
import { CommandError, exitCodes, type Io } from '../../src/cli/command.ts'
import type { Service } from '../../src/cli/person/ask.ts'
import { verdictOf, watchRun } from '../../src/cli/person/watch.ts'
import type { JobAnswer, RunAnswer } from '../../src/model/api.ts'
import type { JobState } from '../../src/model/job-state.ts'

const id = '0190f3c2-0000-7000-8000-000000000000'

function run(states: Record<string, JobState>, ended: boolean): RunAnswer {
  const job_list = Object.entries(states).map(
    ([name, state]): JobAnswer => ({
      ...{ id, name, state, reason: null, message: null, cluster: 'falcon', scheduler: null, needs: [] },
      ...{ resources: {}, progress: null, metrics: {}, tasks: null, attempts: [] },
    }),
  )
  return {
    ...{ id, project: 'physics/heat', branch: 'calc/heat', sha: '1adad2a7'.repeat(5), subject: null, jobs: {} },
    ...{ state: job_list.at(-1)!.state, cause: 'head:1', caused_by: null, caused_how: 'push', problem: null },
    ...{ created_at: '2026-11-20T12:00:00.000Z', ended_at: ended ? '2026-11-20T12:10:00.000Z' : null },
    ...{ superseded_by: null, parent: null, problems: [], removed: [], job_list },
  }
}

/** A service that answers one after the other. */
function answering(...answers: (RunAnswer | Error)[]) {
  const get = async () => {
    const next = answers.shift()
    if (next instanceof Error || next === undefined) throw next ?? new Error('nobody asks so often')
    return next
  }
  return { service: { get } as unknown as Service }
}

function terminal(isTTY: boolean, columns = 100) {
  const said: string[] = []
  const io: Io = { stdout: { write: text => said.push(text), isTTY, columns }, stderr: { write() {} }, env: {} }
  return { io, said: () => said.join('') }
}

const first = run({ mesh: 'running', solve: 'waiting' }, false)
const second = run({ mesh: 'completed', solve: 'running' }, false)
const last = run({ mesh: 'completed', solve: 'failed' }, true)

describe('following a run', () => {
  test('where nobody looks each change is a line, and the end is one', async () => {
    const { io, said } = terminal(false)
    const ended = await watchRun(answering(first, first, second, last), id, io, 1)
    expect(said()).toBe(
      'mesh: running\nsolve: waiting\nmesh: completed\nsolve: running\nsolve: failed\ncalc/heat at 1adad2a7: failed\n',
    )
    expect([verdictOf(ended), verdictOf(run({ a: 'completed' }, true))]).toEqual([1, 0])
  })

  test('on a terminal the table is drawn over itself', async () => {
    const { io, said } = terminal(true)
    await watchRun(answering(first, last), id, io, 1)
    const lines = said().split('\x1b[8A\x1b[0J')
    expect(lines).toHaveLength(2)
    expect(lines[0]!.split('\n').length - 1).toBe(8)
    expect(lines[1]).toContain('failed')
    // A line that is longer than the terminal takes two rows of it.
    const narrow = terminal(true, 50)
    await watchRun(answering(first, last), id, narrow.io, 1)
    expect(narrow.said()).toContain('\x1b[10A\x1b[0J')
  })

  test('what mends itself is waited for, what does not is said', async () => {
    const { io } = terminal(false)
    const away = new CommandError(exitCodes.unreachable, 'cannot be reached', { transient: true })
    expect((await watchRun(answering(first, away, away, last), id, io, 1)).state).toBe('failed')
    const denied = new CommandError(exitCodes.refused, 'GitLab does not let you')
    await expect(watchRun(answering(first, denied), id, io, 1)).rejects.toThrow('GitLab does not let you')
  })
})
