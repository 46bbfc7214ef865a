import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readHistory } from '../../../src/scheduler/lsf/history.ts'
import { recorded } from '../recorded.ts'
import { ourName } from '../rows/row.ts'

const head = 'LSF past 2026-11-20T12:30:00Z\n'
const read = (text: string) => [...readHistory(`${head}${text}`)]

describe('bhist -l, recorded on volclava 2.2', () => {
  test.each([
    ['done', 'completed', 0],
    ['exit-3', 'exit', 3],
    ['forgotten-by-bjobs', 'exit', 7],
    ['run-limit', 'timeout', 140],
    ['killed-while-running', 'canceled', 130],
    ['killed-while-pending', 'canceled', null],
    ['host-lost-killed', 'canceled', null],
    ['memory-limit', 'completed', 0],
    ['running', null, null],
    ['host-lost', null, null],
    ['requeued', null, null],
    ['window-closed', null, null],
    ['pre-exec-fails', null, null],
    ['array-task', null, null],
  ])('%s: %s with code %s', (case_, verdict, exitCode) => {
    const rows = read(recorded(`lsf/volclava-2.2-bhist-${case_}.txt`))
    expect(rows.map(row => [row.verdict, row.exitCode])).toEqual([[verdict, exitCode]])
  })

  test('a job whole', () => {
    expect(read(recorded('lsf/volclava-2.2-bhist-run-limit.txt'))).toEqual([
      {
        nativeId: '15',
        tasks: null,
        name: ourName(15),
        nativeState: 'EXIT',
        verdict: 'timeout',
        exitCode: 140,
        signal: null,
        queue: 'normal',
        account: 'default',
        submittedAt: new Date('2026-11-20T11:49:05Z'),
        startedAt: new Date('2026-11-20T11:49:13Z'),
        endedAt: new Date('2026-11-20T11:50:15Z'),
        nodes: ['vm'],
        cpus: null,
        cpuSeconds: 0,
        elapsedSeconds: 62,
        maxRss: null,
        requestedTres: null,
        allocatedTres: null,
      },
    ])
  })

  test('one that was started again counts from its last start', () => {
    const [row] = read(recorded('lsf/volclava-2.2-bhist-requeued.txt'))
    expect(row).toMatchObject({
      nativeState: 'RUN',
      verdict: null,
      startedAt: new Date('2026-11-20T11:52:33Z'),
      endedAt: null,
    })
  })

  test('an array: a row for each task', () => {
    const rows = read(recorded('lsf/volclava-2.2-bhist-array.txt'))
    expect(rows.map(r => [r.nativeId, r.tasks![0]!.from, r.name, r.verdict, r.exitCode])).toEqual([
      ['14', 1, ourName(14), 'completed', 0],
      ['14', 2, ourName(14), 'exit', 1],
      ['14', 3, ourName(14), 'canceled', null],
    ])
  })

  test('somebody else whose id is the same is left out', () => {
    const text = recorded('lsf/volclava-2.2-bhist-exit-3.txt').replace(ourName(5), 'weather')
    expect(read(text)).toEqual([])
  })

  test('cut anywhere it is an error, or nothing', () => {
    const text = recorded('lsf/volclava-2.2-bhist-exit-3.txt')
    for (let length = 0; length < text.trimEnd().length; length += 7)
      try {
        expect(read(text.slice(0, length))).toEqual([])
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadableError)
      }
  })
})

describe('IBM Spectrum LSF 10.1, as its pages show it', () => {
  test('a termination reason, a signal, memory; lines are folded', () => {
    const [row] = read(`
Job <36>, Job Name <${ourName(36)}>, User <ada>, Project <physics>, Comma
                     nd <exec /bin/bash -l '/scratch/script'>
Fri Nov 20 11:49:05: Submitted from host <login1>, to Queue <gpu>, CWD </scratch>;
Fri Nov 20 11:49:13: Dispatched 4 Task(s) on Host(s) <n1> <n1> <n2> <n2>, Allocate
                     d 4 Slot(s) on Host(s) <n1> <n1> <n2> <n2>;
Fri Nov 20 11:49:13: Starting (Pid 4711);
Fri Nov 20 11:50:15: Exited by signal 9. The CPU time used is 62.5 seconds;
Fri Nov 20 11:50:15: Completed <exit>; TERM_MEMLIMIT: job killed after reaching LS
                     F memory usage limit;

 MEMLIMIT
    16 G

 MAX MEM: 15.9 Gbytes;  AVG MEM: 7 Gbytes

Summary of time in seconds spent in various states by  Fri Nov 20 11:50:15
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  8        0        62       0        0        0        70
`)
    expect(row).toMatchObject({
      nativeState: 'EXIT TERM_MEMLIMIT',
      verdict: 'memory',
      signal: 9,
      exitCode: 137,
      nodes: ['n1', 'n2'],
      queue: 'gpu',
      cpuSeconds: 62.5,
      maxRss: Math.round(15.9 * 2 ** 30),
    })
  })

  test('bacct -l, of a job whose events are gone', () => {
    const [row] = read(`No matching job found

Accounting information about jobs that are:
  - submitted by all users.
  - completed normally or exited
------------------------------------------------------------------------------

Job <36>, Job Name <${ourName(36)}>, User <ada>, Project <physics>, Statu
                     s <EXIT>, Queue <normal>, Command <exec /bin/bash -l '/scratc
                     h/script'>
Wed Nov 18 22:32:01: Submitted from host <login1>, CWD <$HOME>;
Wed Nov 18 22:32:11: Dispatched to <n7>;
Wed Nov 18 23:34:12: Completed <exit>; TERM_RUNLIMIT: job killed after reaching LS
                     F run time limit.

Accounting information about this job:
     Share group charged </ada>
     CPU_T     WAIT     TURNAROUND   STATUS     HOG_FACTOR    MEM    SWAP
   3711.02       10           3731     exit         0.9947     5M    222M
------------------------------------------------------------------------------

SUMMARY:      ( time unit: second )
 Total number of done jobs:       0      Total number of exited jobs:     1
`)
    expect(row).toMatchObject({
      verdict: 'timeout',
      queue: 'normal',
      nodes: ['n7'],
      startedAt: new Date('2026-11-18T22:32:11Z'),
      endedAt: new Date('2026-11-18T23:34:12Z'),
      cpuSeconds: 3711.02,
      elapsedSeconds: 3721,
      maxRss: 5 * 2 ** 20,
    })
  })
})
