import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readFacts, readQueue } from '../../../src/scheduler/slurm/queue.ts'
import { readState, slurmStates } from '../../../src/scheduler/slurm/states.ts'
import { idOf, recorded } from '../recorded.ts'

const name = 'compops-00000000-0000-4000-8000-000000000007'
const head = '\x1eJOBID\x1fSTATE\x1fREASON\x1fPARTITION\x1fSUBMIT_TIME\x1fSTART_TIME\x1fEND_TIME\x1fNODELIST\x1fNAME\n'
const up = '\x1dSlurmctld(primary) at vm is UP\n'
const row = (changes: { id?: string; state?: string; reason?: string; nodes?: string; name?: string } = {}) =>
  `\x1e${changes.id ?? '7'}\x1f${changes.state ?? 'RUNNING'}\x1f${changes.reason ?? 'None'}\x1fmain\x1f2026-11-20T12:27:45\x1f2026-11-20T12:27:47\x1fN/A\x1f${changes.nodes ?? 'n1'}\x1f${changes.name ?? name}\n`

function table(file: string): string {
  return [...readQueue(recorded(`slurm/${file}`))]
    .map(r =>
      [idOf(r), r.nativeState, r.reason ?? '-', r.state, r.verdict ?? '-', r.nodes.join(' ') || '-'].join(' | '),
    )
    .join('\n')
}

describe('recorded on 22.05', () => {
  test.each(['running', 'node-down', 'preempt', 'final'])('every row of the %s queue', async case_ => {
    await expect(`${table(`22.05-squeue-${case_}.txt`)}\n`).toMatchFileSnapshot(
      `../../fixtures/scheduler/slurm/22.05-squeue-${case_}.read.txt`,
    )
  })

  test('a row whole', () => {
    const rows = [...readQueue(recorded('slurm/22.05-squeue-final.txt'))]
    expect(rows.find(r => r.nativeId === '20')).toEqual({
      nativeId: '20',
      tasks: null,
      name: 'compops-00000000-0000-4000-8000-000000000020',
      state: 'ended',
      nativeState: 'COMPLETED',
      verdict: 'completed',
      reason: null,
      queue: 'main',
      submittedAt: new Date('2026-11-20T12:27:45Z'),
      startAt: new Date('2026-11-20T12:29:30Z'),
      endAt: new Date('2026-11-20T12:29:30Z'),
      nodes: ['n1', 'n2', 'n3', 'n4'],
      restarts: 0,
    })
  })

  test('strangers are left out', () => {
    expect([...readQueue(recorded('slurm/22.05-squeue-final.txt'))].map(r => r.nativeId)).not.toContain('38')
  })
})

describe('what is not a whole queue is an error', () => {
  test.each([
    ['nothing at all', ''],
    ['a blank line', '\n'],
    ['an error on stdout', 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n'],
    ['a banner before the list', `*** maintenance on Friday ***\n${head}${row()}`],
    ['a banner among the rows of ours', `${head}${row().trimEnd()}\n*** maintenance ***\n${row({ id: '8' })}`],
    ['rows without the head', row()],
    ['a head of another format', `\x1eJOBID\x1fNAME\n${row()}`],
    ['an empty list and no ping', head],
    ['an empty list and a controller that is down', `${head}\x1dSlurmctld(primary) at vm is DOWN\n`],
    ['an empty list and a ping that says nothing', `${head}\x1d`],
    ['a cut row', `${head}${row().slice(0, 40)}`],
    ['an id that is none', `${head}${row({ id: '7;rm' })}`],
    ['a time that is none', `${head}${row().replace('2026-11-20T12:27:45', 'yesterday')}`],
    ['a node list that is none', `${head}${row({ nodes: 'n[1-' })}`],
  ])('%s', (_, text) => {
    expect(() => [...readQueue(text)]).toThrow(UnreadableError)
  })
})

describe('what is a whole queue', () => {
  test('an empty one, when the controller says that it is up', () => {
    expect([...readQueue(`${head}${up}`)]).toEqual([])
    expect([...readQueue(`${head}\x1dSlurmctld(primary) at a is DOWN\nSlurmctld(backup 1) at b is UP\n`)]).toEqual([])
  })

  test('one of strangers only needs no ping: the head and their rows are the proof', () => {
    expect([...readQueue(`${head}${row({ name: 'theirs' })}`)]).toEqual([])
  })

  test.each([
    ['newline', 'a\nb'],
    ['bar', 'a|b'],
    ['our mark in front', 'compops-'],
    ['our name with a tail', `${name}x`],
    ['field marks', 'a\x1fb\x1fc'],
  ])('a stranger whose name holds %s disturbs nothing', (_, strange) => {
    expect([...readQueue(`${head}${row({ id: '8', name: strange })}${row()}`)].map(r => r.nativeId)).toEqual(['7'])
  })

  test("Slurm's own notices are known", () => {
    const text = `squeue: warning: the cluster is busy\n${head}${row().trimEnd()}\nsqueue: info: done\n`
    expect([...readQueue(text)].map(r => r.nativeId)).toEqual(['7'])
  })
})

describe('states', () => {
  test.each([
    ['PENDING', 'Resources', 'queued', null],
    ['PENDING', 'JobHeldUser', 'held', null],
    ['PENDING', 'JobHeldAdmin', 'held', null],
    ['PENDING', 'DependencyNeverSatisfied', 'queued', null],
    ['CONFIGURING', null, 'queued', null],
    ['RUNNING', null, 'running', null],
    ['SUSPENDED', null, 'suspended', null],
    ['COMPLETING', null, 'completing', null],
    ['REQUEUED', null, 'queued', null],
    ['REQUEUE_HOLD', null, 'held', null],
    ['COMPLETED', null, 'ended', 'completed'],
    ['FAILED', 'NonZeroExitCode', 'ended', 'exit'],
    ['FAILED', 'BadConstraints', 'ended', 'never started'],
    ['FAILED', 'JobLaunchFailure', 'ended', 'exit'],
    ['TIMEOUT', 'TimeLimit', 'ended', 'timeout'],
    ['DEADLINE', 'DeadLine', 'ended', 'never started'],
    ['OUT_OF_MEMORY', 'OutOfMemory', 'ended', 'memory'],
    ['NODE_FAIL', 'NodeDown', 'ended', 'node'],
    ['BOOT_FAIL', null, 'ended', 'node'],
    ['PREEMPTED', null, 'ended', 'preempted'],
    ['CANCELLED', null, 'ended', 'canceled'],
    ['A_STATE_OF_THE_FUTURE', null, 'completing', null],
  ] as const)('%s (%s) is %s, %s', (word, reason, queue, verdict) => {
    expect(readState(word, reason)).toEqual({ queue, verdict })
  })

  test('only an ended state has a verdict, and every ended one has', () => {
    for (const [word, state] of Object.entries(slurmStates))
      expect([word, state.verdict !== null]).toEqual([word, state.queue === 'ended'])
  })
})

describe('what a cluster tells about itself', () => {
  test('with slurmdbd', () => {
    expect(readFacts(recorded('slurm/22.05-scontrol-config.txt'))).toEqual({
      version: 'slurm 22.05.8',
      accounting: true,
      remembers: 300,
      nativeDependencies: true,
      maxArraySize: 20001,
    })
  })

  test('without', () => {
    expect(readFacts(recorded('slurm/22.05-scontrol-config-no-accounting.txt'))).toMatchObject({
      accounting: false,
      remembers: 5,
    })
  })

  test.each(['', 'slurm 22.05.8\n', 'slurm_load_ctl_conf error: Unable to contact slurm controller\n'])(
    '%j is an error',
    text => {
      expect(() => readFacts(text)).toThrow(UnreadableError)
    },
  )
})
