import type { Dialect, PastRow } from '../dialect.ts'
import { readHistory } from './accounting.ts'
import { readDirectives } from './batch-script.ts'
import { pbsCapacity } from './capacity.ts'
import { allowedDirective, directives } from './directives.ts'
import { readFacts, readQueue } from './queue.ts'
import { reasonInWords } from './reasons.ts'
import { pbsShell } from './shell.ts'
import { isProgression, judgeRefusal, readSubmit, submitArguments } from './submit.ts'
import { jobId } from './values.ts'

/** OpenPBS and PBS Professional, 18.1 and later (`qstat -F`). Seen and recorded: OpenPBS 23.06. Torque is another language. */
export const pbs: Dialect = {
  name: 'pbs',
  prefix: '#PBS',
  nativeId: jobId,
  // PBS deletes a job the moment what it depends on has failed, and also when that has been forgotten (recorded: 20 and 23 of qstat -x are F at
  // once). That end could not be told from others, and a held job gains no waiting time anyway: the service waits instead.
  nativeDependencies: false,
  pastWithoutAccounting: false,
  // qselect chooses the account's jobs on the server, qstat -f tells about them; qstat -u, which would do both, cuts their names.
  commandsPerLook: 2,
  shell: pbsShell,
  // A subjob is `12[3].server` and belongs to `12[].server` (qsub(1B), ENVIRONMENT VARIABLES). PBS tells no job how often it was started: our
  // own starts are counted.
  identify: `compops_index=\${PBS_ARRAY_INDEX-}
compops_native=\${PBS_JOBID:-unknown}
case $compops_native in *'['*) compops_native="\${compops_native%%[[]*}[]\${compops_native#*]}" ;; esac
compops_restarts=0
if printf '%s\\n' "$compops_native" >>"$compops_dir/starts.\${compops_index:-0}"; then
  compops_restarts=$(command grep -Fxc -- "$compops_native" "$compops_dir/starts.\${compops_index:-0}")
  compops_restarts=$((compops_restarts - 1))
fi 2>/dev/null
compops_nodes=$(command sort -u -- "\${PBS_NODEFILE:-/dev/null}" 2>/dev/null | command tr '\\n' ' ')
`,
  hooks: '',
  array: {
    variable: 'PBS_ARRAY_INDEX',
    canNumber: (tasks, size) => isProgression(tasks) && (size === null || tasks.length <= size),
  },
  directives,
  readDirectives,
  allowedDirective,
  submitArguments,
  readSubmit,
  judgeRefusal,
  readFacts,
  readQueue,
  *readPast(text): Generator<PastRow> {
    // Nobody was asked for.
    if (text === '') return
    for (const row of readHistory(text)) yield { kind: 'accounting', row }
  },
  reasonInWords,
  capacity: pbsCapacity,
}
