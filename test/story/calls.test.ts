import { expect, it, onTestFinished } from 'vitest'
import { reports } from '../../src/store/schema.ts'
import { fastClock } from '../support/clock.ts'
import { until } from '../support/until.ts'
import { startWorld } from '../support/world.ts'

const file = { '.compops.yml': 'jobs:\n  a:\n    script: [sleep 1]\n' }

it('a run of one job with a merge request costs GitLab at most twelve calls', async () => {
  const world = await startWorld({ database: 'postgres', more: 'intervals: { note: 10s }' })
  onTestFinished(() => world.close())
  const once = ['first sight', 'this service is']
  await until('its first calls', () => once.every(text => world.logged.some(line => line.includes(text))))
  await until('its look at its token', () => world.simulator.requests().some(one => one.path.endsWith('/self')))
  world.simulator.resetRequests()
  const sha = await world.push('calc/one', file)
  const { iid } = await world.openMergeRequest('calc/one')
  await world.treeEnds(sha)
  await until('the final note', () => world.note(iid)?.body.includes('completed'))
  await until('the evidence', () => world.evidenceOf('calc/one', sha))
  const calls = world.simulator.requests().map(({ method, path }) => `${method} ${path.split('?')[0]}`)
  // Between the first note and the last it may be edited once more, where the machine is slow.
  const edits = calls.filter(call => call.startsWith('PUT') && call.includes('/notes/')).length
  expect(calls.length - Math.max(0, edits - 1), calls.join('\n')).toBeLessThanOrEqual(12)
})

it('a merge request that no hook told of is asked for, and gets its note', async () => {
  const world = await startWorld({ database: 'postgres', more: 'intervals: { heads: 1s, note: 200ms }', hook: false })
  onTestFinished(() => world.close())
  await until('the first look at heads', () => world.logged.some(line => line.includes('first sight')))
  const sha = await world.push('calc/untold', file)
  const { iid } = await world.openMergeRequest('calc/untold')
  await world.treeEnds(sha)
  await until('the note', () => world.note(iid)?.body.includes('completed'))
})

it("GitLab's rate limit is waited for as long as it says: no report counts it as a failure, and hardly a call is refused", async () => {
  const clock = fastClock(30)
  const world = await startWorld({ database: 'postgres', clock, more: 'intervals: { note: 10s }' })
  onTestFinished(() => world.close())
  await until('the first look at heads', () => world.logged.some(line => line.includes('first sight')))
  const { simulator } = world
  simulator.settings.requestsPerMinute = 12
  const jobs = Array.from({ length: 20 }, (_, n) => `  j${n}: { script: ["true"] }\n`).join('')
  const sha = await world.push('calc/limited', { '.compops.yml': `jobs:\n${jobs}` })
  const ends = await world.treeEnds(sha, ['success'], 80)
  expect(Object.keys(ends)).toHaveLength(21)
  const refused = simulator.requests().filter(({ status }) => status === 429).length
  const sent = simulator.requests().length - refused
  expect(sent).toBeGreaterThanOrEqual(21)
  // At the end of each minute's share those under way are refused, no more than may be under way at once.
  expect(refused).toBeLessThan(17 * Math.ceil(sent / 12))
  expect(world.logged.filter(line => line.includes('could not be sent'))).toEqual([])
  const tried = await world.service.context.db.select({ tries: reports.attempts }).from(reports)
  expect(Math.max(...tried.map(one => one.tries))).toBeLessThanOrEqual(1)
})
