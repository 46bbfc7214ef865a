import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readAccounting } from '../../../src/scheduler/sge/accounting.ts'
import { recorded } from '../recorded.ts'

/** Lines of the accounting file, recorded on 8.1.9. */

const text = recorded('sge/8.1.9-accounting.txt')
const [first = ''] = text.split('\n').filter(line => line.includes('0000000020:'))

/** A recorded line with other fields, counted from 1 as in accounting(5). */
function record(fields: Readonly<Record<number, string>>): string {
  const all = first.split(':')
  for (const [n, value] of Object.entries(fields)) all[Number(n) - 1] = value
  return `${all.join(':')}\n`
}
const read = (fields: Readonly<Record<number, string>>) => [...readAccounting(record(fields))][0]!

test('how jobs ended that ended in many ways', () => {
  const rows = [...readAccounting(text)]
  const short = rows.map(row => [Number(row.name.slice(-12)), row.verdict, row.exitCode, row.signal, row.nativeState])
  expect(short).toEqual([
    [6, 'never started', null, null, 'failed 28 (changing into its working directory), exit_status 0'],
    [12, 'exit', 100, null, 'failed 30 (application error returned), exit_status 100'],
    [20, 'exit', 3, null, 'exit_status 3'],
    [21, 'completed', 0, null, 'exit_status 0'],
    // An earlier start of a job that was put back: it has not ended.
    [9, null, null, null, 'failed 25 (rescheduling), exit_status 0'],
    [24, 'exit', 137, 9, 'failed 100 (after job), exit_status 137'],
    [22, 'timeout', 137, 9, 'failed 37 (h_rt, h_cpu or h_vmem limit), exit_status 137'],
    [23, 'timeout', 138, 10, 'failed 100 (after job), exit_status 138'],
    ...[1, 2, 7, 7, 8, 9, 11].map(n => [n, 'exit', 137, 9, 'failed 100 (after job), exit_status 137']),
  ])
  expect(rows.find(row => row.nativeId === '69')).toMatchObject({ cpus: 4, allocatedTres: 'cpu=4', elapsedSeconds: 8 })
  expect(rows.filter(row => row.nativeId === '74').map(row => row.tasks)).toEqual([
    [{ from: 1, to: 1, step: 1 }],
    [{ from: 3, to: 3, step: 1 }],
  ])
  expect(rows.find(row => row.nativeId === '73')).toMatchObject({ startedAt: null, elapsedSeconds: null })
})

describe('the field failed (sge_status(5))', () => {
  test.each([
    [{ 12: '1' }, 'never started'],
    [{ 12: '8' }, 'never started'],
    [{ 12: '26' }, 'never started'],
    [{ 12: '27' }, 'never started'],
    [{ 12: '38' }, 'never started'],
    [{ 12: '13', 13: '0' }, 'node'],
    [{ 12: '15', 13: '0' }, 'node'],
    [{ 12: '18', 13: '0' }, 'node'],
    [{ 12: '19', 13: '0' }, 'node'],
    [{ 12: '24' }, null],
    [{ 12: '100', 13: '0' }, 'node'],
    [{ 12: '100', 13: '152' }, 'timeout'],
    [{ 12: '100', 13: '138' }, 'exit'],
    [{ 12: '100', 13: '138', 40: '-l h_rt=30,s_rt=2' }, 'timeout'],
    [{ 12: '37', 13: '137', 40: '-l h_vmem=30M', 43: '40000000.000000' }, 'memory'],
    [{ 12: '37', 13: '137', 35: '2', 40: '-l h_vmem=30M -pe smp 2', 43: '40000000.000000' }, 'timeout'],
    [{ 12: '37', 13: '137', 40: '-q all.q@x:y -l h_rt=0,h_vmem=30M', 43: '40000000.000000' }, 'timeout'],
    [{ 12: '100', 13: '137', 40: '-l h_vmem=30M', 43: '40000000.000000' }, 'memory'],
    [{ 12: '77', 13: '0' }, 'node'],
  ])('%j: %s', (fields, verdict) => {
    expect(read(fields).verdict).toBe(verdict)
  })
})

test('what a parallel job started on its nodes adds to its use, and is not its end', () => {
  const slave = record({ 12: '0', 13: '137', 17: '9000.000000', 37: '40.500000', 42: '1.node2' })
  expect([...readAccounting(slave + record({ 13: '0', 37: '1.500000' }))]).toMatchObject([
    { verdict: 'completed', cpuSeconds: 42, maxRss: 9_000 * 1024 },
  ])
})

test('what is no record is an error', () => {
  for (const line of ['command not found', first.slice(0, -40), record({ 11: 'today' }), record({ 6: 'x' })])
    expect(() => [...readAccounting(`${line}\n`)]).toThrow(UnreadableError)
})
