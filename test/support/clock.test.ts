import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { holdLease } from '../../src/store/leases.ts'
import { first, openStore } from '../../src/store/open.ts'
import { saveProject } from '../../src/store/projects.ts'
import { projects } from '../../src/store/schema.ts'
import { createWake } from '../../src/wake.ts'
import { fastClock, handClock, letDatabaseFollow } from './clock.ts'
import { startPostgres } from './postgres.ts'
import { until } from './until.ts'

const at = (clock: { now(): Date }) => clock.now().toISOString().slice(11, 23)

describe('a clock that is moved by hand', () => {
  it('stands still until it is advanced, and wakes sleepers in the order of their times', async () => {
    const clock = handClock(new Date('2026-03-01T12:00:00Z'))
    const woken: string[] = []
    for (const ms of [300, 100, 200]) void clock.sleep(ms).then(() => woken.push(`${ms} at ${at(clock)}`))
    expect(at(clock)).toBe('12:00:00.000')
    expect(clock.sleepers()).toBe(3)
    expect(clock.untilNext()).toBe(100)
    await clock.advance(250)
    expect(woken).toEqual(['100 at 12:00:00.100', '200 at 12:00:00.200'])
    expect(at(clock)).toBe('12:00:00.250')
    await clock.advance(50)
    expect(woken.at(-1)).toBe('300 at 12:00:00.300')
    expect(clock.untilNext()).toBeNull()
  })

  it('lets who lies down again be woken in the same stretch', async () => {
    const clock = handClock()
    const beats: string[] = []
    void (async () => {
      for (let n = 0; n < 4; n++) {
        await clock.sleep(1_000)
        beats.push(at(clock))
      }
    })()
    await clock.advance(3_500)
    expect(beats).toEqual(['12:00:01.000', '12:00:02.000', '12:00:03.000'])
  })

  it('lets a sleeper go at once when its signal aborts', async () => {
    const clock = handClock()
    const stop = new AbortController()
    const slept = clock.sleep(60_000, stop.signal)
    stop.abort()
    await slept
    expect(clock.sleepers()).toBe(0)
    await clock.sleep(60_000, stop.signal)
  })

  it('is what workers wait by: an interval passes when it is advanced, a call ends it sooner', async () => {
    const clock = handClock()
    const wake = createWake(clock)
    const running = new AbortController().signal
    let woken = 0
    const wait = () => wake.wait('poll', wake.mark('poll'), 15_000, running).then(() => woken++)
    void wait()
    await clock.advance(14_999)
    expect(woken).toBe(0)
    await clock.advance(1)
    expect(woken).toBe(1)
    const second = wait()
    wake.call('poll')
    await second
    expect(clock.sleepers()).toBe(0)
  })
})

describe('a fast clock', () => {
  it('lets an hour pass in a tenth of a second', async () => {
    const clock = fastClock(36_000, new Date('2026-03-01T12:00:00Z'))
    await clock.sleep(3_600_000)
    expect(clock.now().getTime()).toBeGreaterThanOrEqual(Date.parse('2026-03-01T12:59:00Z'))
  })

  it.each(['PGlite', 'Postgres'] as const)(
    'takes %s along: leases end and defaults are written by it',
    async engine => {
      const dataDir = await mkdtemp(join(tmpdir(), 'compops-clock-'))
      const postgres = engine === 'Postgres' ? await startPostgres() : null
      if (engine === 'Postgres' && postgres === null)
        throw new Error('install PostgreSQL (Debian: apt-get install postgresql)')
      const options = { databaseUrl: (await postgres?.createDatabase()) ?? null, dataDir }
      onTestFinished(async () => {
        await postgres?.stop()
        await rm(dataDir, { recursive: true, force: true })
      })
      const clock = fastClock(600, new Date('2030-01-01T00:00:00Z'))
      const prepared = await openStore(options)
      await letDatabaseFollow(prepared.db, clock)
      await prepared.close()
      const { db, close } = await openStore(options)
      onTestFinished(close)
      const now = async () => Date.parse((await first<{ at: string }>(db, sql`select now()::text as at`))!.at)
      expect(Math.abs((await now()) - clock.now().getTime())).toBeLessThan(60_000)
      await saveProject(db, { id: 1, path: 'physics/heat', defaultBranch: 'main' })
      expect((await db.select().from(projects))[0]?.firstSeenAt.getUTCFullYear()).toBe(2030)
      await holdLease(db, 'heads', 'one', 60)
      await until('the lease of a minute to end', async () => (await holdLease(db, 'heads', 'two', 60)) !== null, 5)
    },
  )
})
