import { UnreadableError } from '../../errors.ts'

/** How PBS writes ids, times, sizes and hosts. The loader sets TZ=UTC and LC_ALL=C, by which qstat writes its times. */

/** `12.server`, of an array `12[].server` (pbs_job_attributes(7B)). A server's name is that of a host. */
export const jobId = /^\d{1,12}(?:\[\])?\.[A-Za-z0-9][A-Za-z0-9._-]{0,250}$/

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `Fri Nov 20 12:01:27 2026`, as ctime(3). */
export function readTime(text: string | undefined): Date | null {
  if (text === undefined || text === '') return null
  const found = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})$/.exec(text)
  const month = months.indexOf(found?.[1] ?? '')
  if (found === null || month === -1) throw new UnreadableError(`not a time of PBS: ${show(text)}`)
  const [day = 0, hour = 0, minute = 0, second = 0, year = 0] = found.slice(2).map(Number)
  return new Date(Date.UTC(year, month, day, hour, minute, second))
}

/** `[[hours:]minutes:]seconds[.fraction]`, in seconds (pbs_resources(7B), duration). */
export function readDuration(text: string | undefined): number | null {
  if (text === undefined) return null
  const found = /^(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)$/.exec(text)
  if (found === null) return null
  const seconds = Number(found[1] ?? 0) * 3_600 + Number(found[2] ?? 0) * 60 + Number(found[3])
  return Number.isSafeInteger(Math.ceil(seconds)) ? seconds : null
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
}

/** `6476kb`, `8GB`, `100m`, `512w` (words of eight bytes); in bytes (pbs_resources(7B), size). */
export function readSize(text: string | undefined): number | null {
  const found = /^(\d{1,15})([kmgtp]?)([bw]?)$/i.exec(text ?? '')
  if (found === null) return null
  const bytes = Number(found[1]) * units[found[2]!.toLowerCase()]! * (found[3]!.toLowerCase() === 'w' ? 8 : 1)
  return Number.isSafeInteger(bytes) ? bytes : null
}

export function readCount(text: string | undefined): number | null {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : null
}

/** More nodes than this are not spelled out: nobody reads them. */
const nodeLimit = 10_000

/** `n1/0*4+n2/1`: chunks by host; each host once. */
export function readHosts(text: string | undefined): string[] {
  if (text === undefined || text === '') return []
  const hosts = text.split('+').map(part => part.replace(/[/:].*$/, '').replace(/^\(|\)$/g, ''))
  return [...new Set(hosts.filter(host => host !== ''))].slice(0, nodeLimit)
}

export function show(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
