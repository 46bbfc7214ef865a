import { UnreadableError } from '../../errors.ts'

/** How Grid Engine writes times, sizes and texts, and reads them; sge_types(5). The loader sets TZ=UTC. */

/** `2026-11-20T12:05:29` of `qstat -xml`; the empty word is no time. */
export function readTime(text: string): Date | null {
  if (text === '') return null
  // Later versions write fractions of a second too.
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?$/.test(text) ? new Date(`${text}Z`) : null
  if (at === null || Number.isNaN(at.getTime())) throw new UnreadableError(`not a time of Grid Engine: ${show(text)}`)
  return at
}

/** Seconds since 1970 of the accounting file; 0 where it did not happen. */
export function readEpoch(text: string): Date | null {
  if (!/^\d{1,10}$/.test(text)) throw new UnreadableError(`not a time of Grid Engine's accounting: ${show(text)}`)
  return text === '0' ? null : new Date(Number(text) * 1000)
}

export function readNumber(text: string): number {
  if (!/^\d+(?:\.\d+)?$/.test(text)) throw new UnreadableError(`not a number: ${show(text)}`)
  return Number(text)
}

/** `[[hours:]minutes:]seconds`, in seconds; null where it is no limit (`INFINITY`) or not a time. */
export function readDuration(text: string): number | null {
  const found = /^(?:(?:(\d{1,7}):)?(\d{1,7}):)?(\d{1,9})$/.exec(text)
  if (found === null) return null
  const [, hours = '0', minutes = '0', seconds = '0'] = found
  return Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1_000,
  m: 1_000 ** 2,
  g: 1_000 ** 3,
  t: 1_000 ** 4,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
}

/** `2G`, `1.5g`, `1048576`, in bytes: small letters count by 1000, capital ones by 1024 (sge_types(5), memory_specifier). null where it is none. */
export function readSize(text: string): number | null {
  const found = /^(\d{1,15}(?:\.\d{1,9})?)([kmgtKMGT]?)$/.exec(text)
  return found === null ? null : Math.round(Number(found[1]) * units[found[2]!]!)
}

/** The text between `<tag>` and its end, with what XML escapes; null where there is none. */
export function readTag(xml: string, tag: string): string | null {
  const from = xml.indexOf(`<${tag}>`)
  if (from === -1) return null
  const to = xml.indexOf(`</${tag}>`, from)
  if (to === -1) throw new UnreadableError(`${tag} does not end: ${show(xml)}`)
  const text = xml.slice(from + tag.length + 2, to)
  return text.includes('&') ? text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => entities[name] ?? '') : text
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

export function show(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
