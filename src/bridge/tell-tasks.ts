import type { Context } from '../context.ts'
import { runUrl } from '../render/links.ts'
import { readLogPiece } from '../results/log-piece.ts'
import type { CiJobRow, WantedJob } from '../store/ci-jobs.ts'
import { attemptsOfArrays, type CurrentTask, currentTasks, tasksOfJobs } from '../store/tasks.ts'
import type { Answer } from './answer.ts'
import { costOf, fromLine, tailThatFits } from './log-room.ts'
import { sentenceOf } from './tell.ts'

/** So many tasks of an array have a section in the CI log, with so much of their end. */
const most = 20
const tail = { bytes: 4_000, lines: 50 }

export interface TaskAsked {
  readonly row: CiJobRow
  readonly job: WantedJob
  /** How many tasks have been told. */
  readonly from: number
  readonly room: number
  readonly after: number | null
}

/**
 * What tasks of an array printed, once all have ended: those that failed first, the others by their number, a folded section with the last lines of each. A task an answer, so
 * that one answer is one command to the cluster; `next` counts tasks. While it goes on only its sentence changes: of tasks side by side no single log is the job's.
 */
export async function tellTask(
  context: Context,
  { row, job, from, room, after }: TaskAsked,
  answer: (words: Answer['words'], body?: Answer['body'], said?: string) => Answer,
): Promise<Answer> {
  const current = currentTasks(await attemptsOfArrays(context.db, [job.id]), await tasksOfJobs(context.db, [job.id]))
  const inOrder = [...current.values()].sort((a, b) => rankOf(a) - rankOf(b) || a.index - b.index)
  const size = Math.min(most, inOrder.length)
  const told = Math.max(0, Math.min(from, size))
  const left = inOrder.length - (after === null ? size : told)
  const where = `the others: compops logs ${row.runId} ${job.name} --task N; ${runUrl(context.config.publicUrl, { id: row.runId! })}`
  const task = inOrder[told]
  if (after !== null || task === undefined || told >= size)
    return answer(
      { next: told, size: told, done: true },
      '',
      left === 0 ? sentenceOf(job) : `${told} of ${inOrder.length} tasks are shown, failed ones first; ${where}`,
    )
  const body = await sectionOf(context, task)
  const cost = costOf(body)
  if (cost > room) return answer({ next: told, size: size + 1, cost: 0, full: true, done: false })
  // There is always one answer more: what is not shown.
  return answer({ next: told + 1, size: size + 1, cost, full: false, done: false }, body)
}

const rankOf = ({ state }: CurrentTask) => (state === 'completed' ? 1 : 0)

async function sectionOf(context: Context, { index, attempt, ...task }: CurrentTask): Promise<Buffer> {
  const piece = await readLogPiece(context, {
    ...{ attempt: attempt.id, in: 'log', path: '', task: index, offset: -tail.bytes, bytes: tail.bytes },
  })
  const why = [task.reason === 'exit' && task.exitCode !== null ? `exit ${task.exitCode}` : task.reason, task.message]
  const words = why.filter(Boolean).join(': ')
  const title = `task ${index} is ${task.state}${words === '' ? '' : ` (${words})`}`.replace(/[\0-\x1f\x7f]+/g, ' ')
  let log: Buffer = Buffer.from('problem' in piece ? `its log ${piece.problem}\n` : '')
  if (!('problem' in piece)) {
    const read = Buffer.from(piece.bytes)
    const end = tailThatFits(piece.offset > 0 ? fromLine(read) : read, tail.lines, tail.bytes * 4)
    const before = piece.size - end.length
    log = Buffer.concat([Buffer.from(before > 0 ? `… ${before} bytes before\n` : ''), end])
  }
  const at = Math.floor(context.clock.now().getTime() / 1_000)
  const folded = task.state === 'completed' ? '[collapsed=true]' : ''
  const close = log.length === 0 || log.at(-1) === 10 ? '' : '\n'
  return Buffer.concat([
    Buffer.from(`\x1b[0Ksection_start:${at}:compops_task_${index}${folded}\r\x1b[0K${title}\n`),
    log,
    Buffer.from(`${close}\x1b[0Ksection_end:${at}:compops_task_${index}\r\x1b[0K\n`),
  ])
}
