/** Amounts as people read them: never a number without its unit, never a time without its zone. */

/** `12 s`, `2 m 10 s`, `1 h 04 m`, `2 d 03 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (!Number.isFinite(whole)) return 'unknown'
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return pair(Math.floor(whole / 60), 'm', whole % 60, 's')
  const minutes = Math.round(whole / 60)
  if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm')
  const hours = Math.round(whole / 3600)
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${String(small).padStart(2, '0')} ${smallUnit}`
}

/** Whole seconds between two instants; null where one of them is not known. Clocks of clusters may be askew: never negative. */
export function secondsBetween(from: Date | null, to: Date | null): number | null {
  return from === null || to === null ? null : Math.max(0, (to.getTime() - from.getTime()) / 1000)
}

const sizeUnits = ['B', 'K', 'M', 'G', 'T', 'P'] as const

/** Bytes with the schedulers' binary units: `512 B`, `2.1 G`, `16 G`. */
export function formatSize(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return 'unknown'
  let value = bytes
  let unit = 0
  // 1023.6 K reads as 1024 K: rounded first, then the next unit is tried.
  while (Math.round(value) >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  const text =
    unit > 0 && value < 9.95 && Math.round(value * 10) % 10 !== 0 ? value.toFixed(1) : String(Math.round(value))
  return `${text} ${sizeUnits[unit]}`
}

export function formatMebibytes(mebibytes: number): string {
  return formatSize(mebibytes * 1024 * 1024)
}

/** A ratio as percent: `31 %`, `0.4 %`. */
export function formatPercent(ratio: number): string {
  const percent = ratio * 100
  if (!Number.isFinite(percent)) return 'unknown'
  const size = Math.abs(percent)
  return `${size > 0 && size < 9.95 && Math.round(size * 10) % 10 !== 0 ? percent.toFixed(1) : Math.round(percent)} %`
}

/** `0.05 core-h`, `4.2 core-h`, `1,300 core-h`. */
export function formatCoreHours(coreSeconds: number): string {
  const hours = coreSeconds / 3600
  if (hours > 0 && hours < 0.005) return '< 0.01 core-h'
  if (hours < 0.095) return `${hours.toFixed(2)} core-h`
  return `${hours < 9.95 ? hours.toFixed(1).replace(/\.0$/, '') : formatCount(Math.round(hours))} core-h`
}

/** A count of things, with separators: `1,300`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 job`, `4 jobs`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** A number of the researcher's own, without a unit of ours: up to five significant digits, nothing invented. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value)
  const short = Number(value.toPrecision(5))
  return Math.abs(short) !== 0 && (Math.abs(short) < 1e-4 || Math.abs(short) >= 1e15)
    ? short.toExponential().replace('e+', 'e')
    : String(short)
}

interface ZoneFormat {
  readonly parts: Intl.DateTimeFormat
  readonly names: readonly Intl.DateTimeFormat[]
}

const zoneFormats = new Map<string, ZoneFormat>()

/** Which English knows a zone by its letters depends on the country: CET is known in Britain, EST in America. */
const countries = ['en-GB', 'en-US', 'en-AU', 'en-IN', 'en-CA', 'en-NZ', 'en-ZA']

function zoneFormat(timeZone: string): ZoneFormat {
  const known = zoneFormats.get(timeZone)
  if (known !== undefined) return known
  const format = {
    parts: new Intl.DateTimeFormat('en-GB', {
      timeZone,
      year: 'numeric',
      month: 'short',
      day: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    }),
    names: countries.map(country => new Intl.DateTimeFormat(country, { timeZone, timeZoneName: 'short' })),
  }
  zoneFormats.set(timeZone, format)
  return format
}

function zoneName(date: Date, format: ZoneFormat): string {
  let fallback = 'UTC'
  for (const each of format.names) {
    const name = each.formatToParts(date).find(part => part.type === 'timeZoneName')?.value ?? ''
    if (/^[A-Z]{2,5}$/.test(name) && name !== 'GMT') return name
    // "GMT" is the name of Britain's winter, and of what has no name: `GMT+5:30`.
    if (name === 'GMT' && each === format.names[0]) fallback = 'GMT'
    else if (name !== 'GMT') fallback = name.replace('GMT', 'UTC')
  }
  return fallback
}

export interface TimeStyle {
  /** The day from which it is read; on the same day the date is left out. */
  readonly seenFrom?: Date
  readonly seconds?: boolean
}

/** `16:32 CET`; with a date when it is another day than `seenFrom`: `19 Nov, 16:32 CET`; with the year when that is another. */
export function formatTime(date: Date, timeZone: string, style: TimeStyle = {}): string {
  const format = zoneFormat(timeZone)
  const at = partsOf(date, format)
  const seen = style.seenFrom === undefined ? null : partsOf(style.seenFrom, format)
  const clock = `${at.hour}:${at.minute}${style.seconds === true ? `:${at.second}` : ''} ${zoneName(date, format)}`
  if (seen === null || seen.year !== at.year) return `${at.day} ${at.month} ${at.year}, ${clock}`
  if (seen.month !== at.month || seen.day !== at.day) return `${at.day} ${at.month}, ${clock}`
  return clock
}

function partsOf(date: Date, format: ZoneFormat): Record<string, string> {
  return Object.fromEntries(format.parts.formatToParts(date).map(part => [part.type, part.value]))
}
