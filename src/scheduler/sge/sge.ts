import type { Dialect, PastRow } from '../dialect.ts'
import { readAccounting } from './accounting.ts'
import { readDirectives } from './batch.ts'
import { sgeCapacity } from './capacity.ts'
import { allowedDirective, directives } from './directives.ts'
import { readFacts, readQueue } from './queue.ts'
import { sgeShell } from './shell.ts'
import { reasonInWords } from './states.ts'
import { array, judgeRefusal, readSubmit, submitArguments } from './submit.ts'

/** Grid Engine. Seen and recorded: Son of Grid Engine 8.1.9. */
export const sge: Dialect = {
  name: 'sge',
  prefix: '#$',
  nativeId: /^\d{1,10}$/,
  // -hold_jid waits for the end of a job, whatever it was; there is no afterok.
  nativeDependencies: false,
  excludesNodes: true,
  pastWithoutAccounting: false,
  shell: sgeShell,
  // Which shells are started as login shells is the cell's choice (login_shells, sge_conf(5)), and the first line is read only in one mode of
  // two (shell_start_mode). SGE_TASK_ID is `undefined` outside arrays; RESTARTED is 0 or 1.
  identify: `shopt -q login_shell || [ ! -r "\${BASH_SOURCE-}" ] || exec "$BASH" -l "$BASH_SOURCE"
compops_index=\${SGE_TASK_ID-}
[ "$compops_index" != undefined ] || compops_index=
compops_native=\${JOB_ID:-unknown}
compops_restarts=\${RESTARTED:-0}
compops_nodes=\${HOSTNAME-}
if [ -r "\${PE_HOSTFILE-}" ]; then compops_nodes=$(command awk '{ print $1 }' "$PE_HOSTFILE" | command paste -sd, -); fi
`,
  // To Grid Engine an exit code of 99 means "start it again", with -r n too and for ever, and 100 "hold it in error" (sge_shepherd(8)). The exit
  // file has the true code.
  hooks: `trap 'case $? in 99 | 100) exit 1 ;; esac' EXIT
`,
  array,
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
  capacity: sgeCapacity,
}
