import { afterEach, expect, it } from 'vitest'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// A student runs the service on the login node: no port that GitLab reaches, no ssh, a Slurm whose commands are on this machine.
let world: World | null = null
let slurm: FakeSlurm | null = null
afterEach(async () => {
  await world?.close()
  slurm?.stop()
  world = null
  slurm = null
})

it('without webhooks and without ssh a push computes, and its merge request gets the note', async () => {
  slurm = startFakeSlurm()
  const w = await startWorld({
    database: 'postgres',
    hook: false,
    gitlab: '  webhook: off\n  poll_interval: 1s',
    clusters: `  here: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s }`,
    rule: '    clusters: [here]',
    more: 'intervals: { note: 200ms, shortest_poll: 1s }',
  })
  world = w
  await until('the first look at heads', () => w.logged.some(line => line.includes('first sight')))
  const sha = await w.push('calc/heat', { '.compops.yml': 'jobs:\n  heat:\n    script: [echo warm]\n' })
  const { iid } = await w.openMergeRequest('calc/heat')
  expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
  await until('the note', () => w.note(iid)?.body.includes('completed'))
  await until('the evidence', () => w.evidenceOf('calc/heat', sha))
  expect(slurm.jobs()).toHaveLength(1)
  expect(slurm.calls('sbatch')).toHaveLength(1)

  const posted = await fetch(`${w.url}/webhooks/gitlab`, { method: 'POST', body: '{}' })
  expect(posted.status).toBe(404)
  expect(await posted.json()).toEqual({
    error: 'webhooks are off here (gitlab.webhook: off): heads and merge requests are looked at',
  })

  // Polite: a look at a project in which nothing moves is one listing of its refs, and three questions.
  await until('all to be told', () => w.ourNotes(iid).length === 1)
  w.simulator.resetRequests()
  const looks = () => w.simulator.requests().filter(one => one.path.includes('/merge_requests?')).length
  await until('three more looks', () => looks() >= 3)
  const calls = w.simulator.requests().map(one => `${one.method} ${one.path}`)
  expect(calls.length / looks(), calls.join('\n')).toBeLessThanOrEqual(4.5)
})
