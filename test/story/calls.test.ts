import { expect, it, onTestFinished } from 'vitest'
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
