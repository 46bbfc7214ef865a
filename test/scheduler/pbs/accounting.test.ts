import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readHistory } from '../../../src/scheduler/pbs/accounting.ts'
import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { asDsv, throughShell } from './recorded.ts'

const name = 'compops-00000000-0000-4000-8000-000000000007'
const history = (file: string) =>
  throughShell('scheduler_past', { qstat: { stdout: asDsv(file) } }, 'dash', `4.vm ${name} /scratch/a b\n`)

function table(text: string): string {
  return [...readHistory(text)]
    .map(r =>
      [
        r.nativeId,
        r.tasks?.map(t => `${t.from}`).join(',') ?? '-',
        r.nativeState,
        r.verdict ?? '-',
        r.exitCode ?? '-',
        r.signal ?? '-',
        r.startedAt?.toISOString().slice(11, 19) ?? '-',
        r.endedAt?.toISOString().slice(11, 19) ?? '-',
        r.elapsedSeconds ?? '-',
        r.maxRss ?? '-',
      ].join(' | '),
    )
    .join('\n')
}

test.each(['running', 'final'])('every row of qstat -xtf, recorded on 23.06: %s', async case_ => {
  await expect(`${table(history(`23.06-qstat-xtf-${case_}.json`))}\n`).toMatchFileSnapshot(
    `../../fixtures/scheduler/pbs/23.06-qstat-xtf-${case_}.history.txt`,
  )
})

test('a row whole', () => {
  expect([...readHistory(history('23.06-qstat-xtf-final.json'))].find(r => r.nativeId === '4.vm')).toEqual({
    nativeId: '4.vm',
    tasks: null,
    name: 'compops-00000000-0000-4000-8000-000000000004',
    nativeState: 'F, Exit_status=271',
    verdict: 'canceled',
    exitCode: 143,
    signal: 15,
    queue: 'workq',
    account: null,
    submittedAt: new Date('2026-11-20T12:01:27Z'),
    startedAt: new Date('2026-11-20T12:01:27Z'),
    endedAt: new Date('2026-11-20T12:01:42Z'),
    nodes: ['vm'],
    cpus: 1,
    cpuSeconds: 0,
    elapsedSeconds: 14,
    maxRss: 6476 * 1024,
    requestedTres: 'cpu=1,node=1',
    allocatedTres: null,
  })
})

describe('what an end means', () => {
  const end = (fields: Record<string, string>) => {
    const pairs = Object.entries({ Job_Name: name, job_state: 'F', exec_host: 'n1/0', ...fields })
    const text = `PBS 1\n\x1e${['7.vm', ...pairs.map(pair => pair.join('='))].join('\x1f')}\n\x1eend 0\n`
    const [row] = readHistory(text)
    return row === undefined ? null : [row.verdict, row.exitCode, row.signal]
  }
  test.each([
    [{ Exit_status: '0', substate: '92' }, ['completed', 0, null]],
    [{ Exit_status: '3', substate: '93' }, ['exit', 3, null]],
    [{ Exit_status: '139', substate: '93' }, ['exit', 139, null]],
    [{ Exit_status: '265', substate: '93' }, ['exit', 137, 9]],
    [{ Exit_status: '271', substate: '91' }, ['canceled', 143, 15]],
    [{ Exit_status: '143', substate: '91' }, ['canceled', 143, null]],
    [{ Exit_status: '0', substate: '91' }, ['canceled', null, null]],
    [{ Exit_status: '-29', substate: '93' }, ['timeout', null, null]],
    [{ Exit_status: '-28', substate: '93' }, ['timeout', null, null]],
    [{ Exit_status: '-27', substate: '93' }, ['memory', null, null]],
    [{ Exit_status: '-26', substate: '93' }, ['memory', null, null]],
    [{ Exit_status: '-4', substate: '93' }, ['node', null, null]],
    [{ Exit_status: '-1', substate: '93' }, ['never started', null, null]],
    [{ substate: '91' }, ['canceled', null, null]],
    [{ substate: '92', depend: 'afterok:6.vm@vm' }, ['never started', null, null]],
    [{ job_state: 'R' }, [null, null, null]],
    [{ Exit_status: '1', comment: 'Subjob finished' }, null],
  ])('%j', (fields, meaning) => {
    expect(end(fields)).toEqual(meaning)
  })
})

test('what is not whole is an error; where nobody was asked for, there is nobody', () => {
  for (const text of ['\n', 'command not found\n', 'PBS 1\n', 'PBS 1\n\x1e7.vm\x1fJob_N\n\x1eend 0\n'])
    expect(() => [...pbs.readPast(text)]).toThrow(UnreadableError)
  expect([...pbs.readPast('')]).toEqual([])
})
