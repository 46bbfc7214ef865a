import type { TaskRange } from './observation.ts'
import type { Parsed } from './walltime.ts'

/** The tasks of an array, as they are stored and shown: `0-9,12,20-100:10`, ascending, each number once. */
export type TaskList = string

/** A job of many tasks. */
export interface ArraySpec {
  /** The researcher's numbers, COMPOPS_ARRAY_INDEX. */
  readonly tasks: TaskList
  /** How many may run at once; null: as many as the scheduler likes. */
  readonly throttle: number | null
}

/** Which tasks one attempt has handed over. */
export interface AttemptArray {
  readonly tasks: TaskList
  readonly throttle: number | null
  /** The scheduler could not give them these numbers: there they are 1, 2, 3 … in the same order. */
  readonly renumbered: boolean
}

/** More than this is a list that nobody reads, and a load on the scheduler. */
export const mostTasks = 10_000
/** Characters: it stands in a few rows and files, and on the scheduler's command line. */
const longestList = 16_000
/** Slurm's MaxArraySize is at most 4,000,001 (slurm.conf(5)). */
export const largestTask = 4_000_000

const remedy = 'Write for example `0-9`, `0-9%4` (four at once), `0-100:10` or `1,3,7-9`.'

/** What a person writes after `array:` and after `--array=`: numbers and ranges with commas between, `:` a step, `%` how many at once. */
export function parseArray(text: string): Parsed<ArraySpec> {
  const found = /^([^%]*)(?:%(.*))?$/s.exec(text.trim())
  const [, list = '', at] = found ?? []
  const wrong = (message: string): Parsed<never> => ({ ok: false, message, remedy })
  if (at !== undefined && !/^[1-9]\d{0,6}$/.test(at))
    return wrong(`Behind % stands how many tasks run at once, a number from 1, not ${JSON.stringify(at)}.`)
  const numbers: number[] = []
  for (const part of list.split(',')) {
    const ends = /^\s*(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?\s*$/.exec(part)
    if (ends === null) return wrong(`${JSON.stringify(part.trim().slice(0, 40))} is neither a number nor a range.`)
    const from = Number(ends[1])
    const to = Number(ends[2] ?? from)
    const step = Number(ends[3] ?? 1)
    if (to < from) return wrong(`The range ${from}-${to} ends before it begins.`)
    if (step < 1) return wrong(`The step of ${from}-${to} is 0.`)
    if (to > largestTask) return wrong(`${to} is too large: the largest number of a task is ${largestTask}.`)
    if (numbers.length + (to - from) / step >= 2 * mostTasks) return tooMany()
    for (let n = from; n <= to; n += step) numbers.push(n)
  }
  const tasks = [...new Set(numbers)].sort((a, b) => a - b)
  if (tasks.length > mostTasks) return tooMany()
  const written = writeTasks(tasks)
  if (written.length > longestList) return wrong('So many numbers without order make a list that is too long.')
  return { ok: true, value: { tasks: written, throttle: at === undefined ? null : Number(at) } }
}

function tooMany(): Parsed<never> {
  return {
    ok: false,
    message: `These are more than ${mostTasks} tasks.`,
    remedy: 'Let each task do several of them, or make several jobs.',
  }
}

/** Ascending numbers as a list of ranges: three or more with one distance are written as one. */
export function writeTasks(numbers: readonly number[]): TaskList {
  return toRanges(numbers)
    .map(({ from, to, step }) => (from === to ? `${from}` : `${from}-${to}${step === 1 ? '' : `:${step}`}`))
    .join(',')
}

/** Ascending numbers as ranges. */
export function toRanges(numbers: readonly number[]): TaskRange[] {
  const ranges: TaskRange[] = []
  for (let i = 0; i < numbers.length; ) {
    const from = numbers[i]!
    const step = (numbers[i + 1] ?? from + 1) - from
    let j = i + 1
    while (j < numbers.length && numbers[j]! - numbers[j - 1]! === step) j++
    // Two numbers are a range only when they are neighbours; else the second may begin a better one.
    if (j - i === 2 && step > 1) j = i + 1
    ranges.push({ from, to: numbers[j - 1]!, step: j - i === 1 ? 1 : step })
    i = j
  }
  return ranges
}

/** The numbers of a list of ours, ascending. */
export function readTasks(list: TaskList): number[] {
  if (list === '') return []
  return list.split(',').flatMap(part => {
    const [, from = '', to = from, step = '1'] = /^(\d+)(?:-(\d+))?(?::(\d+))?$/.exec(part) ?? []
    const numbers: number[] = []
    for (let n = Number(from); n <= Number(to); n += Number(step)) numbers.push(n)
    return numbers
  })
}

export function countTasks(list: TaskList): number {
  return readTasks(list).length
}

/** A task in the scheduler's own words, for people who look for it there: `4711_7`, where the id has a place for it `19[7].server`. */
export function nativeTaskId(nativeId: string, number: number): string {
  return nativeId.includes('[]') ? nativeId.replace('[]', `[${number}]`) : `${nativeId}_${number}`
}

/** The scheduler's number of a task of an attempt, by which the scheduler's own log of it is named. */
export function nativeNumber(array: AttemptArray, index: number): number {
  return array.renumbered ? readTasks(array.tasks).indexOf(index) + 1 : index
}

/** The scheduler's numbers of an attempt's tasks, in the order of {@link readTasks}. */
export function nativeNumbers(array: AttemptArray): number[] {
  const tasks = readTasks(array.tasks)
  return array.renumbered ? tasks.map((_, i) => i + 1) : tasks
}
