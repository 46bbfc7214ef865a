import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { judgeInShell, judgeRefusal, readSubmit, submitArguments } from '../../../src/scheduler/slurm/submit.ts'
import { jobRequest } from '../requests.ts'

test.each([
  ['36\n', '36'],
  ['36;falcon\n', '36'],
  ['sbatch: your project has 12 % of its hours left\n36\n', '36'],
])('%j is the id %s', (answer, id) => {
  expect(readSubmit(answer)).toBe(id)
})

test.each(['', '\n', 'Submitted\n', 'error 12\n', '36\n37\n', '36 37\n', '-36\n'])(
  'unreadable submit output is an error: %j',
  answer => {
    expect(() => readSubmit(answer)).toThrow(UnreadableError)
  },
)

describe('what a refusal means', () => {
  const cases = [
    [
      1,
      'sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified',
      'refused',
    ],
    [
      1,
      'sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified',
      'refused',
    ],
    [1, 'sbatch: error: Batch job submission failed: Invalid qos specification', 'refused'],
    [
      1,
      'sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available',
      'refused',
    ],
    [1, 'sbatch: error: This does not look like a batch script.  The first', 'refused'],
    [1, 'sbatch: error: Batch script contains DOS line breaks (\\r\\n)', 'refused'],
    [
      1,
      "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
      'refused',
    ],
    [
      1,
      'sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy',
      'transient',
    ],
    [
      1,
      'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)',
      'transient',
    ],
    [1, 'sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying', 'transient'],
    [127, 'timeout: failed to run command \u2018sbatch\u2019: No such file or directory', 'transient'],
    [1, 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation', 'unknown'],
    [1, 'sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received', 'unknown'],
    [124, '', 'unknown'],
    [137, 'Killed', 'unknown'],
    [1, 'something nobody has seen before', 'unknown'],
    [1, '', 'unknown'],
  ] as const

  test.each(cases)('rc %i, %j: %s', (rc, stderr, meaning) => {
    expect(judgeRefusal(rc, stderr)).toBe(meaning)
  })

  test.each(['dash', 'bash'])('%s on the cluster judges alike', shell => {
    for (const [rc, stderr, meaning] of cases) {
      const said = execFileSync(shell, ['-c', `${judgeInShell}\nscheduler_judge "$1"`, shell, String(rc)], {
        input: stderr,
      })
      expect([stderr, said.toString().trim()]).toEqual([stderr, meaning])
    }
  })
})

describe('arguments of sbatch', () => {
  test('of a job that asks for little', () => {
    expect(submitArguments(jobRequest({}))).toEqual([
      '--job-name=compops-00000000-0000-4000-8000-000000000003',
      '--comment=physics/ising calc/4d simulate by ada',
      '--output=/scratch/attempt/scheduler.log',
      '--open-mode=append',
      '--chdir=/scratch/work',
      '--no-requeue',
      '--kill-on-invalid-dep=no',
    ])
  })

  test('of one that waits for two others, may be requeued, and has directives', () => {
    const request = jobRequest(
      { requeue: true, resources: { partition: 'main', time: 90 }, directives: ['--hint=nomultithread'] },
      { dependsOn: ['12', '13'], comment: 'a\nb$(id)' },
    )
    expect(submitArguments(request)).toEqual([
      '--job-name=compops-00000000-0000-4000-8000-000000000003',
      '--comment=a b$(id)',
      '--output=/scratch/attempt/scheduler.log',
      '--open-mode=append',
      '--chdir=/scratch/work',
      '--requeue',
      '--kill-on-invalid-dep=no',
      '--dependency=afterok:12:13',
      '--partition=main',
      '--time=00:01:30',
      '--hint=nomultithread',
    ])
  })

  test('a dependency that is no id is refused', () => {
    expect(() => submitArguments(jobRequest({}, { dependsOn: ['12,afterany:1'] }))).toThrow('is not a job id of Slurm')
  })
})
