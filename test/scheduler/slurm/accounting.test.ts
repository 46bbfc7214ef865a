import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { accountingColumns, readAccounting } from '../../../src/scheduler/slurm/accounting.ts'
import { idOf, recorded } from '../recorded.ts'

type Row = Partial<Record<(typeof accountingColumns)[number], string>>

const usual: Required<Row> = {
  JobID: '7',
  State: 'COMPLETED',
  ExitCode: '0:0',
  Partition: 'main',
  Account: 'research',
  Submit: '2026-11-20T12:27:45',
  Start: '2026-11-20T12:27:47',
  End: '2026-11-20T13:27:47',
  ElapsedRaw: '3600',
  NodeList: 'n[1-2]',
  AllocCPUS: '8',
  TotalCPU: '07:30:00',
  MaxRSS: '',
  ReqTRES: 'cpu=8,mem=16G,node=2',
  AllocTRES: 'cpu=8,mem=16G,node=2',
  JobName: 'compops-00000000-0000-4000-8000-000000000007',
}
const line = (changes: Row = {}) =>
  `${accountingColumns.map(column => ({ ...usual, ...changes })[column]).join('\x1f')}\n`

describe('recorded on 22.05', () => {
  test.each(['running', 'final'])('every job of the %s list', async case_ => {
    const rows = [...readAccounting(recorded(`slurm/22.05-sacct-${case_}.txt`))]
    const text = rows
      .map(r =>
        [
          idOf(r),
          r.nativeState,
          r.verdict ?? '-',
          r.exitCode ?? '-',
          r.signal ?? '-',
          r.nodes.join(' ') || '-',
          r.cpuSeconds,
          r.maxRss ?? '-',
        ].join(' | '),
      )
      .join('\n')
    await expect(`${text}\n`).toMatchFileSnapshot(`../../fixtures/scheduler/slurm/22.05-sacct-${case_}.read.txt`)
  })
})

describe('one job', () => {
  test('with its steps: the largest resident set of any of them', () => {
    const text =
      line() +
      line({ JobID: '7.batch', JobName: 'batch', Partition: '', MaxRSS: '2900K', ReqTRES: '' }) +
      line({ JobID: '7.extern', JobName: 'extern', Partition: '', MaxRSS: '0', ReqTRES: '' }) +
      line({ JobID: '7.0', JobName: 'a.out', Partition: '', MaxRSS: '1.50G', ReqTRES: '' })
    expect([...readAccounting(text)]).toEqual([
      {
        nativeId: '7',
        tasks: null,
        name: usual.JobName,
        nativeState: 'COMPLETED',
        verdict: 'completed',
        exitCode: 0,
        signal: null,
        queue: 'main',
        account: 'research',
        submittedAt: new Date('2026-11-20T12:27:45Z'),
        startedAt: new Date('2026-11-20T12:27:47Z'),
        endedAt: new Date('2026-11-20T13:27:47Z'),
        nodes: ['n1', 'n2'],
        cpus: 8,
        cpuSeconds: 27_000,
        elapsedSeconds: 3600,
        maxRss: 1.5 * 2 ** 30,
        requestedTres: 'cpu=8,mem=16G,node=2',
        allocatedTres: 'cpu=8,mem=16G,node=2',
      },
    ])
  })

  test('which the database met before its name (seen a second after sbatch) has the name that stands there', () => {
    expect([...readAccounting(line({ JobName: 'allocation', State: 'PENDING', End: 'Unknown' }))]).toMatchObject([
      { name: 'allocation', verdict: null, endedAt: null },
    ])
  })

  test.each([
    ['COMPLETED', '0:0', 'n1', 'completed', 0, null],
    ['FAILED', '3:0', 'n1', 'exit', 3, null],
    ['FAILED', '0:9', 'n1', 'exit', null, 9],
    ['FAILED', '0:11', 'n1', 'exit', null, 11],
    ['FAILED', '0:53', 'n1', 'never started', null, null],
    ['FAILED', '1:0', 'None assigned', 'never started', 1, null],
    ['TIMEOUT', '0:0', 'n1', 'timeout', null, null],
    ['OUT_OF_MEMORY', '0:125', 'n1', 'memory', null, null],
    ['NODE_FAIL', '0:0', 'n1', 'node', null, null],
    ['PREEMPTED', '0:0', 'n1', 'preempted', null, null],
    ['CANCELLED by 1003', '0:0', 'None assigned', 'canceled', null, null],
    ['CANCELLED by 1003', '0:15', 'n1', 'canceled', null, 15],
    ['DEADLINE', '1:0', 'None assigned', 'never started', 1, null],
    ['BOOT_FAIL', '0:0', 'n1', 'node', null, null],
    ['RUNNING', '0:0', 'n1', null, null, null],
    ['PENDING', '0:0', 'None assigned', null, null, null],
    ['REQUEUED', '0:0', 'n1', null, null, null],
    ['SUSPENDED', '0:0', 'n1', null, null, null],
    ['A_STATE_OF_THE_FUTURE', '0:0', 'n1', null, null, null],
  ] as const)('%s %s on %s is %s', (State, ExitCode, NodeList, verdict, exitCode, signal) => {
    expect([...readAccounting(line({ State, ExitCode, NodeList }))]).toMatchObject([{ verdict, exitCode, signal }])
  })
})

describe('what cannot be read is an error', () => {
  test.each([
    ['an error on stdout', 'sacct: error: Problem talking to the database: Connection refused\n'],
    ['a banner', `*** maintenance ***\n${line()}`],
    ['a cut line', line().slice(0, 60)],
    ['a step without its job', line({ JobID: '7.batch' })],
    ['an exit code that is none', line({ ExitCode: '-' })],
    ['a size that is none', line({ MaxRSS: 'lots' })],
    ['a duration that is none', line({ TotalCPU: 'soon' })],
  ])('%s', (_, text) => {
    expect(() => [...readAccounting(text)]).toThrow(UnreadableError)
  })

  test('no rows are no rows: which jobs that says nothing about is for others to conclude', () => {
    expect([...readAccounting('')]).toEqual([])
  })
})
