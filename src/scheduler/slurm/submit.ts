import { CompopsError, UnreadableError } from '../../errors.ts'
import { writeTasks } from '../../model/array.ts'
import type { JobRequest, Refusal } from '../dialect.ts'
import { directives } from './directives.ts'
import { show } from './values.ts'

/**
 * Arguments of sbatch behind `--parsable`. The directives of the script are repeated here: variables of the account such as SBATCH_PARTITION
 * win over `#SBATCH` lines, and only arguments win over variables (sbatch(1), INPUT ENVIRONMENT VARIABLES).
 */
export function submitArguments(request: JobRequest): string[] {
  for (const id of request.dependsOn)
    if (!/^\d+$/.test(id)) throw new CompopsError(`${show(id)} is not a job id of Slurm to depend on`)
  return [
    `--job-name=${request.name}`,
    `--comment=${request.comment.replace(/[\0-\x1f\x7f]/g, ' ').slice(0, 250)}`,
    // Only what is said before our own log is open (start files, the fence) comes here; % begins a pattern of sbatch.
    `--output=${request.directory.replaceAll('%', '%%')}/scheduler.log${request.array === null ? '' : '.%a'}`,
    '--open-mode=append',
    `--chdir=${request.work}`,
    request.spec.requeue ? '--requeue' : '--no-requeue',
    // Else a job whose dependency failed would be gone before a poll can say why; the service cancels it itself.
    '--kill-on-invalid-dep=no',
    ...(request.dependsOn.length === 0 ? [] : [`--dependency=afterok:${request.dependsOn.join(':')}`]),
    ...(request.array === null ? [] : [`--array=${writeArray(request.array)}`]),
    ...directives(request.spec).map(({ option }) => option),
  ]
}

function writeArray({ numbers, throttle }: NonNullable<JobRequest['array']>): string {
  return `${writeTasks(numbers)}${throttle === null ? '' : `%${throttle}`}`
}

/** `--parsable`: the id, in a federation with `;cluster` behind it, alone on one line. */
export function readSubmit(answer: string): string {
  const ids = answer.split('\n').flatMap(line => /^(\d+)(?:;[\w.-]+)?$/.exec(line.trim())?.[1] ?? [])
  if (ids.length !== 1) throw new UnreadableError(`sbatch did not answer with one job id: ${show(answer.trim())}`)
  return ids[0]!
}

/**
 * What sbatch's error text means, the first that occurs. In doubt a job may have been made (`unknown`): it is looked for by name.
 * Texts from slurm_errno.c and recorded on 22.05.
 */
const meanings: readonly (readonly [string, Refusal])[] = [
  // The request went out and the answer did not come.
  ['Socket timed out', 'unknown'],
  ['Zero Bytes were transmitted or received', 'unknown'],
  ['Unexpected message received', 'unknown'],
  ['Message receive failure', 'unknown'],
  ['Header lengths are longer than data received', 'unknown'],
  // Nothing was sent, or the controller said "not now".
  ['Unable to contact slurm controller', 'transient'],
  ['Unable to establish controller machine', 'transient'],
  ['Connection refused', 'transient'],
  ['Slurm controller not responding', 'transient'],
  ['in standby mode', 'transient'],
  ['Slurm temporarily unable to accept job', 'transient'],
  ['Slurmctld temporarily', 'transient'],
  ['temporarily unable to accept job', 'transient'],
  ['Resource temporarily unavailable', 'transient'],
  ['Transport endpoint', 'transient'],
  ['RPC limit exceeded', 'transient'],
  ['Munge', 'transient'],
  ['munge', 'transient'],
  ['Protocol authentication error', 'transient'],
  // Its own words for "you have too many": room comes with time.
  ['QOSMaxSubmitJobPerUserLimit', 'transient'],
  ['AssocMaxSubmitJobLimit', 'transient'],
  ['AssocGrpSubmitJobsLimit', 'transient'],
  ['QOSGrpSubmitJobsLimit', 'transient'],
  ['QOSMaxSubmitJobPerAccountLimit', 'transient'],
  ['Batch job submission failed', 'refused'],
  ['This does not look like a batch script', 'refused'],
  ['Batch script contains DOS line breaks', 'refused'],
  ['Batch script is empty', 'refused'],
  ['Unable to open file', 'refused'],
  ['Invalid ', 'refused'],
  ['invalid ', 'refused'],
  ['unrecognized option', 'refused'],
  ['requires an argument', 'refused'],
  ['ambiguous', 'refused'],
]

/** Exit codes of timeout(1) and of signals say that sbatch was ended, not that it was done; 126 and 127, that there is none (yet). */
export function judgeRefusal(rc: number, stderr: string): Refusal {
  if (rc === 124 || rc >= 128) return 'unknown'
  return meanings.find(([text]) => stderr.includes(text))?.[1] ?? (rc === 126 || rc === 127 ? 'transient' : 'unknown')
}

/** The same table as `case` patterns, for where the answer has to be remembered before anybody hears it. */
export const judgeInShell = `scheduler_judge() {
  _said=$(cat)
  if [ "$1" -eq 124 ] || [ "$1" -ge 128 ]; then echo unknown; return; fi
  case $_said in
${meanings.map(([text, kind]) => `    *'${text}'*) echo ${kind} ;;`).join('\n')}
    *) case $1 in 126 | 127) echo transient ;; *) echo unknown ;; esac ;;
  esac
}`
