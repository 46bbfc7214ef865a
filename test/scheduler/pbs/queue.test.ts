import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readFacts, readQueue } from '../../../src/scheduler/pbs/queue.ts'
import { recorded } from '../recorded.ts'
import { asDsv, throughShell, up } from './recorded.ts'

const name = 'compops-00000000-0000-4000-8000-000000000007'
const whole = (...rows: string[]) => `PBS ${rows.length}\n${rows.map(row => `\x1e${row}\n`).join('')}\x1eend 0\n`
const row = (changes: Record<string, string> = {}, id = '7.vm') =>
  [id, ...Object.entries({ Job_Name: name, job_state: 'Q', ctime: 'Fri Nov 20 12:01:27 2026', ...changes })]
    .map(part => (typeof part === 'string' ? part : part.join('=')))
    .join('\x1f')
const one = (changes: Record<string, string> = {}, id?: string) => [...readQueue(whole(row(changes, id)))]

/** As the cluster sends it: PBS' own text through the dialect's shell text. */
const queueOf = (file: string) =>
  throughShell('scheduler_queue', {
    qselect: { stdout: recorded('pbs/23.06-qselect.txt') },
    qstat: { stdout: asDsv(file) },
  })

function table(text: string): string {
  return [...readQueue(text)]
    .map(r => {
      const tasks = r.tasks?.map(t => `${t.from}-${t.to}:${t.step}`).join(',') ?? '-'
      return [
        r.nativeId,
        tasks,
        r.nativeState,
        r.state,
        r.verdict ?? '-',
        r.reason ?? '-',
        r.nodes.join(' ') || '-',
      ].join(' | ')
    })
    .join('\n')
}

describe('recorded on 23.06', () => {
  test('dsv is what JSON says, field for field', () => {
    const steady = (text: string) => text.replace(/resources_used\.[^|]*\|/g, '').replace(/mtime=[^|]*\|/g, '')
    expect(steady(asDsv('23.06-qstat-f.json', '|'))).toBe(steady(recorded('pbs/23.06-qstat-f.dsv')))
  })

  test.each(['f', 'xtf-running', 'xtf-final', 'suspended'])('every row of qstat -%s', async case_ => {
    await expect(`${table(queueOf(`23.06-qstat-${case_}.json`))}\n`).toMatchFileSnapshot(
      `../../fixtures/scheduler/pbs/23.06-qstat-${case_}.read.txt`,
    )
  })

  test('a row whole', () => {
    expect([...readQueue(queueOf('23.06-qstat-f.json'))].find(r => r.nativeId === '4.vm')).toEqual({
      nativeId: '4.vm',
      tasks: null,
      name: 'compops-00000000-0000-4000-8000-000000000004',
      state: 'running',
      nativeState: 'R',
      verdict: null,
      reason: null,
      queue: 'workq',
      submittedAt: new Date('2026-11-20T12:01:27Z'),
      startAt: new Date('2026-11-20T12:01:27Z'),
      endAt: null,
      nodes: ['vm'],
      restarts: 0,
    })
  })

  test('strangers are left out, and so are the variables of the account', () => {
    const text = queueOf('23.06-qstat-xtf-final.json')
    expect(table(text)).not.toMatch(/^24\./m)
    expect(text).not.toMatch(/PBS_O_|TOX_OVERRIDE/)
  })

  test('what the server tells about itself', () => {
    expect(readFacts(throughShell('scheduler_probe', { qstat: up }))).toEqual({
      version: 'pbs 23.06.06',
      accounting: true,
      remembers: 60,
      nativeDependencies: false,
      maxArraySize: 10_000,
    })
  })
})

describe('an array', () => {
  test('that has not begun speaks of all its tasks', () => {
    expect(one({ array: 'True', array_indices_remaining: '0-9:2' }, '7[].vm')).toMatchObject([
      { nativeId: '7[].vm', tasks: null, state: 'queued' },
    ])
  })

  test('that has begun speaks of those that wait, and each of its subjobs for itself', () => {
    const text = whole(
      row({ job_state: 'B', stime: 'Fri Nov 20 12:01:28 2026', array_indices_remaining: '3,5-9:2' }, '7[].vm'),
      row({ job_state: 'R', stime: 'Fri Nov 20 12:01:28 2026', exec_host: 'n1/0' }, '7[1].vm'),
      row({ job_state: 'X', exec_host: 'n1/0', Exit_status: '0' }, '7[0].vm'),
    )
    const range = (from: number, to: number, step = 1) => ({ from, to, step })
    expect([...readQueue(text)].map(({ nativeId, tasks, state }) => ({ nativeId, tasks, state }))).toEqual([
      { nativeId: '7[].vm', tasks: [range(3, 3), range(5, 9, 2)], state: 'queued' },
      { nativeId: '7[].vm', tasks: [range(1, 1)], state: 'running' },
      { nativeId: '7[].vm', tasks: [range(0, 0)], state: 'ended' },
    ])
  })
})

describe('why a job waits', () => {
  test.each([
    [{ comment: 'Not Running: Not enough free nodes available' }, 'Not Running: Not enough free nodes available'],
    [{ comment: 'Job Array Began at Fri Nov 20 at 12:01' }, null],
    [{ job_state: 'H', Hold_Types: 'u' }, 'Hold_Types=u'],
    [{ job_state: 'H', Hold_Types: 's', depend: 'afterok:6.vm@vm' }, 'Dependency'],
    [{ job_state: 'H', Hold_Types: 's', depend: 'beforeok:9.vm@vm' }, 'Hold_Types=s'],
    [{ job_state: 'W' }, 'Execution_Time'],
  ])('%j', (changes, reason) => {
    expect(one(changes)[0]?.reason).toBe(reason)
  })
})

test('letters nobody has seen are no end, nor is a job that another server has', () => {
  for (const letter of ['M', 'Z', '?'])
    expect(one({ job_state: letter })[0]).toMatchObject({ state: 'completing', verdict: null })
})

test('nodes of several chunks, each once; an estimate where the site makes one', () => {
  const [found] = one({ job_state: 'R', exec_host: 'n1/0*4+n1/1*4+n2.cluster/0', stime: 'Fri Nov  6 02:01:27 2026' })
  expect(found).toMatchObject({ nodes: ['n1', 'n2.cluster'], startAt: new Date('2026-11-06T02:01:27Z') })
  expect(one({ 'estimated.start_time': '1795176087' })[0]?.startAt).toEqual(new Date('2026-11-20T12:01:27Z'))
})

describe('what is not a whole queue is an error', () => {
  test.each([
    ['nothing at all', ''],
    ['a blank line', '\n'],
    ['an error', 'qstat: cannot connect to server vm (errno=15010)\n'],
    ['a banner before the list', `*** maintenance on Friday ***\n${whole(row())}`],
    ['without its head', whole(row()).replace(/^PBS 1\n/, '')],
    ['without its end', whole(row()).replace(/\x1eend 0\n$/, '')],
    ['a head alone', 'PBS 3\n'],
    ['a row without a name', whole(row().replace(/Job_Name=[^\x1f]*\x1f/, ''))],
    ['a row without a state', whole(row().replace(/job_state=[^\x1f]*\x1f/, ''))],
    ['a row cut in the middle of a field', whole(row().slice(0, -30))],
    ['an id of something else', whole(row({}, 'vm'))],
    ['a time of something else', whole(row({ ctime: 'yesterday' }))],
    [
      'numbers of subjobs that are none',
      whole(row({ stime: 'Fri Nov 20 12:01:28 2026', array_indices_remaining: 'x', job_state: 'B' }, '7[].vm')),
    ],
    ['an empty queue, and nothing of the server', 'PBS 0\n\x1eend 0\n\x1d'],
    ['an empty queue, and a server that goes down', 'PBS 0\n\x1eend 0\n\x1dServer: vm\x1fserver_state=Terminating\n'],
  ])('%s', (_, text) => {
    expect(() => [...readQueue(text)]).toThrow(UnreadableError)
  })

  test.each(['', 'usage: qstat …\n', 'Server: vm\x1fserver_state=Active\n'])('facts that are none: %j', text => {
    expect(() => readFacts(text)).toThrow(UnreadableError)
  })
})

test('an empty queue of a server that is up is empty', () => {
  const text = throughShell('scheduler_queue', { qselect: {}, qstat: up })
  expect([...readQueue(text)]).toEqual([])
})
