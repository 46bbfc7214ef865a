import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { CompopsError } from '../../../src/errors.ts'
import { sge } from '../../../src/scheduler/sge/sge.ts'
import { judgeInShell, judgeRefusal } from '../../../src/scheduler/sge/submit.ts'
import { jobRequest } from '../requests.ts'

test('the arguments of qsub, one word each', () => {
  const request = jobRequest(
    { resources: { partition: 'all.q', time: 60, ntasks: 8 }, directives: ['-pe mpi 8'], requeue: true },
    { comment: 'physics/ising a=b,c\nsimulate by ada' },
  )
  expect(sge.submitArguments(request)).toEqual([
    ...['-N', 'compops-00000000-0000-4000-8000-000000000003'],
    ...['-ac', 'compops=physics/ising a b c simulate by ada'],
    ...['-o', '/scratch/attempt/scheduler.log', '-j', 'y'],
    ...['-wd', '/scratch/work', '-S', '/bin/bash', '-r', 'y'],
    ...['-q', 'all.q', '-l', 'h_rt=60', '-pe', 'mpi', '8'],
  ])
})

test('a directory that -o would read otherwise is refused', () => {
  for (const directory of ['/scratch:a/x', '/scratch,a/x', '/scratch/$USER/x'])
    expect(() => sge.submitArguments(jobRequest({}, { directory }))).toThrow(CompopsError)
})

describe('arrays', () => {
  const words = (numbers: number[], throttle: number | null = null) =>
    sge.submitArguments(jobRequest({}, { array: { numbers, throttle } })).slice(14)
  test('are first-last:step, with a throttle', () => {
    expect(words([1, 2, 3])).toEqual(['-t', '1-3:1'])
    expect(sge.submitArguments(jobRequest({}, { array: { numbers: [1], throttle: null } }))).toContain(
      '/scratch/attempt/scheduler.log.$TASK_ID',
    )
    expect(words([4], 1)).toEqual(['-t', '4-4:1', '-tc', '1'])
    expect(words([2, 5, 8], 4)).toEqual(['-t', '2-8:3', '-tc', '4'])
  })
  test('what is none of these has to be numbered anew', () => {
    for (const numbers of [[0, 1], [1, 2, 4], [3, 2, 1], [1, 1], [0]]) {
      expect(sge.array.canNumber(numbers, null)).toBe(false)
      expect(() => words(numbers)).toThrow(CompopsError)
    }
    expect(sge.array.canNumber([1, 2, 3], 3)).toBe(true)
    expect(sge.array.canNumber([1, 2, 3], 2)).toBe(false)
  })
})

test('answers of qsub', () => {
  expect(sge.readSubmit('5\n')).toBe('5')
  expect(sge.readSubmit('warning: nothing to worry about\n12.1-6:1\n')).toBe('12')
})

/** Texts and exit codes of 8.1.9. */
test.each([
  ['refused', 1, 'Unable to run job: Job was rejected because job requests unknown queue "nosuch.q"\nExiting.\n'],
  [
    'refused',
    1,
    'Unable to run job: job rejected: the requested parallel environment "nosuch" does not exist\nExiting.\n',
  ],
  ['refused', 1, 'Unable to run job: job rejected: the requested project "nosuch" does not exist\nExiting.\n'],
  ['refused', 1, 'Unable to run job: unknown resource "nosuch"\nExiting.\n'],
  ['refused', 1, 'Unable to run job: attribute "h_rt" is not a time value\nExiting.\n'],
  ['refused', 1, 'Unable to run job: error: no suitable queues\nExiting.\n'],
  ['refused', 1, 'Unable to run job: job rejected: you tried to submit a job with more than 75000 tasks\nExiting.\n'],
  ['refused', 2, 'qsub: invalid option argument "--foo"\n'],
  ['refused', 7, 'qsub: Numerical value invalid!\nThe initial portion of string "x" contains no decimal number\n'],
  [
    'transient',
    25,
    'Unable to run job: job rejected: only 1 jobs are allowed per user (current job count: 1)\nExiting.\n',
  ],
  [
    'transient',
    1,
    'error: commlib error: got select error (Connection refused)\nUnable to run job: unable to send message to qmaster using port 6444 on host "localhost": got send error\nExiting.\n',
  ],
  [
    'unknown',
    1,
    'error: commlib error: got read error (closing "localhost/qmaster/1")\nUnable to run job: failed receiving gdi request response\n',
  ],
  ['unknown', 124, ''],
  ['unknown', 137, 'job rejected'],
  ['transient', 127, 'sh: qsub: not found\n'],
  ['unknown', 1, 'something that nobody has seen\n'],
] as const)('%s: rc %d, %s', (meaning, rc, stderr) => {
  expect(judgeRefusal(rc, stderr)).toBe(meaning)
  const said = execFileSync('sh', ['-c', `${judgeInShell}\nscheduler_judge ${rc}`], { input: stderr, encoding: 'utf8' })
  expect(said).toBe(`${meaning}\n`)
})
