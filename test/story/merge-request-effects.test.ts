import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 400_000 })

// `first` runs until it is released; `second` waits for it, and writes a file when it runs.
const two = (world: World) => ({
  '.compops.yml': `jobs:
  first: { script: ['until [ -e ${join(world.place, 'release')} ]; do sleep 0.1; done'] }
  second: { needs: [first], script: [touch ${join(world.place, 'second')}] }
`,
})
const release = (world: World) => writeFile(join(world.place, 'release'), '')
const secondRan = (world: World) =>
  access(join(world.place, 'second')).then(
    () => true,
    () => false,
  )
const by = (world: World, iid: number) => ({ projectId: world.project.id, iid, userId: world.alice.id })
const runs = (world: World, sha: string) =>
  until('first to run', () => world.statuses(sha)['compops/first'] === 'running', 150)
const hasEnd = (world: World, sha: string, name: string, state: string) =>
  until(`${name} to be ${state}`, () => world.statuses(sha)[name] === state, 150)
const answered = (world: World, text: string) =>
  until(`a delivery to come to: ${text}`, () => world.logged.some(line => line.includes(text)), 150)

/** As a person does by the button in GitLab. */
async function cancelPipeline(world: World, pipelineId: number): Promise<void> {
  const { token } = world.simulator.createToken(world.alice.id)
  const url = `${world.simulator.url}/api/v4/projects/${world.project.id}/pipelines/${pipelineId}/cancel`
  const answer = await fetch(url, { method: 'POST', headers: { 'private-token': token } })
  expect(answer.status).toBeLessThan(300)
}

const pipelineOf = (world: World, sha: string) =>
  world.simulator.pipelines(world.project.id).findLast(one => one.sha === sha && one.jobs.length > 0)!

describe.concurrent('a merge request that is closed without a merge', () => {
  it('cancels what has not begun; what runs finishes; reopened, the rest runs after all', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', two(world))
      const { iid } = await world.openMergeRequest('calc/heat')
      await runs(world, sha)
      await world.simulator.closeMergeRequest(by(world, iid))
      await hasEnd(world, sha, 'compops/second', 'canceled')
      expect(world.description(sha, 'compops/second')).toContain(`merge request !${iid} was closed`)
      expect(world.statuses(sha)['compops/first']).toBe('running')
      await release(world)
      expect(await world.treeEnds(sha)).toEqual({
        'compops/first': 'success',
        'compops/second': 'canceled',
        'compops/tree': 'canceled',
      })
      await world.simulator.reopenMergeRequest(by(world, iid))
      expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/second': 'success' })
      expect(await secondRan(world)).toBe(true)
    }))

  it('cancels nothing while the branch has another one open', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', two(world))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.simulator.createBranch(world.project.id, 'develop', 'main', world.alice.id)
      const other = await world.simulator.createMergeRequest({
        ...{ projectId: world.project.id, sourceBranch: 'calc/heat', targetBranch: 'develop' },
        ...{ title: 'The same, elsewhere', authorId: world.alice.id },
      })
      await runs(world, sha)
      await world.simulator.closeMergeRequest(by(world, iid))
      await answered(world, `!${iid} is closed; calc/heat has !${other.iid} open`)
      await release(world)
      await world.treeEnds(sha, ['success'])
    }))

  it('whose hook never came is found by comparing', () =>
    inWorld({ hook: false, gitlab: '  webhook: off\n  poll_interval: 5s' }, async world => {
      await until('the first sight of the project', () => world.logged.some(line => line.includes('baseline')), 60)
      const sha = await world.push('calc/heat', two(world))
      const { iid } = await world.openMergeRequest('calc/heat')
      await runs(world, sha)
      await until('its note', () => world.note(iid), 60)
      await world.simulator.closeMergeRequest(by(world, iid))
      await hasEnd(world, sha, 'compops/second', 'canceled')
      await release(world)
      await world.treeEnds(sha, ['canceled'])
    }))
})

describe.concurrent('a merge request that is merged', () => {
  it('lets everything go on, also what has not begun', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', two(world))
      const { iid } = await world.openMergeRequest('calc/heat')
      await runs(world, sha)
      await world.simulator.mergeMergeRequest(by(world, iid))
      await answered(world, `merge request !${iid} is merged`)
      await release(world)
      await world.treeEnds(sha, ['success'])
    }))
})

describe.concurrent('a draft', () => {
  const draft = (world: World) =>
    world.simulator.createMergeRequest({
      ...{ projectId: world.project.id, sourceBranch: 'calc/heat', targetBranch: 'main', draft: true },
      ...{ title: 'Unfinished', authorId: world.alice.id },
    })
  const file = { '.compops.yml': 'jobs:\n  solve: { script: [echo solved] }\n' }

  it('is computed like any other merge request', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', file)
      await draft(world)
      await world.treeEnds(sha, ['success'])
    }))

  it('is held where the site says so, with the reason, until it is marked ready', () =>
    inWorld({ rule: '    clusters: [laptop]\n    drafts: hold' }, async world => {
      // A branch without a merge request is no draft.
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      const { iid } = await draft(world)
      const sha = await world.push('calc/heat', { ...file, 'note.txt': 'more\n' })
      await until('the note to say why', () => world.note(iid)?.body.includes(`!${iid} is a draft`), 60)
      expect(world.statuses(sha)['compops/solve']).toBe('pending')
      await world.stopService()
      await world.start()
      await world.simulator.markReady(by(world, iid))
      await world.treeEnds(sha, ['success'])
    }))
})

describe.concurrent('a pipeline', () => {
  it('that a person cancels in GitLab takes the jobs off the cluster, running ones too', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', two(world))
      const { iid } = await world.openMergeRequest('calc/heat')
      await runs(world, sha)
      const { id } = pipelineOf(world, sha)
      await cancelPipeline(world, id)
      await until(
        'the note to tell',
        () => world.note(iid)?.body.includes(`pipeline ${id} was cancelled in GitLab`),
        60,
      )
      expect(await world.treeEnds(sha)).toEqual({
        'compops/first': 'canceled',
        'compops/second': 'canceled',
        'compops/tree': 'canceled',
      })
      await release(world)
      expect(await secondRan(world)).toBe(false)
    }))

  it('of CI that a person cancels counts as well, also where another of its jobs had failed', () =>
    inWorld({ gitlab: '  ci_pipeline_wait: 20s' }, async world => {
      world.simulator.settings.ciJobs = 'fail'
      const sha = await world.push('calc/heat', { ...two(world), '.gitlab-ci.yml': 'lint:\n  script: ["false"]\n' })
      await runs(world, sha)
      await until('the CI job to have failed', () => pipelineOf(world, sha).jobs.some(job => job.status === 'failed'))
      await cancelPipeline(world, pipelineOf(world, sha).id)
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/first': 'canceled', 'compops/tree': 'canceled' })
      expect(pipelineOf(world, sha).status).toBe('failed')
    }))

  it('that GitLab cancels as redundant, because the branch has moved on, ends no running job', () =>
    inWorld({}, async world => {
      const old = await world.push('calc/heat', two(world))
      await runs(world, old)
      const { id } = pipelineOf(world, old)
      const sha = await world.push('calc/heat', { ...two(world), 'note.txt': 'more\n' })
      await runs(world, sha)
      await cancelPipeline(world, id)
      await answered(world, `pipeline ${id} is canceled; its branch has moved on from ${old.slice(0, 8)}`)
      await release(world)
      await world.treeEnds(sha, ['success'])
      await hasEnd(world, old, 'compops/first', 'success')
    }))

  it('that is canceled because we ended its jobs is nobody else’s wish: what is reopened meanwhile goes on', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': two(world)['.compops.yml'] })
      const { iid } = await world.openMergeRequest('calc/heat')
      await runs(world, sha)
      await world.simulator.closeMergeRequest(by(world, iid))
      await hasEnd(world, sha, 'compops/second', 'canceled')
      await release(world)
      await world.treeEnds(sha, ['canceled'])
      const told = await until('the hook of the canceled pipeline', () =>
        world.simulator
          .deliveries()
          .find(one => one.event === 'Pipeline Hook' && one.requestBody.includes('"status":"canceled"')),
      )
      await world.simulator.reopenMergeRequest(by(world, iid))
      await world.simulator.resend(told.id)
      await world.treeEnds(sha, ['success'])
      expect(world.logged.some(line => line.includes('was cancelled in GitLab'))).toBe(false)
    }))
})
