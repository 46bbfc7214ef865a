import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Db } from '../../src/store/open.ts'

/** Runs `factor` times faster than real time from `start` on. */
export interface FastClock extends Clock {
  readonly factor: number
  readonly start: Date
  /** When it was started, in real time. */
  readonly startedAt: Date
}

/** With `startedAt`, several processes share one. */
export function fastClock(factor: number, start: Date = new Date(), startedAt: Date = new Date()): FastClock {
  return {
    factor,
    start,
    startedAt,
    now: () => new Date(start.getTime() + (Date.now() - startedAt.getTime()) * factor),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  }
}

export interface HandClock extends Clock {
  /** Lets `ms` pass: wakes the sleepers whose time comes, in its order, each at its own time; also those who lie down again meanwhile. */
  advance(ms: number): Promise<void>
  /** How many sleep at present. */
  sleepers(): number
  /** ms until the next one wakes; null while nobody sleeps. */
  untilNext(): number | null
}

/** Stands still until it is moved. */
export function handClock(start: Date = new Date('2026-03-01T12:00:00Z')): HandClock {
  let now = start.getTime()
  let order = 0
  const asleep = new Set<{ readonly at: number; readonly order: number; wake(): void }>()
  const next = () =>
    [...asleep].reduce<{ at: number; order: number; wake(): void } | null>(
      (first, one) =>
        first === null || one.at < first.at || (one.at === first.at && one.order < first.order) ? one : first,
      null,
    )
  return {
    now: () => new Date(now),
    sleep(ms, signal) {
      return new Promise(resolve => {
        if (signal?.aborted === true) return resolve()
        const sleeper = { at: now + Math.max(0, ms), order: order++, wake }
        function wake() {
          asleep.delete(sleeper)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        asleep.add(sleeper)
        signal?.addEventListener('abort', wake, { once: true })
      })
    },
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const first = next()
        if (first === null || first.at > end) break
        now = first.at
        first.wake()
        // What was woken may do its work, as far as it waits for nothing outside, and lie down again.
        await turn()
      }
      now = end
      await turn()
    },
    sleepers: () => asleep.size,
    untilNext() {
      const first = next()
      return first === null ? null : first.at - now
    },
  }
}

/**
 * Lets a database follow a fast clock: `now()` means the clock's time from here on, in our statements and in the defaults of our columns, so that leases
 * and back-off pass as fast as everything else. The function itself is replaced: PGlite takes no search path that would lead past it.
 */
export async function letDatabaseFollow(db: Db, clock: FastClock): Promise<void> {
  const seconds = (at: Date) => (at.getTime() / 1000).toFixed(3)
  await db.transaction(async tx => {
    await tx.execute(sql`set local allow_system_table_mods = on`)
    await tx.execute(
      sql.raw(`create or replace function pg_catalog.now() returns timestamptz language sql stable as $$
        select to_timestamp(${seconds(clock.start)} + (extract(epoch from transaction_timestamp()) - ${seconds(clock.startedAt)}) * ${clock.factor})
      $$`),
    )
  })
}
