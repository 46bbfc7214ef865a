import { CompopsError, UnreadableError } from '../../errors.ts'
import type { JobRequest, Refusal } from '../dialect.ts'
import { directives } from './directives.ts'
import { jobId, show } from './values.ts'

/**
 * Arguments of qsub(1B). The directives of the script are repeated here: a site's default_qsub_arguments come before both, and arguments win over
 * `#PBS` lines. A name may have 230 characters (236 before 19; 15 ended with PBS Professional 12), none a blank; ours has 44.
 */
export function submitArguments(request: JobRequest): string[] {
  for (const id of request.dependsOn)
    if (!jobId.test(id)) throw new CompopsError(`${show(id)} is not a job id of PBS to depend on`)
  const options = directives(request.spec).map(({ option }) => option)
  return [
    '-N',
    request.name,
    // Else the account's login shell would read start files of its own before our script: tcsh, fish …
    '-S',
    '/bin/bash',
    // Only what is said before our own log is open (start files, the fence) comes here. PBS copies it at the end, where it can.
    '-j',
    'oe',
    '-o',
    outputPath(request),
    // PBS refuses "non-rerunable" arrays; their tasks are kept by the fence, as every copy is.
    ...(request.array === null ? ['-r', request.spec.requeue ? 'y' : 'n'] : ['-J', writeArray(request.array)]),
    // Else each job that is deleted writes a mail to the account of the service.
    ...(options.some(option => option.startsWith('-m ')) ? [] : ['-m', 'n']),
    ...(request.dependsOn.length === 0 ? [] : ['-W', `depend=afterok:${request.dependsOn.join(':')}`]),
    ...options.flatMap(option => [option.slice(0, 2), ...(option.length > 2 ? [option.slice(3)] : [])]),
  ]
}

/**
 * Before a `:` may stand a host, but no host holds a `/`: an absolute path is a path, whatever else it holds. Beyond ASCII qsub refuses it;
 * then what was said early is not kept.
 */
function outputPath({ directory, array }: JobRequest): string {
  if (!/^[\x20-\x7e]+$/.test(directory)) return '/dev/null'
  return `${directory}/scheduler.log${array === null ? '' : '.^array_index^'}`
}

/** `X-Y[:Z][%N]`. One task alone cannot be said (X must be less than Y), but one step beyond the end can. */
function writeArray({ numbers, throttle }: NonNullable<JobRequest['array']>): string {
  if (!isProgression(numbers)) throw new CompopsError('PBS numbers the tasks of an array only with equal steps')
  const [first = 0, second = first + 2] = numbers
  const step = second - first
  const last = numbers.length === 1 ? first + 1 : numbers.at(-1)!
  return `${first}-${last}${step === 1 ? '' : `:${step}`}${throttle === null ? '' : `%${throttle}`}`
}

/** Whether these numbers, ascending, have equal steps: PBS knows no lists. */
export function isProgression(numbers: readonly number[]): boolean {
  const [first, second] = numbers
  if (first === undefined || first < 0) return false
  const step = second === undefined ? 1 : second - first
  return step > 0 && numbers.every((number, i) => Number.isSafeInteger(number) && number === first + i * step)
}

/** The id, of an array with `[]`, alone on one line. */
export function readSubmit(answer: string): string {
  const ids = answer.split('\n').flatMap(line => (jobId.test(line.trim()) ? [line.trim()] : []))
  if (ids.length !== 1) throw new UnreadableError(`qsub did not answer with one job id: ${show(answer.trim())}`)
  return ids[0]!
}

/**
 * What qsub's error text means, the first that occurs. In doubt a job may have been made (`unknown`): it is looked for by name.
 * Texts of OpenPBS' svr_messages.c and qsub.c, and recorded on 23.06.
 */
const meanings: readonly (readonly [string, Refusal])[] = [
  ['cannot connect to server', 'transient'],
  ['Server shutting down', 'transient'],
  ['Server is shutting down', 'transient'],
  ['No space left on device', 'transient'],
  ['could not create/open tmp file', 'transient'],
  ['error writing copy of script', 'transient'],
  ['Try the request again later', 'transient'],
  // Room comes with time, and a queue is opened again.
  ['Maximum number of jobs', 'transient'],
  ['would exceed', 'transient'],
  ['Queue is not enabled', 'transient'],
  // Its own words for what will not get better.
  ['illegal -', 'refused'],
  ['usage: qsub', 'refused'],
  ['script file::', 'refused'],
  ['cannot submit non-rerunable Array Job', 'refused'],
  ['array size exceeded', 'refused'],
  ['Resource invalid in "select"', 'refused'],
  ['invalid as job wide', 'refused'],
  ['Finished job did not satisfy dependency', 'refused'],
]

/**
 * Exit codes of qsub are the server's error numbers (pbs_error.h) as far as a byte carries them: 15018, no such queue, is 170. With these the
 * server has said no, or "not now", and has made no job.
 */
const codes: Readonly<Record<number, Refusal>> = {
  // PBSE_HOOKERROR: a hook of the site said no, in its own words.
  32: 'refused',
  // PBSE_ENTLIMCT, PBSE_ENTLIMRESC: the limits of a person, a group, a project.
  38: 'transient',
  39: 'transient',
  // PBSE_NOATTR, _ATTRRO, _PERM, _BADHOST, _BADATVAL
  154: 'refused',
  155: 'refused',
  159: 'refused',
  160: 'refused',
  166: 'refused',
  // PBSE_UNKQUE; _QUNOENB, opened again later; _QACESS, _BADUSER
  170: 'refused',
  173: 'transient',
  174: 'refused',
  175: 'refused',
  // PBSE_NOCONNECTS, _NOSERVER
  185: 'transient',
  186: 'transient',
  // PBSE_UNKRESC, _EXCQRESC, _QUENODFLT, _ROUTEREJ
  187: 'refused',
  188: 'refused',
  189: 'refused',
  191: 'refused',
  // PBSE_RESCUNAV; _BADGRP; _MAXQUED; _EXLIMIT, _BADACCT; _BADDEPEND; _SVRDOWN
  196: 'transient',
  197: 'refused',
  198: 'transient',
  201: 'refused',
  206: 'refused',
  212: 'transient',
}

/** 124 is timeout(1), 126 and 127 that there is no qsub (yet), and up to 151 signals: then it was ended, and not done. */
export function judgeRefusal(rc: number, stderr: string): Refusal {
  if (rc === 124 || (rc >= 128 && rc < 152)) return 'unknown'
  if (rc === 126 || rc === 127) return 'transient'
  return meanings.find(([text]) => stderr.includes(text))?.[1] ?? codes[rc] ?? 'unknown'
}

const codesOf = (meaning: Refusal) =>
  Object.keys(codes)
    .filter(code => codes[Number(code)] === meaning)
    .join(' | ')

/** The same tables as `case` patterns, for where the answer has to be remembered before anybody hears it. */
export const judgeInShell = `scheduler_judge() {
  _said=$(cat)
  case $1 in
    124 | 12[89] | 13? | 14? | 15[01]) echo unknown; return ;;
    126 | 127) echo transient; return ;;
  esac
  case $_said in
${meanings.map(([text, kind]) => `    *'${text}'*) echo ${kind} ;;`).join('\n')}
    *) case $1 in ${codesOf('refused')}) echo refused ;; ${codesOf('transient')}) echo transient ;; *) echo unknown ;; esac ;;
  esac
}`
