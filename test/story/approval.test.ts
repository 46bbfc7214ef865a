import { describe, expect, test, vi } from 'vitest'
import { noArguments } from '../../src/command/order.ts'
import { perform } from '../../src/command/perform.ts'
import { approveRun } from '../../src/run/approve.ts'
import { findProject } from '../../src/store/projects.ts'
import { runs } from '../../src/store/schema.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 })

const rule = '    clusters: [laptop]\n    approval: { core_hours: 10 }'
const file = (hours: number) => ({ '.compops.yml': `jobs:\n  solve: { script: [echo solved], time: ${hours}h }\n` })

const personOf = (world: World, username: string, level: 30 | 40 | 50) => {
  const user = world.simulator.createUser({ username, name: username.toUpperCase() })
  world.simulator.addMember(world.project.id, user.id, level)
  return { id: user.id, username, name: user.name }
}
const runOf = (world: World, sha: string) =>
  until('the run', async () => (await world.service.context.db.select().from(runs)).find(run => run.sha === sha), 60)
const approve = async (world: World, sha: string, person: { id: number; username: string; name: string }) =>
  approveRun(world.service.context, { runId: (await runOf(world, sha)).id, person })
/** As by the note `/compops approve` on the merge request. */
const command = async (
  world: World,
  iid: number,
  person: { id: number; username: string; name: string },
  cause: number,
) => {
  const project = (await findProject(world.service.context.db, world.project.id))!
  return perform(world.service.context, {
    ...{ verb: 'approve', target: null, args: noArguments, project, person },
    ...{ at: { mergeRequest: iid }, cause: `note:${cause}` as const },
  })
}
const held = (world: World, sha: string) =>
  until('the approval to be awaited', () => world.statuses(sha)['compops/approval'] === 'pending', 60)

describe.concurrent('a run that can cost more than the site lets begin unasked', () => {
  test('is held until a Maintainer who did not cause it approves, and says so where people look', () =>
    inWorld({ rule }, async world => {
      const alice = { id: world.alice.id, username: 'alice', name: world.alice.name }
      const [bob, dave] = [personOf(world, 'bob', 40), personOf(world, 'dave', 30)]
      const sha = await world.push('calc/heat', file(20))
      const { iid } = await world.openMergeRequest('calc/heat')
      await held(world, sha)
      const asks =
        'it can cost at most 20 core-h; above 10 core-h a Maintainer other than alice approves it: `/compops approve`'
      await until('the note to say what is needed', () => world.note(iid)?.body.includes(`held: ${asks}`), 60)

      expect(await approve(world, sha, alice)).toMatchObject({ why: expect.stringContaining('who caused a run') })
      expect(await approve(world, sha, dave)).toMatchObject({ why: expect.stringContaining('only a Maintainer') })
      expect(await command(world, iid, dave, 1)).toMatchObject({ outcome: 'refused' })
      expect((await command(world, iid, alice, 2)).said).toContain('ask another Maintainer')
      await world.stopService()
      await world.start()
      expect(world.statuses(sha)).toMatchObject({ 'compops/solve': 'pending', 'compops/approval': 'pending' })

      expect(await command(world, iid, bob, 3)).toEqual({ outcome: 'done', said: 'Approved: solve may begin.' })
      expect(await command(world, iid, bob, 3)).toMatchObject({ outcome: 'done' })
      expect(await approve(world, sha, bob)).toEqual({ kind: 'refused', why: 'it was approved by bob already' })
      expect(await world.treeEnds(sha)).toEqual({
        'compops/approval': 'success',
        'compops/solve': 'success',
        'compops/tree': 'success',
      })
      await until('the note to say who approved', () => world.note(iid)?.body.includes('Approved by bob'), 60)
      expect(world.description(sha, 'compops/approval')).toBe('approved by bob: at most 20 core-h')
    }))

  test('that is superseded, or whose branch goes, leaves no approval awaited', () =>
    inWorld({ rule }, async world => {
      const old = await world.push('calc/heat', file(20))
      await held(world, old)
      const sha = await world.push('calc/heat', { ...file(20), 'note.txt': 'more\n' })
      expect(await world.treeEnds(old)).toMatchObject({ 'compops/approval': 'canceled', 'compops/tree': 'canceled' })
      await held(world, sha)
      const bob = personOf(world, 'bob', 50)
      expect(await approve(world, old, bob)).toEqual({ kind: 'refused', why: 'a newer push has taken over' })
      await world.simulator.deleteBranch(world.project.id, 'calc/heat', world.alice.id)
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/approval': 'canceled', 'compops/tree': 'canceled' })
      expect(await approve(world, sha, bob)).toEqual({ kind: 'refused', why: 'it has ended' })
    }))

  test('is not what costs less: nobody is asked', () =>
    inWorld({ rule }, async world => {
      const sha = await world.push('calc/heat', file(10))
      expect(Object.keys(await world.treeEnds(sha, ['success']))).toEqual(['compops/solve', 'compops/tree'])
    }))
})
