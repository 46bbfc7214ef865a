/** How a job stands, in words: the same words for status, note, reply and page. */
import type { Resources } from '../model/job-spec.ts'
import { failureReasons, isFinal, jobStates } from '../model/job-state.ts'
import { jobNeeds, needInWords, needStands } from '../model/needs.ts'
import type { Attempt, Job, Run } from '../model/run.ts'
import { countOf, formatDuration, formatMebibytes, formatSize, secondsBetween } from './amounts.ts'

export function lastAttempt(job: Job): Attempt | null {
  return job.attempts.at(-1) ?? null
}

/** What its last attempt asked for: what the job says, and what its retries have raised. */
export function resourcesOf(job: Job): Resources {
  return { ...job.spec.resources, ...lastAttempt(job)?.asked?.resources }
}

/** Which attempt of how many it is and why, where one follows another by itself. */
export function stepOf(job: Job): string | null {
  return lastAttempt(job)?.asked?.step ?? null
}

/** How an exit code reads: 126 and 127 are the shell's, 128 + n is signal n (POSIX sh, "Exit Status for Commands"). */
export function exitCodeInWords(exitCode: number): string | null {
  const signal = exitCode > 128 && exitCode <= 128 + 64 ? `ended by signal ${exitCode - 128}` : null
  return exitWords.get(exitCode) ?? signal
}

const exitWords = new Map<number, string>([
  [2, 'wrong usage, or a general error'],
  [74, 'could not write its files'],
  [78, 'its settings cannot be used'],
  [124, 'ended by timeout(1)'],
  [126, 'found, but not executable'],
  [127, 'command not found'],
  [129, 'hung up'],
  [130, 'interrupted'],
  [131, 'quit'],
  [132, 'illegal instruction'],
  [134, 'aborted'],
  [135, 'bus error'],
  [136, 'floating point exception'],
  [137, 'killed'],
  [138, 'ended by USR1'],
  [139, 'segmentation fault'],
  [140, 'ended by USR2'],
  [141, 'broken pipe'],
  [142, 'ended by its alarm'],
  [143, 'terminated'],
  [152, 'CPU time limit'],
  [153, 'file size limit'],
  [159, 'a system call that is not allowed'],
  [255, 'exit code out of range, or srun or ssh failed'],
])

/** Why it failed, short: `out of memory`, `exit 127: command not found`, `time limit of 4 h`. */
export function failureInWords(job: Job): string {
  // Of an array its message says how many of its tasks, and why.
  if (job.spec.array !== undefined && job.message !== null && job.reason !== 'submit') return job.message
  const attempt = lastAttempt(job)
  const exitCode = attempt?.exitCode ?? attempt?.accounting?.exitCode ?? null
  if (job.reason === 'timeout') {
    const limit = resourcesOf(job).time
    return limit === undefined ? 'time limit' : `time limit of ${formatDuration(limit)}`
  }
  if (job.reason !== null && job.reason !== 'exit') return failureReasons[job.reason].label
  const signal = attempt?.signal ?? null
  if (exitCode === null || exitCode === 0) return signal === null || signal === 0 ? 'failed' : `signal ${signal}`
  const words = exitCodeInWords(exitCode)
  return words === null ? `exit ${exitCode}` : `exit ${exitCode}: ${words}`
}

/** The cluster did not run it: never the commit's fault. */
export function isInfrastructure(job: Job): boolean {
  return job.state === 'failed' && job.reason !== null && failureReasons[job.reason].infrastructure
}

/** Whether a merge waits for it. */
export function gates(job: Job): boolean {
  return job.spec.gate !== false
}

/** The needs that are not met yet, in the order of the file: `mesh`, `the end of solve`. */
export function openNeeds(job: Job, run: Run): string[] {
  const unmet = jobNeeds(job.spec.needs).filter(need => {
    const needed = run.jobs.find(other => other.name === need.job)
    if (needed === undefined) return true
    const begun = lastAttempt(needed)?.startedAt != null
    return needStands(need.kind, { state: needed.state, begun }) !== 'met'
  })
  return unmet.map(needInWords)
}

/** What to change, as one sentence of Markdown; null where nothing general can be said. */
export function advice(job: Job, commands: boolean): string | null {
  const attempt = lastAttempt(job)
  const { time } = resourcesOf(job)
  const exitCode = attempt?.exitCode ?? attempt?.accounting?.exitCode ?? null
  const again = commands ? '`/compops rerun`' : 'push again'
  switch (job.reason) {
    case 'memory':
      return memoryAdvice(job)
    case 'timeout':
      return time === undefined
        ? 'ask for more `time`'
        : `\`time: "${clock(time * 2)}"\` (asked ${formatDuration(time)}), or write checkpoints`
    case 'node':
    case 'preempted':
    case 'lost':
    case 'expired':
      return `${again}: the cluster did not finish it, the commit is not to blame`
    case 'stalled':
      return 'look at the log: where did it stop? A longer `stall_timeout`, or a line of output now and then, if it was only silent'
    case 'fail_on':
      return 'look at the lines before it in the log; a narrower pattern in `fail_on`, if that line is none of an error'
    case 'segments':
      return 'more `segments`, or a longer `time` for each'
    case 'submit':
      return 'change what the scheduler names above'
    default:
      return logAdvice(attempt?.collected?.logTail ?? '') ?? (exitCode === null ? null : exitCodeAdvice(exitCode))
  }
}

/** What the last lines say more plainly than an exit code, in the words of shells, loaders and interpreters; the first that is found. */
const tellingLines: readonly (readonly [RegExp, string])[] = [
  [
    /\\r': command not found|\^M: bad interpreter|bad interpreter: No such file|env: '?[\w.-]+\\r/,
    'save the file with Unix line ends (`dos2unix`, or `* text=auto eol=lf` in `.gitattributes`), or correct the path behind its `#!`',
  ],
  [
    /No space left on device|Disk quota exceeded|EDQUOT|ENOSPC/,
    'make room: the disk or the quota is full where the job wrote',
  ],
  [
    /unable to locate a modulefile|following module\(s\) are unknown|module: command not found/i,
    'correct the name in `modules`: `module avail` on the cluster lists them',
  ],
  [
    /error while loading shared libraries|cannot open shared object file/,
    'load the modules it was built with in `modules`: a library of it is not there',
  ],
  [
    /ModuleNotFoundError: No module named|ImportError: No module named/,
    '`template: python` with a `requirements.txt`, or the module that has the package',
  ],
  [
    /CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError: CUDA/,
    'a smaller batch, or a GPU with more memory: `gpus: <type>:<n>`',
  ],
  [
    /oom-kill|Out of memory|MemoryError|std::bad_alloc|Cannot allocate memory|OutOfMemoryError/,
    'ask for more `mem`: it could not get the memory that it wanted',
  ],
  [
    /: Permission denied/,
    '`chmod +x` the file and commit it, or call it with its interpreter; where it is a directory, look whose it is',
  ],
]

function logAdvice(log: string): string | null {
  const last = log.split('\n').slice(-30).join('\n')
  return tellingLines.find(([line]) => line.test(last))?.[1] ?? null
}

function exitCodeAdvice(exitCode: number): string | null {
  switch (exitCode) {
    case 126:
      return '`chmod +x` the file and commit it, or call it with its interpreter'
    case 127:
      return 'load its module in `setup`, or check the spelling of the command'
    case 124:
      return 'a longer limit for the `timeout` that the script itself sets'
    case 78:
      return 'correct the pattern that the log names: it is read by `grep -E` on the cluster'
    case 132:
      return 'build on the kind of node it runs on: this CPU does not know an instruction of the program'
    case 137:
      return 'ask for more `mem`: what is killed without a word has mostly run out of it'
    case 134:
      return 'look for the assertion or the error above `Aborted` in the log'
    case 136:
      return 'look for a division by zero or an overflow: the program stopped at an impossible number'
    case 153:
      return 'look at `ulimit -f`, or write smaller files'
    case 139:
      return '`ulimit -s unlimited` in `setup`, or a debug build: the program touched memory that is not its own'
    default:
      return null
  }
}

function memoryAdvice(job: Job): string {
  const { mem, mem_per_cpu: perCpu } = resourcesOf(job)
  const peak = lastAttempt(job)?.accounting?.maxRss ?? null
  const saw = peak === null ? '' : `; its largest task was seen at ${formatSize(peak)}`
  const asked = mem ?? perCpu
  if (asked === undefined) return `ask for \`mem\`${saw}`
  const key = mem === undefined ? 'mem_per_cpu' : 'mem'
  const next = Math.ceil((asked * 1.5) / 512) * 512
  const text = next % 1024 === 0 ? `${next / 1024}G` : `${next}M`
  return `\`${key}: ${text}\` (asked ${formatMebibytes(asked)}${saw})`
}

/** `04:00:00`, as a time is written in .compops.yml. */
function clock(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

/** Cores that the job has (accounting) or asks for. */
export function coresOf(job: Job): number {
  const { nodes, ntasks, ntasks_per_node: perNode, cpus_per_task: perTask } = job.spec.resources
  const tasks = ntasks ?? (nodes ?? 1) * (perNode ?? 1)
  return lastAttempt(job)?.accounting?.cpus ?? tasks * (perTask ?? 1)
}

export function waitedSeconds(attempt: Attempt | null, at: Date): number | null {
  if (attempt === null) return null
  return secondsBetween(attempt.queuedAt ?? attempt.submittedAt, attempt.startedAt ?? attempt.endedAt ?? at)
}

export function ranSeconds(attempt: Attempt | null, at: Date): number | null {
  if (attempt === null || attempt.startedAt === null) return null
  const counted = attempt.accounting?.elapsedSeconds ?? null
  return attempt.endedAt !== null && counted !== null
    ? counted
    : secondsBetween(attempt.startedAt, attempt.endedAt ?? at)
}

/** Core seconds of all attempts: what the run has cost until then. */
export function coreSeconds(run: Run, at: Date): number {
  let sum = 0
  for (const job of run.jobs)
    for (const attempt of job.attempts)
      sum += (ranSeconds(attempt, at) ?? 0) * (attempt.accounting?.cpus ?? coresOf(job))
  return sum
}

/** CPU time used of what was held, 0 to 1; null where accounting does not say. */
export function cpuEfficiency(attempt: Attempt | null): number | null {
  const accounting = attempt?.accounting
  const { cpuSeconds, elapsedSeconds, cpus } = accounting ?? {}
  if (cpuSeconds == null || elapsedSeconds == null || cpus == null || elapsedSeconds <= 0 || cpus <= 0) return null
  return cpuSeconds / (elapsedSeconds * cpus)
}

/** `falcon`, `falcon and mack`; empty where there are no jobs. */
export function clustersOf(run: Run): string {
  const names = [...new Set(run.jobs.map(job => job.cluster))]
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

export interface Verdict {
  readonly symbol: string
  /** `2 of 4 jobs done`, `sweep failed: out of memory`: text with names in backticks at most, not yet escaped. */
  readonly words: string
}

/** The run in a few words. */
export function verdictOf(run: Run): Verdict {
  const total = run.jobs.length
  const mistakes = run.spec?.problems.length ?? 0
  if (mistakes > 0)
    return {
      symbol: jobStates.failed.symbol,
      words: `\`.compops.yml\` has ${countOf(mistakes, 'mistake')}, nothing was run`,
    }
  if (run.problem !== null || total === 0) return { symbol: jobStates.failed.symbol, words: 'nothing was run' }
  const of = (state: Job['state']) => run.jobs.filter(job => job.state === state)
  const failed = of('failed')
  const done = run.jobs.filter(job => isFinal(job.state)).length
  const symbol = jobStates[run.state].symbol
  const only = total === 1 ? run.jobs[0] : undefined

  if (!isFinal(run.state)) {
    const bad = failed.length === 0 ? '' : `, ${failed.length} failed`
    const progress =
      only === undefined ? `${done} of ${total} jobs done${bad}` : `${only.name} is ${jobStates[only.state].label}`
    if (run.state === 'held') return { symbol, words: `held: ${of('held')[0]?.message ?? 'waits for a person'}` }
    return {
      symbol,
      words: run.state === 'running' || only !== undefined ? progress : `${jobStates[run.state].label} · ${progress}`,
    }
  }
  if (failed.length > 0 && failed.every(isInfrastructure)) {
    const first = failed[0] as Job
    return {
      symbol: jobStates.canceled.symbol,
      words: `${named(failed)} not finished by the cluster: ${failureInWords(first)}`,
    }
  }
  if (failed.length > 0) {
    const culprits = failed.filter(job => !isInfrastructure(job))
    const first = culprits[0] as Job
    return culprits.length === 1
      ? { symbol, words: `${first.name} failed: ${failureInWords(first)}` }
      : { symbol, words: `${culprits.length} of ${total} jobs failed` }
  }
  if (run.state === 'completed')
    return { symbol, words: only === undefined ? `${total} of ${total} jobs completed` : `${only.name} completed` }
  const ended = of(run.state)
  const why = ended.find(job => job.message !== null)?.message
  return {
    symbol,
    words: `${countOf(ended.length, 'job')} ${jobStates[run.state].label}${why == null ? '' : `: ${why}`}`,
  }
}

function named(jobs: readonly Job[]): string {
  return jobs.length === 1 ? (jobs[0]?.name ?? '') : countOf(jobs.length, 'job')
}
