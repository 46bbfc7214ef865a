import { accountingColumns } from '../../../src/scheduler/slurm/accounting.ts'
import { slurm } from '../../../src/scheduler/slurm/slurm.ts'
import { recorded } from '../recorded.ts'
import { type DialectRow, ourName } from './row.ts'

const head = '\x1eJOBID\x1fSTATE\x1fREASON\x1fPARTITION\x1fSUBMIT_TIME\x1fSTART_TIME\x1fEND_TIME\x1fNODELIST\x1fNAME\n'
const line = (id: string, state: string, name: string) =>
  `\x1e${id}\x1f${state}\x1fNone\x1fmain\x1f2026-11-20T12:27:45\x1f2026-11-20T12:27:47\x1fN/A\x1fn1\x1f${name}\n`
const ended: Partial<Record<(typeof accountingColumns)[number], string>> = {
  JobID: '7',
  State: 'FAILED',
  ExitCode: '3:0',
  JobName: ourName(7),
}

export const slurmRow: DialectRow = {
  dialect: slurm,
  programs: ['sbatch', 'squeue', 'sacct', 'scontrol', 'scancel', 'sinfo'],
  nativeIds: ['36', '4711000'],
  accepted: [
    { answer: '36\n', id: '36' },
    { answer: '36;falcon\n', id: '36' },
    { answer: 'sbatch: your project has 12 % of its hours left\n36\n', id: '36' },
  ],
  judged: [
    {
      rc: 1,
      stderr: 'sbatch: error: Batch job submission failed: Invalid partition name specified',
      meaning: 'refused',
    },
    { rc: 1, stderr: 'sbatch: error: Batch job submission failed: Socket timed out', meaning: 'unknown' },
    { rc: 1, stderr: 'sbatch: error: Slurm temporarily unable to accept job', meaning: 'transient' },
  ],
  queue: {
    listed: `${head}${line('8', 'PENDING', ourName(8))}${line('9', 'RUNNING', 'a "stranger"')}${line('7', 'FAILED', ourName(7))}`,
    rows: [
      [ourName(8), 'queued'],
      [ourName(7), 'ended'],
    ],
    empty: `${head}\x1dSlurmctld(primary) at vm is UP\n`,
    silent: [head, `${head}\x1d`, `${head}\x1dSlurmctld(primary) at vm is DOWN\n`],
    unheardOf: `${head}${line('8', 'QUANTUM', ourName(8))}`,
  },
  past: {
    ended: `${accountingColumns.map(column => ended[column] ?? '').join('\x1f')}\n`,
    name: ourName(7),
    // sacct of an unknown id exits 0 and says nothing.
    unknown: '',
  },
  facts: recorded('slurm/22.05-scontrol-config.txt'),
  capacity: {
    printed: [
      ['sinfo -h -o ', recorded('slurm/22.05-sinfo-partitions-node-down.txt')],
      ['sinfo -h -N ', recorded('slurm/22.05-sinfo-nodes-node-down.txt')],
      ['squeue -t PD ', recorded('slurm/22.05-squeue-waiting-node-down.txt')],
      // As scontrol(1) prints it.
      [
        'scontrol show reservation -o',
        'ReservationName=maint StartTime=2026-11-21T08:00:00 EndTime=2026-11-21T12:00:00 Duration=04:00:00 Nodes=n[1-4] NodeCnt=4 CoreCnt=32 Features=(null) PartitionName=(null) Flags=MAINT,SPEC_NODES TRES=cpu=32 Users=root Groups=(null) Accounts=(null) Licenses=(null) State=INACTIVE BurstBuffer=(null) Watts=n/a MaxStartDelay=(null)\n',
      ],
    ],
    told: {
      queues: [
        {
          ...{ name: 'main', open: true, state: 'up', limit: 86_400, nodes: { total: 4, free: 2 } },
          ...{ cores: { total: 32, free: 22 }, waiting: { jobs: 11, cores: 109 } },
        },
        {
          ...{ name: 'short', open: true, state: 'up', limit: 300, nodes: { total: 4, free: 2 } },
          ...{ cores: { total: 32, free: 22 }, waiting: { jobs: 0, cores: 0 } },
        },
        {
          ...{ name: 'gpu', open: true, state: 'up', limit: 86_400, nodes: { total: 2, free: 2 } },
          ...{ cores: { total: 32, free: 32 }, waiting: { jobs: 0, cores: 0 } },
        },
        {
          ...{ name: 'low', open: true, state: 'up', limit: 86_400, nodes: { total: 6, free: 4 } },
          ...{ cores: { total: 64, free: 54 }, waiting: { jobs: 0, cores: 0 } },
        },
      ],
      nodes: { idle: 4, mixed: 1, down: 1 },
      cores: { total: 64, free: 54 },
      gpus: [{ type: 'a100', total: 8, free: 8 }],
      waiting: { jobs: 11, cores: 109 },
      reservations: [
        {
          ...{ name: 'maint', maintenance: true, nodes: 4 },
          ...{ from: '2026-11-21T08:00:00.000Z', to: '2026-11-21T12:00:00.000Z' },
        },
      ],
    },
  },
  resources: [
    { partition: 'main', account: 'physics', time: 5_400, nodes: 2, ntasks: 8, cpus_per_task: 4, mem: 16_384 },
    { gpus: { type: 'a100', count: 2 }, mem_per_cpu: 2_000, exclusive: true, licenses: 'ansys:2', nice: 10 },
  ],
  allowed: ['--hint=nomultithread'],
  never: ['--output=x', '--job-name=x', '--array=1-3', '--dependency=afterok:1', '--hold'],
  identified: [
    { env: { SLURM_JOB_ID: '36' }, native: '36', index: '', restarts: '0' },
    {
      env: { SLURM_JOB_ID: '41', SLURM_ARRAY_JOB_ID: '36', SLURM_ARRAY_TASK_ID: '4', SLURM_RESTART_COUNT: '2' },
      native: '36',
      index: '4',
      restarts: '2',
    },
  ],
  array: { can: [[0, 1, 2], [5], [1, 7, 900]], cannot: [[0, 1001]], maxArraySize: 1001 },
}
