import { local } from '../../../src/scheduler/local.ts'
import { type DialectRow, ourName } from './row.ts'

const head = '\x1eID\x1fSTATE\x1fTASKS\x1fNEXT\x1fNAME\n'

export const localRow: DialectRow = {
  dialect: local,
  programs: [],
  nativeIds: ['4711.88231', '4711.FriNov20120334'],
  accepted: [{ answer: '4711.88231\n', id: '4711.88231' }],
  judged: [{ rc: 1, stderr: 'sh: cannot fork', meaning: 'transient' }],
  queue: {
    listed: `${head}\x1e4711.88231\x1fRUNNING\x1f\x1f\x1f${ourName(8)}\n\x1e4712.88240\x1fSTOPPED\x1f\x1f\x1f${ourName(7)}\n\x1e4713.88250\x1fWAITING\x1f0-9\x1f4\x1f${ourName(6)}\n\x1e4713.88250\x1fRUNNING\x1f3\x1f\x1f${ourName(6)}\n`,
    rows: [
      [ourName(8), 'running'],
      [ourName(7), 'suspended'],
      [ourName(6), 'queued'],
      [ourName(6), 'running'],
    ],
    // Our own list of processes is its own proof.
    empty: head,
    silent: [],
    unheardOf: null,
  },
  past: {
    ended: `4711.88231\x1f${ourName(7)}\x1ftimeout\x1f1764000000\n`,
    name: ourName(7),
    unknown: '',
  },
  facts: 'local Linux 6.1.0\n',
  capacity: null,
  resources: [],
  allowed: [],
  never: ['--output=x', '-o x'],
  identified: [{ env: {}, native: null, index: '', restarts: '0' }],
  array: { can: [[0, 1, 2], [5]], cannot: [], maxArraySize: null },
}
