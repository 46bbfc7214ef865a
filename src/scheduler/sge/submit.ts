import { CompopsError, UnreadableError } from '../../errors.ts'
import type { ArrayDialect, JobRequest, Refusal } from '../dialect.ts'
import { directives } from './directives.ts'
import { show } from './values.ts'

/** Arguments of qsub behind `-terse`, one word each; sge_submit(1). The directives of the script are not read (`-C ''`), only these. */
export function submitArguments(request: JobRequest): string[] {
  if (request.dependsOn.length > 0)
    throw new CompopsError('Grid Engine waits for a job whatever its end (-hold_jid): the service waits instead')
  const log = `${request.directory}/scheduler.log`
  // [host:]path[,…] with variables: sge_submit(1), -o.
  if (/[:,$]/.test(`${log}${request.work}`))
    throw new CompopsError(
      `root: qsub -o reads : , and $ in ${show(request.directory)} otherwise: choose another directory`,
    )
  const { array } = request
  return [
    ...['-N', request.name],
    ...['-ac', `compops=${request.comment.replace(/[\0-\x1f\x7f,=]/g, ' ').slice(0, 250)}`],
    // Only what is said before our own log is open (start files, the fence) comes here.
    ...['-o', array === null ? log : `${log}.$TASK_ID`, '-j', 'y'],
    ...['-wd', request.work],
    // Else the queue chooses the shell, csh by default (sge_queue_conf(5), shell_start_mode).
    ...['-S', '/bin/bash'],
    ...['-r', request.spec.requeue ? 'y' : 'n'],
    ...(array === null ? [] : ['-t', taskRange(array.numbers)]),
    ...(array === null || array.throttle === null ? [] : ['-tc', String(array.throttle)]),
    ...directives(request.spec).flatMap(({ option }) => option.split(' ')),
  ]
}

/** `first-last:step`, which is all that Grid Engine knows; tasks count from 1. */
export const array: ArrayDialect = {
  variable: 'SGE_TASK_ID',
  canNumber: (tasks, size) => stepOf(tasks) !== null && (size === null || tasks.length <= size),
}

function stepOf(tasks: readonly number[]): number | null {
  const [first = 0, second] = tasks
  const step = second === undefined ? 1 : second - first
  const even = tasks.every((task, i) => Number.isSafeInteger(task) && task === first + i * step)
  return first >= 1 && step >= 1 && even ? step : null
}

function taskRange(numbers: readonly number[]): string {
  const step = stepOf(numbers)
  if (step === null) throw new CompopsError('tasks of a Grid Engine array are numbered from 1 in even steps')
  return `${numbers[0]}-${numbers.at(-1)}:${step}`
}

/** `-terse`: the id, of an array with `.1-10:1` behind it, alone on one line. */
export function readSubmit(answer: string): string {
  const ids = answer.split('\n').flatMap(line => /^(\d{1,10})(?:\.\d+-\d+:\d+)?$/.exec(line.trim())?.[1] ?? [])
  if (ids.length !== 1) throw new UnreadableError(`qsub did not answer with one job id: ${show(answer.trim())}`)
  return ids[0]!
}

/** What qsub's error text means, the first that occurs; seen on 8.1.9. In doubt a job may have been made (`unknown`): it is looked for by name. */
const meanings: readonly (readonly [string, Refusal])[] = [
  // No connection, so nothing was sent.
  ['Connection refused', 'transient'],
  ['unable to contact qmaster', 'transient'],
  ["can't resolve host name", 'transient'],
  // The request went out and the answer did not come.
  ['commlib error', 'unknown'],
  ['unable to send message to qmaster', 'unknown'],
  ['failed receiving gdi request', 'unknown'],
  ['timeout', 'unknown'],
  // max_u_jobs and max_jobs, sge_conf(5): room comes with time.
  ['jobs are allowed per', 'transient'],
  ['job rejected', 'refused'],
  ['Job was rejected', 'refused'],
  ['denied', 'refused'],
  ['no suitable queues', 'refused'],
  ['unknown resource', 'refused'],
  ['attribute "', 'refused'],
  ['not a valid object name', 'refused'],
  ['not allowed in objectname', 'refused'],
  ['invalid option argument', 'refused'],
  ['Unknown option', 'refused'],
  ['option must have argument', 'refused'],
  ['Numerical value invalid', 'refused'],
  ['Unable to read script file', 'refused'],
]

/** 25 is max_u_jobs or max_jobs (sge_submit(1), EXIT STATUS). Exit codes of timeout(1) and of signals say that qsub was ended, not that it was done; 126 and 127, that there is none (yet). */
export function judgeRefusal(rc: number, stderr: string): Refusal {
  if (rc === 124 || rc >= 128) return 'unknown'
  if (rc === 25) return 'transient'
  return meanings.find(([text]) => stderr.includes(text))?.[1] ?? (rc === 126 || rc === 127 ? 'transient' : 'unknown')
}

/** The same table as `case` patterns, for where the answer has to be remembered before anybody hears it. */
export const judgeInShell = `scheduler_judge() {
  _said=$(cat)
  if [ "$1" -eq 124 ] || [ "$1" -ge 128 ]; then echo unknown; return; fi
  if [ "$1" -eq 25 ]; then echo transient; return; fi
  case $_said in
${meanings.map(([text, kind]) => `    *"${text.replace(/["$`\\]/g, '\\$&')}"*) echo ${kind} ;;`).join('\n')}
    *) case $1 in 126 | 127) echo transient ;; *) echo unknown ;; esac ;;
  esac
}`
