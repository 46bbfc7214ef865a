import type { Dialect, PastRow } from '../dialect.ts'
import { lsfCapacity } from './capacity.ts'
import { allowedDirective, directives, readDirectives } from './directives.ts'
import { readHistory } from './history.ts'
import { readFacts, readQueue } from './queue.ts'
import { reasonInWords } from './reasons.ts'
import { lsfShell } from './shell.ts'
import { canNumber, judgeRefusal, readSubmit, submitArguments } from './submit.ts'

/** IBM Spectrum LSF 10.1, and LSF-compatible systems that know fewer options and fields. Seen and recorded: volclava 2.2. */
export const lsf: Dialect = {
  name: 'lsf',
  prefix: '#BSUB',
  nativeId: /^[1-9]\d{0,9}$/,
  nativeDependencies: true,
  excludesNodes: true,
  pastWithoutAccounting: false,
  shell: lsfShell,
  // The id of an array is that of all its tasks, and LSB_JOBINDEX is 0 where there are none; LSB_RESTART says Y when it was started again
  // (IBM Spectrum LSF 10.1, "Environment variables set for job execution").
  identify: `compops_native=\${LSB_JOBID:-unknown}
compops_index=\${LSB_JOBINDEX:-0}
[ "$compops_index" != 0 ] || compops_index=
case \${LSB_RESTART-} in [Yy]*) compops_restarts=1 ;; *) compops_restarts=0 ;; esac
compops_nodes=\${LSB_MCPU_HOSTS:-\${LSB_HOSTS-}}
`,
  hooks: '',
  array: { variable: 'LSB_JOBINDEX', canNumber },
  directives,
  readDirectives,
  allowedDirective,
  submitArguments,
  readSubmit,
  judgeRefusal,
  readFacts,
  readQueue,
  *readPast(text): Generator<PastRow> {
    for (const row of readHistory(text)) yield { kind: 'accounting', row }
  },
  reasonInWords,
  capacity: lsfCapacity,
}
