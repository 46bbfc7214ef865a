import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readFacts, readQueue, readTasks } from '../../../src/scheduler/sge/queue.ts'
import { readState, reasonInWords, stateAsReason } from '../../../src/scheduler/sge/states.ts'
import { recorded } from '../recorded.ts'

/** What Grid Engine's queue says; recorded on 8.1.9 by the dialect's own `scheduler_queue` and `scheduler_probe`. */

const all = recorded('sge/8.1.9-qstat-all-states.txt')

test('a job in every state that could be had', () => {
  const rows = [...readQueue(all)]
  const short = rows.map(row => [Number(row.name.slice(-12)), row.nativeState, row.state, row.reason])
  expect(short).toEqual([
    [1, 'r', 'running', null],
    [2, 'r', 'running', null],
    [7, 'r', 'running', null],
    [7, 'r', 'running', null],
    [8, 's', 'suspended', 's'],
    [11, 'dr', 'completing', null],
    [23, 'r', 'running', null],
    [5, 'qw', 'queued', null],
    [6, 'Eqw', 'ended', "can't chdir to /nonexistent: No such file or directory"],
    [12, 'Eqw', 'ended', 'exit_status of job start = 100'],
    [9, 'Rq', 'queued', 'Rq'],
    [3, 'hqw', 'held', 'hqw'],
    [4, 'hqw', 'held', 'hqw'],
    [7, 'qw', 'queued', null],
    [10, 'qw', 'queued', null],
  ])
  expect(rows.filter(row => row.verdict !== null).map(row => row.verdict)).toEqual(['never started', 'never started'])
  expect(rows.filter(row => row.nativeId === '74').map(row => row.tasks)).toEqual([
    [{ from: 1, to: 1, step: 1 }],
    [{ from: 3, to: 3, step: 1 }],
    [{ from: 5, to: 9, step: 2 }],
  ])
  expect(rows[0]).toMatchObject({
    queue: 'all.q',
    nodes: ['localhost'],
    startAt: new Date('2026-11-27T13:20:10Z'),
    tasks: null,
    restarts: 0,
  })
  expect(rows.find(row => row.nativeState === 'Rq')?.restarts).toBe(1)
  expect(rows.find(row => row.nativeState === 'qw')).toMatchObject({
    queue: null,
    nodes: [],
    submittedAt: new Date('2026-11-27T13:20:11Z'),
  })
})

test('an empty queue is a whole document; one that was cut anywhere is not', () => {
  const empty = recorded('sge/8.1.9-qstat-empty.txt')
  expect([...readQueue(empty)]).toEqual([])
  for (let length = 0; length < empty.trim().length; length++)
    expect(() => [...readQueue(empty.slice(0, length))]).toThrow(UnreadableError)
  // A list that ends behind its inner end.
  const [list = ''] = all.split('\x1d')
  const inner = list.trim().slice(0, -'</job_info>'.length)
  expect(() => [...readQueue(inner)]).toThrow(UnreadableError)
  expect(() => [...readQueue(`*** maintenance on Friday ***\n${list}`)]).toThrow(UnreadableError)
})

test('a stranger’s name is no part of the document; 8.1.9 writes %lt; for <', () => {
  const name = 'compops-00000000-0000-4000-8000-000000000001'
  expect(all).toContain('<JB_name>other&amp;%lt;x&gt;</JB_name>')
  const hostile = all.replaceAll(`<JB_name>${name}`, `<JB_name>x&lt;/JB_name&gt;&lt;JB_name&gt;${name}`)
  expect([...readQueue(hostile)].some(row => row.name === name)).toBe(false)
})

describe('states, alone and together (sge_status(5))', () => {
  test.each([
    ['qw', 'queued'],
    ['hqw', 'held'],
    ['hRwq', 'held'],
    ['Rq', 'queued'],
    ['r', 'running'],
    ['hr', 'running'],
    ['t', 'running'],
    ['Rr', 'running'],
    ['Rt', 'running'],
    ['s', 'suspended'],
    ['ts', 'suspended'],
    ['S', 'suspended'],
    ['tT', 'suspended'],
    ['RtS', 'suspended'],
    ['Eqw', 'ended'],
    ['EhRqw', 'ended'],
    ['dr', 'completing'],
    ['dRt', 'completing'],
    ['dT', 'completing'],
    ['z', 'ended'],
    ['Xr', 'completing'],
  ])('%s is %s', (word, state) => {
    expect(readState(word)).toMatchObject({
      queue: state,
      verdict: word.includes('E') ? 'never started' : null,
      restarts: word.includes('R') ? 1 : 0,
    })
  })

  test.each([
    ['hqw', 'it is held'],
    ['Rq', 'it was put back into the queue'],
    ['s', 'somebody suspended it'],
    ['S', 'its queue is suspended'],
    ['T', 'its queue suspended it because of the load of the host'],
  ])('%s in words', (word, words) => {
    expect(stateAsReason(word)).toBe(word)
    expect(reasonInWords(word)).toBe(words)
  })
})

test('tasks', () => {
  expect(readTasks('1-9:2,12')).toEqual([
    { from: 1, to: 9, step: 2 },
    { from: 12, to: 12, step: 1 },
  ])
  expect(() => readTasks('1-x')).toThrow(UnreadableError)
})

describe('facts', () => {
  const probe = recorded('sge/8.1.9-probe.txt')
  test('of the recorded cell', () => {
    expect(readFacts(probe)).toEqual({
      version: 'sge 8.1.9',
      accounting: true,
      remembers: 60,
      nativeDependencies: false,
      maxArraySize: 75_000,
    })
  })
  test('accounting that is off, or a file that only others may read; a flush time of its own; no limit of tasks', () => {
    expect(readFacts(probe.replace('accounting=true', 'accounting=false')).accounting).toBe(false)
    expect(readFacts(probe.replace('accounting readable', 'accounting unreadable')).accounting).toBe(false)
    expect(readFacts(probe.replace('accounting readable', 'accounting missing')).accounting).toBe(true)
    expect(readFacts(probe.replace('accounting_flush_time=00:00:00', '')).remembers).toBe(61)
    expect(readFacts(probe.replace(/max_aj_tasks +\d+/, 'max_aj_tasks 0')).maxArraySize).toBeNull()
  })
})
