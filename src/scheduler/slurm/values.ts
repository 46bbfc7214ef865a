import { UnreadableError } from '../../errors.ts'
import { largestTask } from '../../model/array.ts'
import type { TaskRange } from '../../model/observation.ts'

/** How Slurm writes times, sizes and node lists. The loader sets TZ=UTC, the queries SLURM_TIME_FORMAT=standard. */

/** `2026-11-20T12:27:45`; `N/A`, `Unknown`, `None` and the empty word are no time (squeue(1), sacct(1)). */
export function readTime(text: string): Date | null {
  if (text === '' || text === 'N/A' || text === 'Unknown' || text === 'None' || text === '(null)') return null
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)) throw new UnreadableError(`not a time of Slurm: ${show(text)}`)
  const at = new Date(`${text}Z`)
  if (Number.isNaN(at.getTime())) throw new UnreadableError(`not a time of Slurm: ${show(text)}`)
  return at
}

/** `[days-[hours:]]minutes:seconds[.fraction]`, as TotalCPU and Elapsed (sacct(1)), in seconds. */
export function readDuration(text: string): number | null {
  if (text === '' || text === 'INVALID') return null
  const found = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text)
  if (found === null) throw new UnreadableError(`not a duration of Slurm: ${show(text)}`)
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = found
  return Number(days) * 86_400 + Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)
}

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 }

/** `2900K`, `1.52G`, `0`: bytes. */
export function readSize(text: string): number | null {
  if (text === '') return null
  const found = /^(\d+(?:\.\d+)?)([KMGTP]?)$/.exec(text)
  if (found === null) throw new UnreadableError(`not a size of Slurm: ${show(text)}`)
  return Math.round(Number(found[1]) * units[found[2]!]!)
}

export function readCount(text: string): number | null {
  if (text === '') return null
  if (!/^\d+$/.test(text)) throw new UnreadableError(`not a number: ${show(text)}`)
  return Number(text)
}

/** More nodes than this are not spelled out: nobody reads them, and a list can be made to explode. */
const nodeLimit = 10_000

/** `n[1-3,07],g1` -> n1 n2 n3 n07 g1; several brackets multiply. `None assigned`, `(null)` and the empty word are no nodes. */
export function readNodes(text: string): string[] {
  if (text === '' || text === 'None assigned' || text === '(null)' || text === 'N/A') return []
  return splitOutsideBrackets(text).flatMap(expand).slice(0, nodeLimit)
}

function splitOutsideBrackets(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '[') depth++
    else if (c === ']') depth--
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(from, i))
      from = i + 1
    }
  }
  if (depth !== 0) throw new UnreadableError(`not a node list: ${show(text)}`)
  return [...parts, text.slice(from)].filter(part => part !== '')
}

function expand(part: string): string[] {
  const found = /^([^[\]]*)\[([^[\]]*)\](.*)$/.exec(part)
  if (found === null) {
    if (/[\s[\]]/.test(part)) throw new UnreadableError(`not a node list: ${show(part)}`)
    return [part]
  }
  const [, before = '', ranges = '', after = ''] = found
  const rest = after === '' ? [''] : expand(after)
  const names: string[] = []
  for (const range of ranges.split(',')) {
    const ends = /^(\d+)(?:-(\d+))?$/.exec(range)
    if (ends === null) throw new UnreadableError(`not a node list: ${show(part)}`)
    const first = ends[1]!
    for (let n = Number(first); n <= Number(ends[2] ?? first); n++) {
      for (const tail of rest) names.push(`${before}${String(n).padStart(first.length, '0')}${tail}`)
      if (names.length >= nodeLimit) return names
    }
  }
  return names
}

export function show(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}

export function isId(text: string): boolean {
  return /^\d+(?:_(?:\d+|\[[^\]]*\]))?$/.test(text)
}

/** `4711`; a task of an array `4711_7`; those that wait `4711_[5-9,12%4]`, where a list that was cut ends in `...` (squeue(1), JOB ARRAY). */
export function readId(text: string): { nativeId: string; tasks: TaskRange[] | null } {
  if (!isId(text)) throw new UnreadableError(`not a job id of Slurm: ${show(text)}`)
  const [nativeId = '', list] = text.split('_')
  if (list === undefined) return { nativeId, tasks: null }
  const tasks: TaskRange[] = []
  for (const part of list
    .replace(/^\[|\]$/g, '')
    .replace(/%\d+$/, '')
    .split(',')) {
    const found = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(part)
    if (found !== null) {
      const from = Number(found[1])
      const to = Number(found[2] ?? from)
      const step = Number(found[3] ?? 1)
      if (to < from || step < 1) throw new UnreadableError(`not a job id of Slurm: ${show(text)}`)
      tasks.push({ from, to, step })
      continue
    }
    // Cut, perhaps within a number: whatever is larger than the last whole one may be meant, and rows of single tasks say more.
    if (!list.includes('...')) throw new UnreadableError(`not a job id of Slurm: ${show(text)}`)
    tasks.push({ from: (tasks.at(-1)?.to ?? -1) + 1, to: largestTask, step: 1 })
    break
  }
  return { nativeId, tasks }
}
