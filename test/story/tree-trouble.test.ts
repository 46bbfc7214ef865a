import { writeFile } from 'node:fs/promises'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 240_000 * patience })

// What people do to a tree of computations while it is computed.
const file = (script: string, top = '') => ({
  '.compops.yml': `${top}jobs:\n  solve:\n    script: ["${script}"]\n    outputs: [out.txt]\n`,
})
const waiting = (flag: string, then: string) => `while [ ! -e ${flag} ]; do sleep 0.1; done; ${then}`
const evidenceOf = async (world: World, branch: string, sha: string) =>
  parse(await until(`the evidence of ${branch}`, () => world.evidenceOf(branch, sha), 60))
const branchIs = (world: World, branch: string, what: (record: Record<string, unknown>) => boolean) =>
  until(`the page of ${branch}`, async () => what(parse((await world.evidence(`branches/${branch}.yml`)) ?? '{}')), 60)

describe.concurrent('while the children run', () => {
  it('a parent may fail, be repaired and pushed again: they end with what they began with, and are stale then', () =>
    inWorld({}, async world => {
      const flag = `${world.place}/go`
      const first = await world.push('calc/heat', file('echo one > out.txt'))
      await world.treeEnds(first, ['success'])
      const child = await world.push(
        'calc/child',
        file(waiting(flag, 'cp $COMPOPS_PARENT_DIR/out.txt out.txt; grep one out.txt'), 'parent: calc/heat\n'),
      )
      await until('the child to run', () => world.statuses(child)['compops/solve'] === 'running', 60)
      await world.treeEnds(await world.push('calc/heat', file('exit 1')), ['failed'])
      expect(world.statuses(child)['compops/solve']).toBe('running')
      const repaired = await world.push('calc/heat', file('echo two > out.txt'))
      await world.treeEnds(repaired, ['success'])
      expect(world.statuses(child)['compops/solve']).toBe('running')
      await writeFile(flag, '')
      await world.treeEnds(child, ['success'])
      expect((await evidenceOf(world, 'calc/child', child)).parent).toMatchObject({ branch: 'calc/heat', sha: first })
      await branchIs(world, 'calc/child', record => record.stale === true)
    }))
})

describe.concurrent('two merge requests of one branch', () => {
  it('go by age: the target of the oldest that is open is the parent, and of the next when that is closed', () =>
    inWorld({}, async world => {
      const { simulator, project, alice } = world
      for (const name of ['one', 'two', 'three'])
        await world.treeEnds(await world.push(`calc/${name}`, file(`echo ${name} > out.txt`)), ['success'])
      await world.treeEnds(await world.push('calc/child', file('echo 4 > out.txt'), 'a child', 'calc/three'), [
        'success',
      ])
      const into = (targetBranch: string) =>
        simulator.createMergeRequest({
          ...{ projectId: project.id, sourceBranch: 'calc/child', targetBranch, title: `Into ${targetBranch}` },
          authorId: alice.id,
        })
      const one = await into('calc/one')
      await branchIs(
        world,
        'calc/child',
        ({ parent }) => (parent as { branch?: string } | undefined)?.branch === 'calc/one',
      )
      const two = await into('calc/two')
      await until('the note of the second', () => world.note(two.iid)?.body.includes('calc/one'), 60)
      await simulator.closeMergeRequest({ projectId: project.id, iid: one.iid, userId: alice.id })
      await branchIs(
        world,
        'calc/child',
        ({ parent }) => (parent as { branch?: string } | undefined)?.branch === 'calc/two',
      )
    }))
})

describe.concurrent('branches that would wait for each other', () => {
  const waits = 'parent: calc/heat\njobs:\n  solve:\n    script: [echo solve]\n'
  const needs =
    'jobs:\n  mesh:\n    script: [sleep 20]\n  compare:\n    needs: [{ branch: calc/child, job: solve }]\n    script: [echo compare]\n'

  it('a child for its parent, and the parent for a job of the child: the second is refused, and says the circle', () =>
    inWorld({}, async world => {
      const parent = await world.push('calc/heat', {
        '.compops.yml': waits.replace('parent: calc/heat\n', '').replace('echo solve', 'sleep 20'),
      })
      await until('the parent to run', () => world.statuses(parent)['compops/solve'] === 'running', 60)
      const child = await world.push('calc/child', { '.compops.yml': waits })
      await until('the child to wait', () => world.statuses(child)['compops/solve'] === 'pending', 60)
      const round = await world.push('calc/heat', { '.compops.yml': needs })
      await world.treeEnds(round, ['failed'])
      expect(world.description(round, 'compops/tree')).toContain('wait for each other for ever')
    }))
})
