import { and, eq } from 'drizzle-orm'
import { expect, it, onTestFinished } from 'vitest'
import { startScheduledRuns } from '../../src/run/tick.ts'
import { runs, schedules } from '../../src/store/schema.ts'
import { until } from '../support/until.ts'
import { startWorld } from '../support/world.ts'

const file = `schedule: { cron: "*/10 * * * *", timezone: Europe/Berlin }
jobs:
  always: { script: ["true"] }
  nightly: { script: ["true"], rules: [{ if: $COMPOPS_CAUSE == "schedule" }] }
`

it('a branch with a schedule is computed at its times too, with the jobs that are for that, until its file says otherwise', async () => {
  const world = await startWorld({ database: 'postgres' })
  onTestFinished(() => world.close())
  const sha = await world.push('calc/nightly', { '.compops.yml': file })
  expect(Object.keys(await world.treeEnds(sha))).not.toContain('compops/nightly')
  const { db, wake } = world.service.context
  const [row] = await db.select().from(schedules)
  expect(row!.tickAt > new Date() && row!.tickAt.getUTCMinutes() % 10).toBe(0)

  // Its time comes.
  const tickAt = new Date(Date.now() - 1_000)
  await db.update(schedules).set({ tickAt })
  wake.call('schedule')
  const run = await until('the scheduled run to end', async () => {
    const found = await db
      .select()
      .from(runs)
      .where(eq(runs.cause, `tick:${tickAt.toISOString()}`))
    return found[0]?.endedAt != null && found[0]
  })
  expect(run).toMatchObject({ sha, state: 'completed', causedHow: 'schedule */10 * * * * (Europe/Berlin)' })
  await until('GitLab to be told', () => world.statuses(sha)['compops/nightly'] === 'success')

  // The file at the head says when: without a schedule there is none.
  await world.push('calc/nightly', { '.compops.yml': 'jobs: { always: { script: ["true"] } }\n' })
  await until(
    'the schedule to be gone',
    async () => (await world.service.context.db.select().from(schedules)).length === 0,
  )
})

it('a schedule for some branches is not that of every branch made from one of them', async () => {
  const world = await startWorld({ database: 'postgres' })
  onTestFinished(() => world.close())
  const text = file.replace('timezone', 'branches: [calc/nightly], timezone')
  const one = await world.push('calc/nightly', { '.compops.yml': text })
  const other = await world.push('calc/nightly-2', { '.compops.yml': `${text}# another\n` })
  await world.treeEnds(one)
  await world.treeEnds(other)
  expect(await world.service.context.db.select().from(schedules)).toHaveLength(1)
})

it('two replicas start a scheduled run once, one that was killed before it wrote the next time none again; of times that passed while nobody was there one is made up for', async () => {
  const world = await startWorld({ database: 'postgres' })
  onTestFinished(() => world.close())
  const sha = await world.push('calc/nightly', { '.compops.yml': file.replace('*/10 * * * *', '@yearly') })
  await world.treeEnds(sha)
  const { context } = world.service
  const { db } = context
  const dueAt = new Date(Date.now() - 86_400_000)
  const makeDue = () => db.update(schedules).set({ tickAt: dueAt })
  const ofTick = () =>
    db
      .select()
      .from(runs)
      .where(and(eq(runs.sha, sha), eq(runs.cause, `tick:${dueAt.toISOString()}`)))
  const bothLook = () =>
    Promise.all(['one', 'two'].map(lane => startScheduledRuns({ ...context, claimant: `${context.holder} ${lane}` })))

  await makeDue()
  await bothLook()
  const [run] = await until('the run to end', async () => {
    const found = await ofTick()
    return found[0]?.endedAt != null && found
  })
  expect(run?.state).toBe('completed')
  const nextAt = async () => (await db.select().from(schedules))[0]!.tickAt
  await until('the next time to be written', async () => (await nextAt()) > new Date())

  await makeDue()
  await bothLook()
  await until('the next time to be written', async () => (await nextAt()) > new Date())
  expect(await ofTick()).toHaveLength(1)

  // Years of a daily schedule pass while the service is down.
  await world.stopService()
  const store = await world.openRows()
  const longAgo = new Date('2020-01-01T03:00:00Z')
  await store.db.update(schedules).set({ cron: '@daily', tickAt: longAgo })
  await store.close()
  await world.start()
  const after = world.service.context.db
  await until(
    'the next time to be in the future',
    async () => (await after.select().from(schedules))[0]!.tickAt > new Date(),
  )
  const causes = (await after.select().from(runs).where(eq(runs.sha, sha))).map(one => one.cause)
  expect(causes.filter(cause => cause.startsWith('tick:')).sort()).toEqual([
    `tick:${longAgo.toISOString()}`,
    `tick:${dueAt.toISOString()}`,
  ])
})
