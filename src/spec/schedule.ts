import { Cron } from 'croner'
import { asLine, asMap, join, listOf, type Report, reportUnknown } from '../config/fields.ts'
import { asGlob } from '../config/values.ts'
import { type Located, quote } from '../config/yaml.ts'
import type { Schedule } from '../model/job-spec.ts'

/** Minutes: who wants it more often has something else in mind than a batch computation. */
const shortest = 5
const keys = ['cron', 'timezone', 'branches'] as const

/** `schedule: { cron: "0 3 * * *", timezone: Europe/Berlin }`. */
export function readSchedule(node: Located, path: string, report: Report): Schedule | undefined {
  const map = asMap(node, path, report)
  if (map === undefined) return undefined
  const at = (key: (typeof keys)[number]) => map.entries.find(entry => entry.key === key)
  for (const entry of map.entries)
    if (!(keys as readonly string[]).includes(entry.key))
      reportUnknown(entry, join(path, entry.key), '`schedule`', keys, report)
  const [cron, timezone, branches] = keys.map(at)
  if (cron === undefined) {
    report(node, path, '`schedule` has no `cron`.', 'Write `schedule: { cron: "0 3 * * *", timezone: Europe/Berlin }`.')
    return undefined
  }
  const text = asLine(cron.value, join(path, 'cron'), report)?.trim()
  const zone = timezone === undefined ? 'UTC' : asLine(timezone.value, join(path, 'timezone'), report)?.trim()
  const globs = branches === undefined ? null : listOf(asGlob)(branches.value, join(path, 'branches'), report)
  if (text === undefined || zone === undefined || globs === undefined) return undefined
  if (!isTimeZone(zone)) {
    report(
      timezone!,
      join(path, 'timezone'),
      `There is no time zone ${quote(zone)}.`,
      'Write its name, for example `Europe/Berlin`.',
    )
    return undefined
  }
  const refusal = refuseCron(text, zone)
  if (refusal !== null) {
    report(cron, join(path, 'cron'), `${quote(text)} ${refusal.message}.`, refusal.remedy)
    return undefined
  }
  return { cron: text, timezone: zone, ...(globs === null ? {} : { branches: globs }) }
}

function isTimeZone(zone: string): boolean {
  try {
    return /^[A-Za-z]/.test(zone) && new Intl.DateTimeFormat('en', { timeZone: zone }) !== null
  } catch {
    return false
  }
}

function refuseCron(text: string, timezone: string): { message: string; remedy: string } | null {
  const fields = 'Write minute, hour, day, month and day of the week: `0 3 * * 1-5`.'
  const named = /^@(?:hourly|daily|midnight|weekly|monthly|yearly|annually)$/.test(text)
  if (!named && text.split(/\s+/).length !== 5) return { message: 'has not five fields', remedy: fields }
  try {
    const cron = new Cron(text, { timezone, paused: true })
    const next = cron.nextRuns(25, new Date('2026-01-01T00:00:00Z'))
    if (next.length === 0) return { message: 'is never', remedy: fields }
    const gap = Math.min(...next.slice(1).map((at, i) => at.getTime() - next[i]!.getTime()))
    return gap < shortest * 60_000
      ? {
          message: `is more often than every ${shortest} minutes`,
          remedy: `Write for example \`*/${shortest} * * * *\`.`,
        }
      : null
  } catch {
    return { message: 'cannot be read', remedy: fields }
  }
}

/** The first time after this one; null where there is none any more. */
export function nextTick({ cron, timezone }: Pick<Schedule, 'cron' | 'timezone'>, after: Date): Date | null {
  return new Cron(cron, { timezone, paused: true }).nextRun(after)
}
