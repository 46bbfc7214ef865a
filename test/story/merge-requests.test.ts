import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { sweepRuns } from '../../src/run/sweep.ts'
import { ROUTES } from '../../src/simulator/simulator.ts'
import { branches, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 180_000 * patience })

// What people do with a merge request and its pipelines while the computation is under way.
const slow = (seconds: number) => ({ '.compops.yml': `jobs:\n  slow:\n    script: [sleep ${seconds}]\n` })
/** Its job runs for as long as the file is there: a state is not missed because the machine is slow. */
const whileThere = (file: string) => ({
  '.compops.yml': `jobs:\n  slow:\n    script: ['while [ -e ${file} ]; do sleep 0.1; done']\n`,
})
const trees = (world: World, iid: number) => world.ourNotes(iid).filter(note => note.body.includes('<!-- compops:tree'))
const by = (world: World, iid: number) => ({ projectId: world.project.id, iid, userId: world.alice.id })

async function running(world: World, seconds = 4): Promise<{ sha: string; iid: number }> {
  const sha = await world.push('calc/heat', slow(seconds))
  const { iid } = await world.openMergeRequest('calc/heat')
  await until('the note', () => trees(world, iid)[0]?.body.includes('running'), 60)
  return { sha, iid }
}

const ends = (world: World, iid: number) =>
  until('the final note', () => trees(world, iid).some(note => note.body.includes('completed')), 60)

describe.concurrent('a merge request', () => {
  it('that is closed, reopened and retargeted while its run goes on keeps its one note, which tells the end', () =>
    inWorld({}, async world => {
      const { sha, iid } = await running(world)
      await world.simulator.createBranch(world.project.id, 'develop', 'main', world.alice.id)
      await world.simulator.closeMergeRequest(by(world, iid))
      await world.simulator.reopenMergeRequest(by(world, iid))
      await world.simulator.updateMergeRequest({ ...by(world, iid), targetBranch: 'develop' })
      await world.treeEnds(sha, ['success'])
      await ends(world, iid)
      expect(trees(world, iid)).toHaveLength(1)
    }))

  it('that is closed for good still gets the end told in its note', () =>
    inWorld({}, async world => {
      const { sha, iid } = await running(world)
      await world.simulator.closeMergeRequest(by(world, iid))
      await world.treeEnds(sha, ['success'])
      await ends(world, iid)
      expect(world.simulator.mergeRequest(world.project.id, iid).state).toBe('closed')
    }))

  it('that is merged while its run goes on, its branch deleted: what runs goes on to its end', () =>
    inWorld({}, async world => {
      const { sha, iid } = await running(world)
      await world.simulator.mergeMergeRequest({ ...by(world, iid), removeSourceBranch: true })
      expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/slow': 'success' })
      await ends(world, iid)
      expect(await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)).toContain('completed')
    }))

  it('whose note a person deletes again and again: it comes back when the run has ended, once', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', {
        '.compops.yml':
          'jobs:\n  a:\n    script: [sleep 1]\n  b:\n    needs: [a]\n    script: [sleep 1]\n  c:\n    needs: [b]\n    script: [sleep 1]\n',
      })
      const { iid } = await world.openMergeRequest('calc/heat')
      const first = await until('the note', () => trees(world, iid)[0])
      world.simulator.deleteNote({ projectId: world.project.id, mrIid: iid, noteId: first.id, userId: world.alice.id })
      await world.treeEnds(sha, ['success'], 90)
      await ends(world, iid)
      const made = world.simulator.requests().filter(one => one.method === 'POST' && /notes$/.test(one.path))
      expect(made.map(one => one.status)).toEqual([201, 201])
      expect(trees(world, iid)).toHaveLength(1)
    }))

  it('on which nobody may comment for a while: asked now and then, told when it may be', () =>
    inWorld({}, async world => {
      const heal = world.simulator.faults.respond(ROUTES.writeNote, {
        status: 403,
        body: '{"message":"403 Forbidden"}',
        headers: { 'content-type': 'application/json' },
      })
      const sha = await world.push('calc/heat', slow(1))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      await until('it to have been tried again', () => heal.met >= 3)
      expect(heal.met).toBeLessThan(12)
      heal()
      await ends(world, iid)
      expect(trees(world, iid)).toHaveLength(1)
    }))

  it('beside another of the same branch: each has its note', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', slow(2))
      await world.simulator.createBranch(world.project.id, 'develop', 'main', world.alice.id)
      const { iid } = await world.openMergeRequest('calc/heat')
      const other = await world.simulator.createMergeRequest({
        projectId: world.project.id,
        sourceBranch: 'calc/heat',
        targetBranch: 'develop',
        title: 'The same, elsewhere',
        authorId: world.alice.id,
      })
      await world.treeEnds(sha, ['success'])
      await ends(world, iid)
      await ends(world, other.iid)
      expect([trees(world, iid).length, trees(world, other.iid).length]).toEqual([1, 1])
    }))

  it('from a fork with a branch of the same name: nothing is run or said there', () =>
    inWorld({}, async world => {
      const carol = world.simulator.createUser({ username: 'carol', name: 'Carol', password: 'secret-carol' })
      world.simulator.addMember(world.project.id, carol.id, 20)
      const fork = await world.simulator.createFork(world.project.id, 'carol/heat', carol.id)
      await world.simulator.commit({
        projectId: fork.id,
        branch: 'calc/heat',
        files: { '.compops.yml': 'jobs:\n  stolen:\n    script: [id]\n' },
        message: 'mine',
        authorId: carol.id,
      })
      const sha = await world.push('calc/heat', slow(1))
      const foreign = await world.simulator.createMergeRequest({
        projectId: world.project.id,
        sourceProjectId: fork.id,
        sourceBranch: 'calc/heat',
        targetBranch: 'main',
        title: 'From a fork',
        authorId: carol.id,
      })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      await ends(world, iid)
      expect(world.ourNotes(foreign.iid)).toEqual([])
      expect(world.statuses(foreign.sha)).toEqual({})
    }))
})

describe.concurrent('statuses', () => {
  const ci = '.gitlab-ci.yml'
  const of = (world: World, source: string) =>
    world.simulator.pipelines(world.project.id).find(pipeline => pipeline.source === source)
  const names = (world: World, source: string) =>
    Object.fromEntries(
      (of(world, source)?.jobs ?? [])
        .filter(job => job.type === 'external' && !job.retried)
        .map(job => [job.name, job.status]),
    )

  it('that had to go without the pipeline of their commit move there when it appears; none stays unfinished', () =>
    inWorld({ gitlab: '  ci_pipeline_wait: 1s' }, async world => {
      world.simulator.settings.ciHold = true
      const flag = join(world.place, 'wait')
      await writeFile(flag, '')
      await world.push('calc/heat', { ...whileThere(flag), [ci]: 'lint:\n  script: ["true"]\n' })
      await until('an external pipeline', () => names(world, 'external')['compops/slow'] === 'running', 60)
      world.simulator.releasePipelines()
      await rm(flag)
      await until(
        'the statuses in the pipeline of the push',
        () => names(world, 'push')['compops/tree'] === 'success',
        60,
      )
      expect(names(world, 'push')).toEqual({ 'compops/slow': 'success', 'compops/tree': 'success' })
      await until('what was left to be closed', async () => {
        await sweepRuns(world.service.context)
        return Object.values(names(world, 'external')).every(state => state === 'success')
      })
    }))

  it('of two branches at one commit end by themselves: what is looked over of one run leaves the other alone', () =>
    inWorld({}, async world => {
      const { db } = world.service.context
      const flag = join(world.place, 'wait')
      const sha = await world.push('calc/first', whileThere(flag))
      await world.treeEnds(sha, ['success'])
      await writeFile(flag, '')
      // A branch that is gone computes for nobody.
      await world.simulator.deleteBranch(world.project.id, 'calc/first', world.alice.id)
      const first = eq(branches.ref, 'refs/heads/calc/first')
      await until(
        'the first to be gone',
        async () => (await db.select().from(branches).where(first))[0]?.state === 'gone',
      )
      await world.simulator.createBranch(world.project.id, 'calc/second', sha, world.alice.id)
      const second = (name: string) =>
        world.simulator
          .statuses(world.project.id, sha)
          .find(status => status.ref === 'calc/second' && status.name === name)?.status
      await until('the second to run', () => second('compops/slow') === 'running', 60)
      await db.update(runs).set({ hasCi: true, sweptAt: null }).where(eq(runs.ref, 'refs/heads/calc/first'))
      await until('the first to be looked over', async () => {
        await sweepRuns(world.service.context)
        return (await db.select().from(runs).where(eq(runs.ref, 'refs/heads/calc/first'))).every(run => run.sweptAt)
      })
      expect([second('compops/slow'), second('compops/tree')]).toEqual(['running', 'running'])
      await rm(flag)
      await until('the second to end', () => second('compops/tree') === 'success', 60)
    }))

  it('move to the pipeline of a merge request that is opened while the run goes on', () =>
    inWorld({}, async world => {
      const rules =
        'lint:\n  script: ["true"]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == "merge_request_event"\n    - if: $CI_COMMIT_BRANCH\n'
      await world.push('calc/heat', { ...slow(5), [ci]: rules })
      await until('the job to run', () => names(world, 'push')['compops/slow'] === 'running', 60)
      await world.openMergeRequest('calc/heat')
      await until('its pipeline', () => of(world, 'merge_request_event'))
      await until('the statuses there', () => names(world, 'merge_request_event')['compops/tree'] === 'success', 60)
      expect(names(world, 'merge_request_event')).toEqual({ 'compops/slow': 'success', 'compops/tree': 'success' })
    }))

  it('for which the pipeline has no room (422) are told once and not sent again; the note says everything', () =>
    inWorld({}, async world => {
      world.simulator.settings.ciPipelineSize = 1
      const sha = await world.push('calc/heat', { ...slow(1), [ci]: 'lint:\n  script: ["true"]\n' })
      const { iid } = await world.openMergeRequest('calc/heat')
      await ends(world, iid)
      const posts = () => world.simulator.requests().filter(one => one.path.includes(`statuses/${sha}`))
      await until('the last to be refused', () =>
        world.logged.some(line => line.includes('as many jobs as GitLab allows') && line.includes('compops/tree')),
      )
      expect(posts().every(one => one.status === 422)).toBe(true)
      expect(posts().length).toBeLessThanOrEqual(6)
    }))

  it('that GitLab refuses for good (a CI job has the name) are told once and not sent again', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { ...slow(1), [ci]: 'compops/slow:\n  script: ["true"]\n' })
      await until('the tree', () => names(world, 'push')['compops/tree'] === 'success', 60)
      const refused = world.simulator
        .requests()
        .filter(one => one.method === 'POST' && one.path.includes(`statuses/${sha}`) && one.status === 400)
      expect(refused.length).toBeGreaterThan(0)
      expect(refused.length).toBeLessThanOrEqual(3)
      expect(world.logged.some(line => line.includes('a CI job of this pipeline is named compops/slow too'))).toBe(true)
    }))
})
