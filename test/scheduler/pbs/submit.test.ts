import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import type { Refusal } from '../../../src/scheduler/dialect.ts'
import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { judgeRefusal, readSubmit, submitArguments } from '../../../src/scheduler/pbs/submit.ts'
import { recorded } from '../recorded.ts'
import { jobRequest } from '../requests.ts'

const errors = JSON.parse(recorded('pbs/23.06-errors.json')) as Record<string, { rc: number; stderr: string }>

describe('arguments', () => {
  test('of a job with nothing special', () => {
    expect(submitArguments(jobRequest({}))).toEqual([
      ...['-N', 'compops-00000000-0000-4000-8000-000000000003', '-S', '/bin/bash', '-j', 'oe'],
      ...['-o', '/scratch/attempt/scheduler.log', '-r', 'n', '-m', 'n'],
    ])
  })

  test('of one with all there is', () => {
    const request = jobRequest(
      {
        requeue: true,
        resources: { partition: 'workq', account: 'phys/heat', time: 90_061, ntasks: 4 },
        directives: ['-m abe', '-lsoftware=x', '-P heat'],
      },
      { dependsOn: ['12.vm', '13[].vm'], directory: '/scratch/with blank/a:b' },
    )
    expect(submitArguments(request).slice(2)).toEqual([
      ...['-S', '/bin/bash', '-j', 'oe', '-o', '/scratch/with blank/a:b/scheduler.log', '-r', 'y'],
      ...['-W', 'depend=afterok:12.vm:13[].vm', '-q', 'workq', '-A', 'phys/heat', '-l', 'walltime=25:01:01'],
      ...['-l', 'select=4:ncpus=1:mpiprocs=1:ompthreads=1', '-l', 'place=free'],
      ...['-m', 'abe', '-l', 'software=x', '-P', 'heat'],
    ])
  })

  test.each([
    [[0, 1, 2, 3], null, '0-3'],
    [[0, 2, 4, 6, 8], 4, '0-8:2%4'],
    [[7], null, '7-8:2'],
    [[7], 1, '7-8:2%1'],
    [[3, 4], 1, '3-4%1'],
    [[1, 11], null, '1-11:10'],
  ])('tasks %j, at most %j at once: -J %s, and rerunnable, as PBS wants it', (numbers, throttle, range) => {
    const options = submitArguments(jobRequest({}, { array: { numbers, throttle } }))
    expect(options[options.indexOf('-J') + 1]).toBe(range)
    expect(options).not.toContain('-r')
    expect(options).toContain('/scratch/attempt/scheduler.log.^array_index^')
  })

  test('PBS numbers no lists', () => {
    expect(pbs.array.canNumber([0, 1, 2], 10_000)).toBe(true)
    expect(pbs.array.canNumber([5], null)).toBe(true)
    expect(pbs.array.canNumber([0, 1, 3], null)).toBe(false)
    expect(pbs.array.canNumber([0, 1, 2], 2)).toBe(false)
    expect(() => submitArguments(jobRequest({}, { array: { numbers: [0, 1, 3], throttle: null } }))).toThrow(
      'equal steps',
    )
  })

  test('a path that qsub would refuse is not asked for', () => {
    expect(submitArguments(jobRequest({}, { directory: '/scratch/Größe' }))).toContain('/dev/null')
  })

  test('what is no id is nothing to depend on', () => {
    expect(() => submitArguments(jobRequest({}, { dependsOn: ['12.vm,block=true'] }))).toThrow('not a job id of PBS')
  })
})

test.each([
  ['12.vm\n', '12.vm'],
  ['*** maintenance ***\n12[].pbs_server.example.org\n', '12[].pbs_server.example.org'],
])('%j is the job %s', (answer, id) => {
  expect(readSubmit(answer)).toBe(id)
})

test.each(['', '12\n', '12.vm\n13.vm\n', '12[3].vm\n', 'qsub: Unknown queue\n'])('%j is no answer', answer => {
  expect(() => readSubmit(answer)).toThrow(UnreadableError)
})

describe('what a refusal means', () => {
  test.each([
    ['qsub-badq', 'refused'],
    ['qsub-badopt', 'refused'],
    ['qsub-badwt', 'refused'],
    ['qsub-badname', 'refused'],
    ['qsub-noscript', 'refused'],
    ['down-echo-true-qsub', 'transient'],
  ] as const)('recorded on 23.06: %s', (case_, meaning) => {
    const { rc, stderr } = errors[case_]!
    expect(judgeRefusal(rc, stderr)).toBe(meaning)
  })

  test.each<[number, string, Refusal]>([
    [32, 'qsub: every job needs a project\n', 'refused'],
    [38, "qsub: would exceed complex's per-user limit of jobs in 'Q' state\n", 'transient'],
    [198, 'qsub: Maximum number of jobs already in queue\n', 'transient'],
    [173, 'qsub: Queue is not enabled\n', 'transient'],
    [212, 'qsub: Server shutting down\n', 'transient'],
    [159, 'qsub: Unauthorized Request\n', 'refused'],
    [1, 'qsub:  cannot submit non-rerunable Array Job\n', 'refused'],
    [125, 'qsub: Finished job did not satisfy dependency\n', 'refused'],
    [4, 'mkstemp: No space left on device\nqsub: could not create/open tmp file /tmp/x for script\n', 'transient'],
    [127, 'sh: qsub: not found\n', 'transient'],
    // The request was on its way.
    [183, 'qsub: Batch protocol error\n', 'unknown'],
    [162, 'qsub: System error occurred\n', 'unknown'],
    [163, 'qsub: Internal server error\n', 'unknown'],
    [124, '', 'unknown'],
    [137, '', 'unknown'],
    [1, 'something nobody has seen\n', 'unknown'],
  ])('%i %j is %s', (rc, stderr, meaning) => {
    expect(judgeRefusal(rc, stderr)).toBe(meaning)
  })
})

test('the reasons of PBS in words', () => {
  for (const [reason, words] of [
    ['Not Running: Not enough free nodes available', 'it waits for nodes to become free'],
    ['Not Running: Queue not started.', 'its queue starts no jobs at present'],
    [
      'Not Running: Insufficient amount of resource: ncpus (R: 4 A: 1 T: 4)',
      'it waits for free resources: ncpus (R: 4 A: 1 T: 4)',
    ],
    ['Not Running: a sentence of the site', 'a sentence of the site'],
    [
      'Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 4 T: 4)',
      'it will never start as it is: Insufficient amount of resource: ncpus (R: 64 A: 4 T: 4)',
    ],
    ['Hold_Types=u', 'it is held by its user'],
    ['SomethingNew', 'SomethingNew'],
  ] as const)
    expect(pbs.reasonInWords(reason)).toBe(words)
})
