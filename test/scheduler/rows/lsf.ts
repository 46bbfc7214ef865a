import { lsf } from '../../../src/scheduler/lsf/lsf.ts'
import { recorded } from '../recorded.ts'
import { type DialectRow, ourName } from './row.ts'

const bparams = recorded('lsf/volclava-2.2-lsid-bparams.txt')
const head = (form: string) => `LSF ${form} 2026-11-20T12:30:00Z\n`
const record = (JOBID: string, STAT: string, JOB_NAME: string, more: Record<string, string> = {}) => ({
  JOBID,
  JOBINDEX: '0',
  STAT,
  QUEUE: 'normal',
  JOB_NAME,
  EXEC_HOST: 'n1',
  SUBMIT_TIME: 'Nov 20 11:49',
  START_TIME: 'Nov 20 11:50',
  FINISH_TIME: '',
  EXIT_CODE: '',
  EXIT_REASON: '',
  PEND_REASON: '',
  ...more,
})
/** As bjobs of IBM Spectrum LSF 10.1 prints it. */
const json = (...records: object[]) =>
  `${JSON.stringify({ COMMAND: 'bjobs', JOBS: records.length, RECORDS: records }, null, 2)}\n`

const queue = (name: string, state: string, cores: number) => ({
  ...{ name, state, open: state === 'Open:Active', limit: null, nodes: null, cores: null },
  waiting: { jobs: null, cores },
})

export const lsfRow: DialectRow = {
  dialect: lsf,
  programs: ['bsub', 'bjobs', 'bhist', 'bacct', 'bkill', 'bparams', 'lsid', 'bqueues', 'bhosts'],
  nativeIds: ['36', '1'],
  accepted: [
    { answer: 'Job <36> is submitted to default queue <normal>.\n', id: '36' },
    { answer: 'Job <37> is submitted to queue <gpu>.\n', id: '37' },
    { answer: 'esub: project physics is charged\nJob <9> is submitted to queue <short>.\n', id: '9' },
  ],
  judged: [
    { rc: 255, stderr: 'nosuch: No such queue. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'short: Queue has been closed. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'Too many processors requested. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'User permission denied. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: '0:0:30: Bad RUNLIMIT specification. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'normal: Queue does not accept EXCLUSIVE jobs. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'No command is specified. Job not submitted.', meaning: 'refused' },
    { rc: 255, stderr: 'bsub: illegal option -- Z\nUsage: bsub [-h]', meaning: 'refused' },
    // What it was to wait for is over and forgotten.
    { rc: 255, stderr: '36: No matching job found. Job not submitted.', meaning: 'transient' },
    { rc: 255, stderr: 'lsb_init: Failed in an LSF library call: Unable to open file lsf.conf', meaning: 'transient' },
    { rc: 255, stderr: 'Pending job threshold reached. Retrying in 60 seconds...', meaning: 'transient' },
    { rc: 255, stderr: 'Failed in sending/receiving a message: Connection reset by peer', meaning: 'unknown' },
    { rc: 124, stderr: 'batch system daemon not responding ... still trying', meaning: 'unknown' },
    { rc: 0, stderr: 'Job <45> is submitted to default queue <normal>.', meaning: 'unknown' },
    { rc: 127, stderr: 'timeout: failed to run command bsub: No such file or directory', meaning: 'transient' },
  ],
  queue: {
    listed: `${head('full')}Cannot connect to LSF. Please wait ...\n${json(
      record('8', 'PEND', ourName(8), {
        EXEC_HOST: '',
        START_TIME: '',
        PEND_REASON: 'Job slot limit reached: 1 host;',
      }),
      record('9', 'RUN', 'a "stranger" {'),
      record('7', 'EXIT', ourName(7), { EXIT_CODE: '3' }),
      record('6', 'UNKWN', ourName(6)),
      record('5', 'PSUSP', ourName(5), { EXEC_HOST: '', START_TIME: '-' }),
      record('4', 'SSUSP', ourName(4)),
    )}`,
    rows: [
      [ourName(8), 'queued'],
      [ourName(7), 'ended'],
      [ourName(6), 'completing'],
      [ourName(5), 'held'],
      [ourName(4), 'suspended'],
    ],
    empty: `${head('none')}Job <compops-*> is not found\n\x1dping\n${bparams}`,
    silent: [
      `${head('none')}Job <compops-*> is not found\n`,
      `${head('full')}${json()}\x1dping\nbatch system daemon not responding ... still trying\n`,
      `${head('wide')}JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n`,
    ],
    unheardOf: `${head('full')}${json(record('8', 'QUANTUM', ourName(8)))}`,
  },
  past: {
    ended: `LSF past 2026-11-20T12:30:00Z\n${recorded('lsf/volclava-2.2-bhist-exit-3.txt')}`,
    name: ourName(5),
    unknown: `LSF past 2026-11-20T12:30:00Z\n${recorded('lsf/volclava-2.2-bhist-unknown.txt')}`,
  },
  facts: bparams,
  capacity: {
    printed: [
      ['bqueues -w', recorded('lsf/volclava-2.2-bqueues-wide-inactive.txt')],
      ['bhosts -w', recorded('lsf/volclava-2.2-bhosts-wide.txt')],
    ],
    told: {
      queues: [queue('short', 'Open:Inact', 1), queue('tight', 'Open:Active', 0), queue('normal', 'Open:Active', 2)],
      waiting: { jobs: null, cores: 3 },
      nodes: { idle: 1 },
      cores: { total: 4, free: 4 },
    },
  },
  resources: [
    { partition: 'normal', account: 'physics', time: 5_400, ntasks: 8, mem: 16_384 },
    {
      ntasks: 16,
      ntasks_per_node: 4,
      gpus_per_node: { type: 'a100', count: 2 },
      exclusive: true,
      reservation: 'user1@1',
    },
    { nodes: 1, ntasks: 4, mem_per_cpu: 2_000 },
  ],
  allowed: ['-app matlab', '-sp 50', '-R "select[type==any]"', '-B'],
  never: [
    '-o x',
    '-J x',
    '-J "x[1-3]"',
    '-w "done(1)"',
    '-H',
    '-K',
    '-Is',
    '-env all',
    '-app',
    '-x 1',
    '-app a -o b',
    '-R "a$(id)"',
  ],
  identified: [
    { env: { LSB_JOBID: '36', LSB_JOBINDEX: '0', LSB_HOSTS: 'n1 n1' }, native: '36', index: '', restarts: '0' },
    { env: { LSB_JOBID: '36', LSB_JOBINDEX: '4', LSB_RESTART: 'Y' }, native: '36', index: '4', restarts: '1' },
  ],
  array: {
    can: [[1, 2, 3], [5], [1, 7, 900]],
    cannot: [[0, 1], [1, 1001], Array.from({ length: 200 }, (_, i) => i * i + 1)],
    maxArraySize: 1000,
  },
}
