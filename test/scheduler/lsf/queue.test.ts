import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readFacts, readQueue } from '../../../src/scheduler/lsf/queue.ts'
import { reasonInWords } from '../../../src/scheduler/lsf/reasons.ts'
import { recorded } from '../recorded.ts'
import { ourName } from '../rows/row.ts'

const head = (form: string) => `LSF ${form} 2026-11-20T12:30:00Z\n`
const bparams = recorded('lsf/volclava-2.2-lsid-bparams.txt')

function table(text: string): string[] {
  return [...readQueue(text)].map(r =>
    [
      `${r.nativeId}${r.tasks === null ? '' : `[${r.tasks.map(({ from }) => from).join()}]`}`,
      r.nativeState,
      r.state,
      r.verdict ?? '-',
      r.queue,
      r.nodes.join(' ') || '-',
      r.reason ?? '-',
    ].join(' | '),
  )
}

describe('recorded on volclava 2.2', () => {
  test('every job of bjobs -o … -json', async () => {
    const rows = table(`${head('short')}${recorded('lsf/volclava-2.2-bjobs-json.txt')}`)
    await expect(`${rows.join('\n')}\n`).toMatchFileSnapshot(
      '../../fixtures/scheduler/lsf/volclava-2.2-bjobs-json.read.txt',
    )
  })

  test.each(['running', 'ended', 'host-lost', 'window-closed', 'stopped', 'held', 'requeued'])(
    'every job of bjobs -a -w, %s',
    async case_ => {
      const rows = table(`${head('wide')}${recorded(`lsf/volclava-2.2-bjobs-wide-${case_}.txt`)}`)
      await expect(`${rows.join('\n')}\n`).toMatchFileSnapshot(
        `../../fixtures/scheduler/lsf/volclava-2.2-bjobs-wide-${case_}.read.txt`,
      )
    },
  )

  test('why jobs wait, from bjobs -p', () => {
    const text = `${head('wide')}${recorded('lsf/volclava-2.2-bjobs-wide-running.txt')}\x1dpending\n${recorded('lsf/volclava-2.2-bjobs-pending.txt')}`
    const reasons = [...readQueue(text)].flatMap(r =>
      r.reason === null ? [] : [[r.nativeId, reasonInWords(r.reason)]],
    )
    expect(reasons).toEqual([
      ['8', 'it is held by its user'],
      ['10', 'a job it depends on failed: it will never start as it is'],
      ['12', 'it waits for another job'],
      ['17', 'no slot is free'],
      ['14', 'no slot is free'],
      ['14', 'no slot is free'],
      ['14', 'no slot is free'],
    ])
  })

  test('a job that bjobs has forgotten is no job', () => {
    const forgotten = `${head('short')}${recorded('lsf/volclava-2.2-bjobs-json-forgotten.txt')}`
    expect(() => [...readQueue(forgotten)]).toThrow('mbatchd does not answer')
    expect([...readQueue(`${forgotten}\x1dping\n${bparams}`)]).toEqual([])
    const none = `${head('short')}${recorded('lsf/volclava-2.2-bjobs-json-none.txt')}`
    expect([...readQueue(`${none}\x1dping\n${bparams}`)]).toEqual([])
  })

  test('facts', () => {
    expect(readFacts(bparams)).toEqual({
      version: 'lsf volclava project 2.2',
      accounting: true,
      remembers: 3_600,
      nativeDependencies: true,
      maxArraySize: 1000,
    })
  })
})

describe('IBM Spectrum LSF 10.1, as its pages show it', () => {
  const full = (...records: Record<string, string>[]) =>
    `${head('full')}${JSON.stringify({ COMMAND: 'bjobs', JOBS: records.length, RECORDS: records })}\n`
  const job = (changes: Record<string, string>) => ({
    JOBID: '36',
    JOBINDEX: '0',
    STAT: 'RUN',
    QUEUE: 'normal',
    JOB_NAME: ourName(36),
    EXEC_HOST: '4*n1:2*n2',
    SUBMIT_TIME: 'Dec 31 23:59',
    START_TIME: 'Nov 20 11:50',
    FINISH_TIME: 'Nov 20 13:50 L',
    EXIT_CODE: '',
    EXIT_REASON: '',
    PEND_REASON: '',
    ...changes,
  })

  test('a row whole: the year is the one that fits, the end of a job that runs is an estimate', () => {
    expect([...readQueue(full(job({})))]).toEqual([
      {
        nativeId: '36',
        tasks: null,
        name: ourName(36),
        state: 'running',
        nativeState: 'RUN',
        verdict: null,
        reason: null,
        queue: 'normal',
        submittedAt: new Date('2026-12-31T23:59:00Z'),
        startAt: new Date('2026-11-20T11:50:00Z'),
        endAt: null,
        nodes: ['n1', 'n2'],
        restarts: 0,
      },
    ])
    const january = full(job({})).replace('2026-11-20T12:30', '2027-01-01T00:10')
    expect([...readQueue(january)][0]!.submittedAt).toEqual(new Date('2026-12-31T23:59:00Z'))
    const shown = full(job({ START_TIME: 'Fri Nov 20 11:50:07 2026' }))
    expect([...readQueue(shown)][0]!.startAt).toEqual(new Date('2026-11-20T11:50:07Z'))
  })

  test('tasks of an array have the id of the array, by JOBINDEX or by name', () => {
    const rows = [...readQueue(full(job({ JOBINDEX: '3' }), job({ JOB_NAME: `${ourName(36)}[4]`, JOBINDEX: '4' })))]
    expect(rows.map(({ nativeId, tasks, name }) => [nativeId, tasks, name])).toEqual([
      ['36', [{ from: 3, to: 3, step: 1 }], ourName(36)],
      ['36', [{ from: 4, to: 4, step: 1 }], ourName(36)],
    ])
  })

  test.each([
    ['TERM_OWNER: job killed by owner', '130', 'canceled'],
    ['TERM_RUNLIMIT: job killed after reaching LSF run time limit', '140', 'timeout'],
    ['TERM_MEMLIMIT: job killed after reaching LSF memory usage limit', '', 'memory'],
    ['TERM_PREEMPT: job killed after preemption', '130', 'preempted'],
    ['TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF', '137', 'exit'],
    ['TERM_REMOVE_HUNG_JOB: job removed from the LSF system', '', 'node'],
    ['TERM_CWD_NOTEXIST: current working directory does not exist', '', 'never started'],
    ['TERM_SOMETHING_NEW: who knows', '1', 'exit'],
    ['', '3', 'exit'],
    // 130 alone does not say why.
    ['', '130', 'exit'],
    ['', '', 'exit'],
  ])('EXIT with %j and code %j: %s', (EXIT_REASON, EXIT_CODE, verdict) => {
    const [row] = readQueue(full(job({ STAT: 'EXIT', EXIT_REASON, EXIT_CODE })))
    expect(row).toMatchObject({ state: 'ended', verdict })
  })

  test('EXIT without a code and without a start: it was killed while it waited', () => {
    const [row] = readQueue(full(job({ STAT: 'EXIT', EXEC_HOST: '', START_TIME: '-' })))
    expect(row).toMatchObject({ state: 'ended', verdict: 'canceled', nodes: [] })
  })

  test.each([
    ['a count that does not fit', full(job({})).replace('"JOBS":1', '"JOBS":2')],
    ['an error that is no "not found"', full({ JOBID: '36', ERROR: 'Failed in an LSF library call' })],
    ['an id that is none', full(job({ JOBID: '36; rm -rf /' }))],
    ['a time that is none', full(job({ SUBMIT_TIME: 'yesterday' }))],
    ['values that are no words', full(job({})).replace('"RUN"', '{"a":1}')],
    ['a form that nobody knows', full(job({})).replace('LSF full', 'LSF other')],
  ])('%s is an error', (_, text) => {
    expect(() => [...readQueue(text)]).toThrow(UnreadableError)
  })

  test.each([
    ['IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021', 'lsf 10.1.0.12'],
    ['IBM Spectrum LSF 10.1.0.0, Jul 08 2016', 'lsf 10.1.0.0'],
    ['IBM Platform LSF Standard 9.1.3.0, Jul 4 2014', 'lsf 9.1.3.0'],
  ])('%s', (line, version) => {
    expect(readFacts(bparams.replace(/^volclava.*$/m, line)).version).toBe(version)
  })

  test('reasons of several levels in one', () => {
    expect(
      reasonInWords(
        "Closed by LSF administrator: 3 hosts; Job's resource requirements not satisfied: 2 hosts; Odd thing: 1 host;",
      ),
    ).toBe('hosts are closed by an administrator; no host has what it asks for at present; Odd thing')
  })
})
