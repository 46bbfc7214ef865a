/**
 * An operator holds a cluster back. `drain`: no job begins there any more; what is being handed over and what runs goes on, and is looked after as
 * always. `pause` stops at once: what is being handed over waits too, and the scheduler is asked as seldom as it may be. Cancelling works in both.
 */
export type HoldMode = 'pause' | 'drain'

export interface Hold {
  readonly cluster: string
  readonly mode: HoldMode
  /** Why, for people; null where nobody said. */
  readonly reason: string | null
  readonly by: string
  readonly since: Date
  /** null: until somebody resumes it. */
  readonly until: Date | null
}

/** e.g. `falcon is paused by root until 2026-12-01 08:00 UTC: disks are exchanged` */
export function describeHold({ cluster, mode, reason, by, until }: Hold): string {
  const end = until === null ? '' : ` until ${until.toISOString().slice(0, 16).replace('T', ' ')} UTC`
  return `${cluster} is ${mode === 'pause' ? 'paused' : 'drained'} by ${by}${end}${reason === null ? '' : `: ${reason}`}`
}

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * When a hold ends, as a person writes it: `90m`, `2h`, `3d` from now, `18:00` (the next one), `2026-12-01 08:00`, or with an offset of its own,
 * `2026-12-01T08:00Z`. Local to the time zone. null for what is none of these, or not in the future.
 */
export function readMoment(text: string, now: Date, timeZone: string): Date | null {
  const span = /^(\d{1,5})([mhd])$/.exec(text)
  if (span !== null) return future(new Date(now.getTime() + Number(span[1]) * units[span[2]!]!), now)
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(text)) return future(new Date(text), now)
  const [, day, time] = /^(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d)$/.exec(text) ?? []
  if (time === undefined) return null
  if (day !== undefined) return future(local(day, time, timeZone), now)
  for (const ahead of [0, 1]) {
    const at = local(dayOf(new Date(now.getTime() + ahead * 86_400_000), timeZone), time, timeZone)
    if (future(at, now) !== null) return at
  }
  return null
}

function future(at: Date, now: Date): Date | null {
  return at.getTime() > now.getTime() ? at : null
}

function dayOf(at: Date, timeZone: string): string {
  return wallClock(at, timeZone).slice(0, 10)
}

/** `2026-12-01T08:00` as the clocks there show it. */
function wallClock(at: Date, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }).format(at)
  return parts.replace(' ', 'T')
}

/** The moment at which the clocks of a zone show this: guessed as UTC, then set right by what they show then, twice for the change of the hour. */
function local(day: string, time: string, timeZone: string): Date {
  const wanted = Date.parse(`${day}T${time}:00Z`)
  if (Number.isNaN(wanted)) return new Date(Number.NaN)
  let at = wanted
  for (let turn = 0; turn < 2; turn++) at += wanted - Date.parse(`${wallClock(new Date(at), timeZone)}:00Z`)
  return new Date(at)
}
