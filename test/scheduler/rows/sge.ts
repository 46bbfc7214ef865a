import { sge } from '../../../src/scheduler/sge/sge.ts'
import { recorded } from '../recorded.ts'
import { type DialectRow, ourName } from './row.ts'

const empty = recorded('sge/8.1.9-qstat-empty.txt')
const job = (id: string, state: string, name: string) =>
  `<job_list state="pending">\n<JB_job_number>${id}</JB_job_number>\n<JB_name>${name}</JB_name>\n<state>${state}</state>\n<queue_name></queue_name>\n</job_list>\n`
const listed = (jobs: string) => empty.replace(/<job_info>/, `<job_info>\n${jobs}`)
const ended =
  recorded('sge/8.1.9-accounting.txt')
    .split('\n')
    .find(line => line.includes(`:${ourName(20)}:`)) ?? ''

export const sgeRow: DialectRow = {
  dialect: sge,
  programs: ['qsub', 'qstat', 'qdel', 'qconf', 'qhost'],
  nativeIds: ['36'],
  accepted: [
    { answer: '36\n', id: '36' },
    { answer: '36.1-10:1\n', id: '36' },
    { answer: 'your project has 12 % of its hours left\n36\n', id: '36' },
  ],
  judged: [
    {
      rc: 1,
      stderr: 'Unable to run job: Job was rejected because job requests unknown queue "nosuch.q"\nExiting.\n',
      meaning: 'refused',
    },
    { rc: 25, stderr: 'Unable to run job: job rejected: only 1 jobs are allowed per user', meaning: 'transient' },
    { rc: 1, stderr: 'error: commlib error: got select error (Connection refused)', meaning: 'transient' },
    { rc: 1, stderr: 'error: failed receiving gdi request response', meaning: 'unknown' },
  ],
  queue: {
    listed: listed(job('8', 'qw', ourName(8)) + job('9', 'r', 'a stranger') + job('7', 'Eqw', ourName(7))),
    rows: [
      [ourName(8), 'queued'],
      [ourName(7), 'ended'],
    ],
    empty,
    silent: ['<?xml version="1.0"?>\n', 'error: commlib error: got select error (Connection refused)\n'],
    unheardOf: listed(job('8', 'Q', ourName(8))),
  },
  past: { ended: `${ended}\n`, name: ourName(20), unknown: '' },
  facts: recorded('sge/8.1.9-probe.txt'),
  capacity: {
    printed: [
      ['qhost -q -xml', recorded('sge/8.1.9-qhost-q.xml')],
      ['qhost -F gpu', recorded('sge/8.1.9-qhost-F-gpu.txt')],
      ['qstat -xml -s p -u *', recorded('sge/8.1.9-qstat-pending.txt')],
    ],
    told: {
      queues: [
        {
          ...{ name: 'all.q', open: true, state: 'open', limit: null, waiting: null },
          ...{ nodes: { total: 1, free: 0 }, cores: { total: 8, free: 0 } },
        },
      ],
      nodes: { allocated: 1 },
      cores: { total: 8, free: 0 },
      gpus: [{ type: null, total: null, free: 4 }],
      waiting: { jobs: 16, cores: 79 },
    },
  },
  resources: [
    { partition: 'all.q', account: 'physics', reservation: '12', time: 5_400, mem_per_cpu: 2_000, nice: 10 },
    { gpus: { type: null, count: 2 } },
  ],
  allowed: ['-pe smp 8', '-l scratch=10G', '-notify'],
  never: ['-o x', '-N x', '-t 1-3', '-hold_jid 1', '-h', '-jsv /tmp/x'],
  identified: [
    { env: { JOB_ID: '36', SGE_TASK_ID: 'undefined', RESTARTED: '0' }, native: '36', index: '', restarts: '0' },
    { env: { JOB_ID: '36', SGE_TASK_ID: '4', RESTARTED: '1' }, native: '36', index: '4', restarts: '1' },
  ],
  array: {
    can: [[1, 2, 3], [5], [2, 4, 6]],
    cannot: [
      [0, 1, 2],
      [1, 2, 4],
    ],
    maxArraySize: 75_000,
  },
}
