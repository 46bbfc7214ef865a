import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { recorded } from '../recorded.ts'
import { asDsv, throughShell, up } from './recorded.ts'

const qselect = { stdout: recorded('pbs/23.06-qselect.txt') }
const dsv = asDsv('23.06-qstat-f.json')
const errors = JSON.parse(recorded('pbs/23.06-errors.json')) as Record<string, { rc: number; stderr: string }>
const shells = ['dash', 'bash', 'busybox sh'].filter(shell => shell !== 'busybox sh' || existsSync('/bin/busybox'))

describe.each(shells)('%s', shell => {
  test('reads the queue', () => {
    const text = throughShell('scheduler_queue', { qselect, qstat: { stdout: dsv } }, shell)
    expect([...pbs.readQueue(text)]).toHaveLength(11)
  })

  test('finds what is active, by name', () => {
    const text = throughShell(
      'scheduler_active',
      { qselect, qstat: { stdout: asDsv('23.06-qstat-xtf-final.json') } },
      shell,
    )
    expect(text).toBe(['11', '17', '18'].map(n => `${n}.vm compops-00000000-0000-4000-8000-0000000000${n}\n`).join(''))
  })

  test('finds an id in what qsub says', () => {
    const found = (answer: string) => throughShell('scheduler_submitted', {}, shell, answer)
    expect(found('12.vm\n')).toBe('12.vm\n')
    expect(found('*** maintenance ***\n 12[].pbs_server.example-1.org \n')).toBe('12[].pbs_server.example-1.org\n')
    for (const answer of ['', '\n', '12.vm\n13.vm\n', 'error\n', '12\n', '; rm -rf /\n', '-rf\n'])
      expect(() => found(answer)).toThrow()
  })

  test('judges a refusal as TypeScript does', () => {
    const cases = [
      ...Object.values(errors).map(({ rc, stderr }) => [rc, stderr] as const),
      ...[1, 32, 38, 124, 126, 127, 137, 143, 153, 173, 183, 198, 212].map(rc => [rc, 'qsub: something\n'] as const),
      [2, 'qsub: illegal -N value\n'],
      [183, "qsub: it's odd\n"],
    ] as const
    for (const [rc, stderr] of cases)
      expect(throughShell(`scheduler_judge ${rc}`, {}, shell, stderr)).toBe(`${pbs.judgeRefusal(rc, stderr)}\n`)
  })
})

describe('what cannot be trusted fails', () => {
  const down = errors['down-qstat--f--F-json']!
  test.each([
    ['no server', 'scheduler_queue', { qselect, qstat: down }, 'cannot connect to server vm'],
    [
      'a cut answer',
      'scheduler_queue',
      { qselect, qstat: { stdout: dsv.slice(0, -40) } },
      'the answer of qstat was cut',
    ],
    ['an empty one', 'scheduler_queue', { qselect, qstat: {} }, 'qstat answered without a job or an error'],
    [
      'history that was switched off',
      'scheduler_past',
      { qstat: { stderr: 'qstat: job_history_enable is set to false\n' } },
      'without a job',
    ],
    [
      'a banner',
      'scheduler_queue',
      { qselect: { stdout: '*** maintenance ***\n' } },
      'qselect answered: *** maintenance ***',
    ],
    ['no qselect', 'scheduler_queue', { qselect: { rc: 162, stderr: 'qselect: cannot connect\n' } }, 'cannot connect'],
    ['no server, no job of that name', 'scheduler_find x', { qselect: {}, qstat: down }, ''],
    ['a server that says nothing', 'scheduler_find x past', { qselect: {}, qstat: {} }, 'qstat -B answered'],
    ['nothing is active, says nobody', 'scheduler_active', { qselect: {}, qstat: {} }, 'qstat -B answered'],
  ])('%s', (_, call, commands, message) => {
    expect(() => throughShell(call, commands, 'dash', '4.vm compops-x /scratch\n')).toThrow(message)
  })
})

test('all of what was asked for has ended, or is forgotten: no row, and whole', () => {
  for (const error of ['qstat-done-f-json-nox', 'qstat-notfound-json'])
    expect([...pbs.readQueue(throughShell('scheduler_queue', { qselect, qstat: errors[error]! }))]).toEqual([])
})

test('history is searched where there is one', () => {
  const find = (server: string, past: string) =>
    throughShell(`qselect() { echo "$*" >&2; echo 12.vm; }; scheduler_find n ${past} 2>&1`, {
      qstat: { stdout: server },
    })
  expect(find(up.stdout!, 'past')).toMatch(/^-u \S+ -x -N n\n12\.vm\n$/)
  expect(find(up.stdout!, '')).toMatch(/^-u \S+ -N n\n12\.vm\n$/)
  expect(find(up.stdout!.replace('job_history_enable=True', 'job_history_enable=False'), 'past')).toMatch(
    /^-u \S+ -N n\n12\.vm\n$/,
  )
})

test('the brackets of an array are no pattern', () => {
  const call = `cd "$(mktemp -d)"; touch 121.vm; _ids='12[].vm
121.vm'; qstat() { printf '%s\\n' "$*" >&2; }; (pbs_stat Job_Name -t 2>&1 || :)`
  expect(throughShell(call, {})).toContain('12[].vm 121.vm')
})

test('what the wrapper finds out about itself', () => {
  const identify = (variables: string) =>
    execFileSync(
      'bash',
      [
        '-c',
        `compops_dir=$(mktemp -d); ${variables}; ${pbs.identify}
${pbs.identify}echo "$compops_native $compops_index $compops_restarts $compops_nodes"`,
      ],
      { encoding: 'utf8' },
    )
  const nodes = `PBS_NODEFILE=$compops_dir/nodes; printf 'n2\\nn1\\nn2\\n' >"$PBS_NODEFILE"`
  expect(identify(`PBS_JOBID=12.vm; ${nodes}`)).toBe('12.vm  1 n1 n2 \n')
  expect(identify('PBS_JOBID=12[3].pbs_server.org PBS_ARRAY_INDEX=3')).toBe('12[].pbs_server.org 3 1 \n')
})
