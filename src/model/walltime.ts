/** What reading a person's text gives: the value, or what is wrong and what to write instead. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string; readonly remedy: string }

const unitSeconds: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1 }
const longest = 3_650 * 86_400

/**
 * A wall time limit in seconds, from `90m`, `1h30m`, `2d`, `45s` or `[d-]hh:mm:ss`.
 *
 * Bare numbers are refused: Slurm reads 30 as minutes, LSF as minutes or hours:minutes, people as anything. So is an unquoted 00:30:00 (`quoted` false): YAML 1.1 readers
 * take it for a number in base 60, which Slurm would then read as minutes (the CSCS manual warns of it), so the same file would mean two things.
 */
export function parseWalltime(value: unknown, quoted = true): Parsed<number> {
  if (typeof value === 'number') return refuseNumber(value)
  if (typeof value !== 'string')
    return wrong('A time is a text with units', 'Write for example `90m`, `2h` or "02:00:00"')
  const text = value.trim()
  if (/^\d+(\.\d+)?$/.test(text)) return refuseNumber(Number(text))

  if (/^\d+(:\d+)+$/.test(text) && !quoted) {
    const inUnits = fromClock(text)
    const instead = inUnits.ok ? `"${text}" in quotes, or \`${withUnits(inUnits.value)}\`` : `"${text}" in quotes`
    return wrong('An unquoted time with colons is a number to some YAML readers', `Write ${instead}`)
  }
  if (text.includes(':')) return withinLimits(fromClock(text))
  return withinLimits(fromUnits(text))
}

function refuseNumber(value: number): Parsed<number> {
  const whole = Number.isSafeInteger(value) && value > 0
  if (!whole) return wrong('A number without a unit is not a time', 'Write for example `90m`, `2h` or "02:00:00"')
  return wrong(
    `${value} has no unit`,
    `Write \`${value}m\` for minutes, \`${value}s\` for seconds, or "hh:mm:ss" in quotes`,
  )
}

function fromUnits(text: string): Parsed<number> {
  const parts = /^(?:(\d{1,9})\s*d)?\s*(?:(\d{1,9})\s*h)?\s*(?:(\d{1,9})\s*m)?\s*(?:(\d{1,9})\s*s)?$/.exec(text)
  if (parts === null || text === '')
    return wrong(
      'This is not a time',
      'Write for example `90m`, `1h30m`, `2d` or "02:00:00"; the units are d, h, m and s',
    )
  const [, d = '0', h = '0', m = '0', s = '0'] = parts
  return { ok: true, value: Number(d) * 86_400 + Number(h) * 3_600 + Number(m) * 60 + Number(s) }
}

function fromClock(text: string): Parsed<number> {
  const two = /^(\d{1,6}):(\d{1,2})$/.exec(text)
  if (two !== null) {
    const [, a = '', b = ''] = two
    return wrong(
      'This could be hours and minutes or minutes and seconds',
      `Write "${a.padStart(2, '0')}:${b.padStart(2, '0')}:00" or \`${Number(a)}h${Number(b)}m\` for the first, "00:${a.padStart(2, '0')}:${b.padStart(2, '0')}" or \`${Number(a)}m${Number(b)}s\` for the second`,
    )
  }
  const parts = /^(?:(\d{1,6})-)?(\d{1,6}):(\d{1,2}):(\d{1,2})$/.exec(text)
  if (parts === null)
    return wrong(
      'This is not a time',
      'Write `[days-]hours:minutes:seconds` in quotes, for example "1-12:00:00", or `36h`',
    )
  const [, days, h = '0', m = '0', s = '0'] = parts
  if (Number(m) > 59 || Number(s) > 59 || (days !== undefined && Number(h) > 23))
    return wrong(
      'Minutes and seconds go to 59, hours beside days to 23',
      'Write for example "01:30:00", "1-12:00:00" or `90m`',
    )
  return { ok: true, value: Number(days ?? 0) * 86_400 + Number(h) * 3_600 + Number(m) * 60 + Number(s) }
}

function withinLimits(parsed: Parsed<number>): Parsed<number> {
  if (!parsed.ok) return parsed
  // Slurm takes 0 for "no limit"; nobody means that by accident.
  if (parsed.value === 0)
    return wrong('A time limit of 0 ends a job before it starts', 'Write how long the job may run, for example `30m`')
  if (parsed.value > longest)
    return wrong('This is longer than ten years', 'Write how long the job may run, for example `2d`')
  return parsed
}

function withUnits(seconds: number): string {
  const text = split(seconds)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('')
  return text === '' ? '0s' : text
}

function split(seconds: number): [number, string][] {
  let rest = Math.round(seconds)
  return Object.entries(unitSeconds).map(([unit, size]) => {
    const amount = Math.floor(rest / size)
    rest -= amount * size
    return [amount, unit]
  })
}

/** Seconds as text. `people`: the two largest units, `1 d 2 h`, `1 h 04 m`, `2 h`, `45 s`. `slurm`: `[d-]hh:mm:ss`, exact. `units`: `1h30m`, exact, as .compops.yml takes it. */
export function formatWalltime(seconds: number, style: 'people' | 'slurm' | 'units' = 'people'): string {
  if (style === 'units') return withUnits(seconds)
  const parts = split(Math.max(0, seconds))
  if (style === 'slurm') {
    const [d = 0, h = 0, m = 0, s = 0] = parts.map(([amount]) => amount)
    const clock = [h, m, s].map(amount => String(amount).padStart(2, '0')).join(':')
    return d > 0 ? `${d}-${clock}` : clock
  }
  const first = parts.findIndex(([amount]) => amount > 0)
  if (first === -1) return '0 s'
  const [amount, unit] = parts[first] as [number, string]
  const [nextAmount, nextUnit] = parts[first + 1] ?? [0, '']
  if (nextAmount === 0) return `${amount} ${unit}`
  // Minutes and seconds in two digits, so that columns stand still: 1 h 04 m.
  const second = unit === 'd' ? String(nextAmount) : String(nextAmount).padStart(2, '0')
  return `${amount} ${unit} ${second} ${nextUnit}`
}

function wrong(message: string, remedy: string): Parsed<never> {
  return { ok: false, message: `${message}.`, remedy: `${remedy}.` }
}
