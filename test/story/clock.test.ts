import { expect, it, onTestFinished } from 'vitest'
import { fastClock } from '../support/clock.ts'
import { until } from '../support/until.ts'
import { startWorld } from '../support/world.ts'

it('on a fast clock the whole service waits a fraction of the time: what only the ten-minute look at heads can find is found in seconds', async () => {
  const clock = fastClock(100)
  const more = 'intervals: { note: 60s, heads: 10m }'
  const world = await startWorld({ clock, database: 'postgres', hook: false, more })
  onTestFinished(() => world.close())
  await until('the first look at heads', () => world.logged.some(line => line.includes('first sight')))
  const sha = await world.push('calc/fast', { '.compops.yml': 'jobs:\n  a:\n    script: ["true"]\n' })
  expect(await world.treeEnds(sha)).toMatchObject({ 'compops/a': 'success' })
  await until('the evidence', () => world.evidenceOf('calc/fast', sha))
})
