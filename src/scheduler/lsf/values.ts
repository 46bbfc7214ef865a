import { UnreadableError } from '../../errors.ts'

/** How LSF writes times, sizes and hosts. Every time is read as UTC: the loader sets TZ=UTC, and LSF's tools write local time. */

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * `Nov 20 11:49`, `Fri Nov 20 11:49:04`, `11/20-11:49:07`, with the year only where LSB_DISPLAY_YEAR is set (lsf.conf(5)): the year is then the
 * one that brings it nearest to now. ` L`, ` E` and ` X` behind an end mark estimates (bjobs(1), FINISH_TIME). `-` and the empty word are no time.
 */
export function readTime(text: string, now: Date): Date | null {
  const word = text.trim()
  if (word === '' || word === '-') return null
  const long =
    /^(?:[A-Z][a-z]{2} +)?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d)(?::(\d\d))?(?: (\d{4}))?(?: [LEX])?$/.exec(word)
  const short = /^(\d\d)\/(\d\d)(?:\/(\d{4}))?-(\d\d):(\d\d)(?::(\d\d))?$/.exec(word)
  if (long !== null && months.includes(long[1]!))
    return nearest(months.indexOf(long[1]!), [long[2], long[3], long[4], long[5]], long[6], now)
  if (short !== null) return nearest(Number(short[1]) - 1, [short[2], short[4], short[5], short[6]], short[3], now)
  throw new UnreadableError(`not a time of LSF: ${show(text)}`)
}

function nearest(month: number, parts: readonly (string | undefined)[], year: string | undefined, now: Date): Date {
  const [day, hour, minute, second] = parts.map(part => Number(part ?? 0))
  const inYear = (n: number) => new Date(Date.UTC(n, month, day!, hour!, minute!, second!))
  const years = year === undefined ? [-1, 0, 1].map(n => now.getUTCFullYear() + n) : [Number(year)]
  const away = (at: Date) => Math.abs(at.getTime() - now.getTime())
  return years.map(inYear).reduce((best, at) => (away(at) < away(best) ? at : best))
}

/** Hosts without how many slots each: `a:a:b`, `2*a:4*b`, `<a> <a>`; `-` is none. */
export function readHosts(text: string): string[] {
  const found = text.split(/[:\s<>]+/).map(word => word.replace(/^\d+\*/, ''))
  return [...new Set(found.filter(word => /^[A-Za-z0-9][\w.-]*$/.test(word)))].slice(0, 10_000)
}

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 }

/** `5 Mbytes`, `1.2 Gbytes`, `5M`: bytes. What is no size (`-`) is unknown, never 0. */
export function readSize(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?) ?([KMGTP]?)(?:B|bytes)?$/i.exec(text.trim())
  return found === null ? null : Math.round(Number(found[1]) * units[found[2]!.toUpperCase()]!)
}

export function show(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}

/** The name of a job of ours, and its number in an array. */
const ours = /^(compops-[0-9a-f-]{36})(?:\[(\d{1,10})\])?$/

export function readName(text: string): { name: string; index: number | null } | null {
  const found = ours.exec(text)
  return found === null ? null : { name: found[1]!, index: found[2] === undefined ? null : Number(found[2]) }
}

/** The first line of each answer: which form bjobs had, and the cluster's clock, since LSF leaves the year out. */
export function readHead(text: string): { form: string; now: Date; rest: string } {
  const found = /^LSF ([a-z]+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n/m.exec(text)
  if (found === null) throw new UnreadableError(`the answer has no head: ${show(text.trim())}`)
  return { form: found[1]!, now: new Date(found[2]!), rest: text.slice(found.index + found[0].length) }
}
