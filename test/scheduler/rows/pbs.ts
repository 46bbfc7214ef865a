import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { asDsv } from '../pbs/recorded.ts'
import { recorded } from '../recorded.ts'
import { type DialectRow, ourName } from './row.ts'

const line = (id: string, state: string, name: string, more: readonly string[] = []) =>
  `\x1e${[id, `Job_Name=${name}`, `job_state=${state}`, 'queue=workq', 'ctime=Fri Nov 20 12:01:27 2026', ...more].join('\x1f')}\n`
const whole = (...lines: string[]) => `PBS ${lines.length}\n${lines.join('')}\x1eend 0\n`
const empty = 'PBS 0\n\x1eend 0\n\x1d'

const queue = (name: string, state: string, limit: number | null) => ({
  ...{ name, state, open: state === 'open', limit, nodes: null, cores: null },
  waiting: { jobs: 0, cores: null },
})

export const pbsRow: DialectRow = {
  dialect: pbs,
  programs: ['qsub', 'qstat', 'qselect', 'qdel', 'pbsnodes'],
  nativeIds: ['12.vm', '12[].vm', '7.pbs_server-1.example.org'],
  accepted: [
    { answer: '12.vm\n', id: '12.vm' },
    { answer: '19[].vm\n', id: '19[].vm' },
    { answer: '*** your project has 12 % of its hours left ***\n12.vm\n', id: '12.vm' },
  ],
  judged: [
    { rc: 170, stderr: 'qsub: Unknown queue\n', meaning: 'refused' },
    { rc: 32, stderr: "qsub: it's a hook of the site that says no\n", meaning: 'refused' },
    { rc: 162, stderr: 'Connection refused\nqsub: cannot connect to server vm (errno=15010)\n', meaning: 'transient' },
    { rc: 38, stderr: "qsub: would exceed complex's per-user limit of jobs in 'Q' state\n", meaning: 'transient' },
    { rc: 183, stderr: 'qsub: Batch protocol error\n', meaning: 'unknown' },
  ],
  queue: {
    listed: whole(
      line('8.vm', 'Q', ourName(8)),
      line('9.vm', 'R', 'a "stranger"'),
      line('7.vm', 'R', ourName(7), ['exec_host=vm/0']),
    ),
    rows: [
      [ourName(8), 'queued'],
      [ourName(7), 'running'],
    ],
    empty: `${empty}${asDsv('23.06-qstat-Bf.json')}`,
    silent: [empty, `${empty}Server: vm\x1fserver_state=Terminating\n`, 'PBS 0\n', 'PBS 3\n'],
    unheardOf: whole(line('8.vm', '?', ourName(8))),
  },
  past: {
    ended: whole(line('7.vm', 'F', ourName(7), ['exec_host=vm/0', 'substate=93', 'Exit_status=3'])),
    name: ourName(7),
    // qstat -x of an unknown id: no row, and 153.
    unknown: 'PBS 1\n\x1eend 153\n',
  },
  facts: asDsv('23.06-qstat-Bf.json'),
  capacity: {
    printed: [
      ['qstat -Q -f -F json', recorded('pbs/23.06-qstat-Qf.json')],
      ['pbsnodes -a -F json', recorded('pbs/23.06-pbsnodes.json')],
    ],
    told: {
      queues: [queue('workq', 'open', null), queue('held', 'stopped', null), queue('short', 'open', 60)],
      waiting: { jobs: 0, cores: null },
      nodes: { idle: 1 },
      cores: { total: 4, free: 4 },
      gpus: [],
    },
  },
  resources: [
    {
      partition: 'workq',
      account: 'physics',
      time: 5_400,
      nodes: 2,
      ntasks_per_node: 4,
      cpus_per_task: 4,
      mem: 16_384,
    },
    { ntasks: 8, cpus_per_task: 2, mem_per_cpu: 2_000, exclusive: true, nice: 10 },
    { nodes: 2, ntasks_per_node: 2, gpus_per_node: { type: null, count: 4 } },
  ],
  allowed: ['-P heat', '-l software=x'],
  never: ['-o x', '-N x', '-J 1-3', '-W depend=afterok:1', '-h', '-I', '-V', '--nodes=2'],
  // Starts are counted in a file of the attempt's directory (test/scheduler/pbs/shell.test.ts); here is none.
  identified: [
    { env: { PBS_JOBID: '12.vm', compops_dir: '/nonexistent' }, native: '12.vm', index: '', restarts: '0' },
    {
      env: { PBS_JOBID: '12[3].vm', PBS_ARRAY_INDEX: '3', compops_dir: '/nonexistent' },
      native: '12[].vm',
      index: '3',
      restarts: '0',
    },
  ],
  array: {
    can: [[0, 1, 2], [5], [1, 3, 5]],
    cannot: [
      [0, 1, 3],
      [0, 1, 2, 3],
    ],
    maxArraySize: 3,
  },
}
