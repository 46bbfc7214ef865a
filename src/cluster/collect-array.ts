import { randomBytes } from 'node:crypto'
import { CompopsError, UnreadableError } from '../errors.ts'
import { mergeOutputs, together } from '../model/array-results.ts'
import type { Collected, CollectedTask } from '../model/observation.ts'
import { fromWholeLine, readEnvironment, readOutputs, readSections } from './collect.ts'
import type { CollectOptions, WatchedAttempt } from './contract.ts'
import { pathsOf } from './layout.ts'
import { readMetrics } from './metrics.ts'
import { preamble } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'

/** Numbers kept apart of one task, and of all together. */
const metricsOfTask = 50
const metricsOfAll = 20_000

/**
 * Input: PATH prefix, root, attempt directory, a random mark, bytes of log wanted, of which tasks the logs are wanted (`<number>:<the scheduler's>`), then a task per line. Output: sections as
 * of collectProgram, `<mark> <file>.<task>` each; a few processes however many tasks there are. Only regular files of some size are opened: the job's user
 * can put there what never ends.
 */
export const collectArrayProgram = `${preamble}
for name in root attempt mark log_bytes logs; do IFS= read -r "$name" || exit 97; done
[ -d "$root" ] || { echo "$root is not there" >&2; exit 96; }
[ -d "$attempt" ] || exit 95
cd "$attempt" || exit 96
# Of what has ended nobody needs them any more.
rm -f secrets
strange=$(find . ! -name . -prune "(" -name "outputs.*" -o -name "metrics*" -o -name "environment.*" -o -name "log.*" -o -name "scheduler.log.*" ")" "(" ! -type f -o ! -name "*log.*" -size +2048 ")")
plain() {
  [ -f "$1" ] || return 1
  case "
$strange
" in *"
./$1
"*) return 1 ;; esac
}
for task in $logs; do
  native=\${task#*:}
  task=\${task%:*}
  log=log.$task
  plain "$log" || log=scheduler.log.$native
  plain "$log" || continue
  bytes=$(wc -c <"$log")
  printf '\\n%s log-size.%s\\n%s\\n%s log.%s\\n' "$mark" "$task" "$((bytes))" "$mark" "$task"
  tail -c "$log_bytes" "$log"
done
environment=
while IFS= read -r task; do
  for file in "outputs.$task" "metrics.$task" "metrics-problem.$task"; do
    if plain "$file"; then printf '%s\\n' "$file"; fi
  done
  if [ -z "$environment" ] && plain "environment.$task"; then
    environment=$task
    printf '%s\\n' "environment.$task"
  fi
done | xargs awk -v mark="$mark" 'FNR == 1 { printf "\\n%s %s\\n", mark, FILENAME } { print }' /dev/null | head -c 33554432
printf '\\n%s end\\n' "$mark"
`

/** What an ended array left behind: outputs of all tasks in one list, the metrics of each, the last lines of the first few that failed. */
export async function collectArray(
  reach: Reach,
  attempt: WatchedAttempt,
  {
    logBytes = 16 * 1024,
    metricsFile,
    array,
  }: CollectOptions & { readonly array: NonNullable<CollectOptions['array']> },
): Promise<Collected> {
  const { projectId, runId, jobId, id } = attempt
  const paths = pathsOf(reach.root, { projectId, runId, jobId, attemptId: id })
  const mark = randomBytes(16).toString('hex')
  const answer = await reach.run({
    text: collectArrayProgram,
    lines: [
      reach.root,
      paths.attempt,
      mark,
      String(Math.max(0, Math.trunc(logBytes))),
      array.logsOf.map(task => `${task.index}:${task.native}`).join(' '),
    ],
    rest: array.tasks.map(task => `${task}\n`).join(''),
    deadline: 120_000,
  })
  if (answer.rc === 95) throw new CompopsError(`${reach.name}: its directory ${paths.attempt} was removed`)
  if (answer.rc !== 0) throw notWhole(reach.name, 'what the job left behind could not be read', answer)
  const sections = readSections(answer.stdout, mark)
  if (!sections.has('end'))
    throw new UnreadableError(`${reach.name}: what the job left behind did not come whole`, { transient: true })

  let omitted = 0
  let problem: string | null = null
  let numbers = 0
  const tasks: CollectedTask[] = []
  const lists = array.tasks.map(index => {
    const own = readOutputs(sections.get(`outputs.${index}`) ?? '', {
      checkout: paths.work,
      output: `${paths.output}/${index}`,
    })
    omitted += own.omitted
    // In its own directory each may have a file of the same name.
    return own.outputs.map(file =>
      file.at.startsWith(`${paths.output}/`) ? { ...file, path: `${index}/${file.path}` } : file,
    )
  })
  for (const index of array.tasks) {
    const read = await readMetrics(sections.get(`metrics.${index}`) ?? '', metricsFile)
    const said = sections.get(`metrics-problem.${index}`)?.trim() ?? ''
    if (said !== '' || read.problem !== null)
      problem ??= said === '' ? `of task ${index}: ${read.problem}` : `of task ${index} the metrics file ${said}`
    const kept = Object.entries(read.values).slice(0, Math.min(metricsOfTask, metricsOfAll - numbers))
    numbers += kept.length
    const log = sections.get(`log.${index}`)
    const logSize = Number(sections.get(`log-size.${index}`)) || 0
    if (kept.length === 0 && log === undefined) continue
    const last = log === undefined ? {} : { logTail: logSize > logBytes ? fromWholeLine(log) : log, logSize }
    tasks.push({ index, metrics: Object.fromEntries(kept), ...last })
  }
  const merged = mergeOutputs(lists)
  const first = tasks.find(task => task.logTail !== undefined)
  return {
    outputs: merged.outputs,
    outputsOmitted: omitted + merged.omitted,
    metrics: together(tasks),
    metricsProblem: problem,
    logTail: first?.logTail ?? '',
    logSize: first?.logSize ?? 0,
    environment: readEnvironment(
      array.tasks.map(index => sections.get(`environment.${index}`) ?? '').find(text => text !== '') ?? '',
    ),
    tasks,
  }
}
