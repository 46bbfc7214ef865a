import type { Dialect, PastRow } from '../dialect.ts'
import { readAccounting } from './accounting.ts'
import { slurmCapacity } from './capacity.ts'
import { allowedDirective, directives, readDirectives } from './directives.ts'
import { readFacts, readQueue } from './queue.ts'
import { reasonInWords } from './reasons.ts'
import { slurmShell } from './shell.ts'
import { judgeRefusal, readSubmit, submitArguments } from './submit.ts'

/** Slurm, 20.11 and later. Seen and recorded: 22.05.8. */
export const slurm: Dialect = {
  name: 'slurm',
  prefix: '#SBATCH',
  nativeId: /^\d{1,10}$/,
  nativeDependencies: true,
  excludesNodes: true,
  sendsSignals: true,
  pastWithoutAccounting: false,
  shell: slurmShell,
  // The id of an array is that of all its tasks; SLURM_JOB_ID is the raw id of one. sbatch(1), OUTPUT ENVIRONMENT VARIABLES.
  identify: `compops_index=\${SLURM_ARRAY_TASK_ID-}
compops_native=\${SLURM_ARRAY_JOB_ID:-\${SLURM_JOB_ID:-unknown}}
compops_restarts=\${SLURM_RESTART_COUNT:-0}
compops_nodes=\${SLURM_JOB_NODELIST-}
`,
  hooks: '',
  array: { variable: 'SLURM_ARRAY_TASK_ID', canNumber: (tasks, size) => size === null || (tasks.at(-1) ?? 0) < size },
  directives,
  readDirectives,
  allowedDirective,
  submitArguments,
  readSubmit,
  judgeRefusal,
  readFacts,
  readQueue,
  *readPast(text): Generator<PastRow> {
    for (const row of readAccounting(text)) yield { kind: 'accounting', row }
  },
  reasonInWords,
  capacity: slurmCapacity,
}
