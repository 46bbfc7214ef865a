import { CompopsError, UnreadableError } from '../../errors.ts'
import { writeTasks } from '../../model/array.ts'
import type { JobRequest, Refusal } from '../dialect.ts'
import { rawOption } from './directives.ts'
import { type BsubOption, bsubOptions } from './resources.ts'
import { show } from './values.ts'

/**
 * Arguments of bsub. The `#BSUB` lines of the script are there for people: what counts are these, since variables of the account (LSB_DEFAULTQUEUE,
 * LSB_DEFAULTPROJECT) give way to arguments, and since bsub would merge `-R` of both (bsub(1)).
 */
export function submitArguments(request: JobRequest): string[] {
  for (const id of request.dependsOn)
    if (!/^[1-9]\d{0,9}$/.test(id)) throw new CompopsError(`${show(id)} is not a job id of LSF to depend on`)
  if (request.directory.includes('%'))
    throw new CompopsError(`root: ${show(request.directory)} holds %, which bsub -o takes for a pattern (%J, %I)`)
  const options = bsubOptions(request.spec.resources, request.spec.exclude)
  const words = (list: readonly { flag: string; value: string | null }[]) =>
    list.flatMap(({ flag, value }) => (value === null ? [`-${flag}`] : [`-${flag}`, value]))
  return [
    '-J',
    `${request.name}${request.array === null ? '' : writeArray(request.array)}`,
    '-Jd',
    request.comment.replace(/[\0-\x1f\x7f]/g, ' ').slice(0, 250),
    // Comes with LSF's report at the end only, unless LSB_STDOUT_DIRECT is set: the wrapper keeps the log itself. Without -o it would be mailed.
    '-o',
    `${request.directory}/scheduler.log${request.array === null ? '' : '.%I'}`,
    request.spec.requeue ? '-r' : '-rn',
    ...(request.dependsOn.length === 0 ? [] : ['-w', request.dependsOn.map(id => `done(${id})`).join(' && ')]),
    ...words(options.filter(({ flag }) => flag !== 'R')),
    ...requirement(options),
    ...words(request.spec.directives.map(rawOption)),
  ]
}

/** One `-R` with each section once, in the order that LSF wants: LSF-compatible systems know no second one (bsub(1), -R). */
function requirement(options: readonly BsubOption[]): string[] {
  const inside = (section: string) =>
    options.flatMap(({ flag, value }) =>
      flag === 'R' && value!.startsWith(`${section}[`) ? [value!.slice(section.length + 1, -1)] : [],
    )
  const said = [
    ...inside('select').map(text => `select[${text}]`),
    ...(inside('rusage').length === 0 ? [] : [`rusage[${inside('rusage').join(',')}]`]),
    ...inside('span').map(text => `span[${text}]`),
  ]
  return said.length === 0 ? [] : ['-R', said.join(' ')]
}

/** `[1-10,12]%4` */
function writeArray({ numbers, throttle }: NonNullable<JobRequest['array']>): string {
  if (numbers.length === 0 || numbers.some(n => !Number.isSafeInteger(n) || n < 1))
    throw new CompopsError('array: the tasks of LSF are numbered from 1')
  return `[${writeTasks(numbers)}]${throttle === null ? '' : `%${throttle}`}`
}

/** A name with its list may have 255 characters (IBM Spectrum LSF 10.1, "Job Arrays"): our name has 44, `%` and a number some more. */
export function canNumber(tasks: readonly number[], maxArraySize: number | null): boolean {
  return (
    tasks.every(n => n >= 1) &&
    (maxArraySize === null || (tasks.at(-1) ?? 0) <= maxArraySize) &&
    writeTasks(tasks).length <= 200
  )
}

/** `Job <36> is submitted to default queue <normal>.`, among what a site's esub says. */
export function readSubmit(answer: string): string {
  const ids = answer.split('\n').flatMap(line => /^Job <([1-9]\d{0,9})> is submitted\b/.exec(line)?.[1] ?? [])
  if (ids.length !== 1) throw new UnreadableError(`bsub did not answer with one job id: ${show(answer.trim())}`)
  return ids[0]!
}

/**
 * What bsub's error text means, the first that occurs. In doubt a job may have been made (`unknown`): it is looked for by name. bsub exits 255
 * for every refusal. Texts recorded on an LSF-compatible system, and from IBM's pages.
 */
const meanings: readonly (readonly [string, Refusal])[] = [
  ['> is submitted', 'unknown'],
  // The request went out and the answer did not come.
  ['batch system daemon not responding', 'unknown'],
  ['Failed in sending/receiving a message', 'unknown'],
  ['ommunication time out', 'unknown'],
  ['ommunication timed out', 'unknown'],
  ['Operation timed out', 'unknown'],
  ['internal error', 'unknown'],
  // Nothing was sent, or the daemon said "not now".
  ['LIM is down', 'transient'],
  ['daemon (LIM) not responding', 'transient'],
  ['Cannot connect to LSF', 'transient'],
  ['LSF is down', 'transient'],
  ['Unable to open file lsf.conf', 'transient'],
  ['lsb_init:', 'transient'],
  ['Connection refused', 'transient'],
  ['Resource temporarily unavailable', 'transient'],
  ['ending job threshold', 'transient'],
  ['ob threshold reached', 'transient'],
  ['maximum number of pending jobs', 'transient'],
  ['Too many', 'refused'],
  // What it was to wait for ended and was forgotten (CLEAN_PERIOD) since it was looked at: the next try looks anew.
  ['No matching job found. Job not submitted', 'transient'],
  ['Job not submitted', 'refused'],
  ['Request aborted by esub', 'refused'],
  ['llegal option', 'refused'],
  ['option requires an argument', 'refused'],
  ['option cannot have an argument', 'refused'],
]

const notRun = 'transient'

export function judgeRefusal(rc: number, stderr: string): Refusal {
  if (rc === 124 || (rc >= 128 && rc < 255)) return 'unknown'
  return meanings.find(([text]) => stderr.includes(text))?.[1] ?? (rc === 126 || rc === 127 ? notRun : 'unknown')
}

/** The same table as `case` patterns, for where the answer has to be remembered before anybody hears it. */
export const judgeInShell = `scheduler_judge() {
  _said=$(cat)
  if [ "$1" -eq 124 ] || { [ "$1" -ge 128 ] && [ "$1" -lt 255 ]; }; then echo unknown; return; fi
  case $_said in
${meanings.map(([text, kind]) => `    *'${text}'*) echo ${kind} ;;`).join('\n')}
    *) case $1 in 126 | 127) echo ${notRun} ;; *) echo unknown ;; esac ;;
  esac
}`
