import { eq } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { type Answer, noArguments, type Order } from '../../src/command/order.ts'
import { perform } from '../../src/command/perform.ts'
import { findProject } from '../../src/store/projects.ts'
import { runs } from '../../src/store/schema.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 })

// What a person can have done to a run, by whatever way the order comes in.

let orders = 0
type Given = Partial<Pick<Order, 'target' | 'args' | 'person' | 'cause'>>

async function order(world: World, verb: string, given: Given = {}): Promise<Answer> {
  const project = (await findProject(world.service.context.db, world.project.id))!
  return perform(world.service.context, {
    ...{ verb, target: null, args: noArguments, project, at: { branch: 'calc/heat' } },
    ...{ person: { id: world.alice.id, username: 'alice', name: 'Alice' }, cause: `api:${++orders}` as const },
    ...given,
  })
}

/** A job that fails at its first try. */
const twice = `jobs:
  mesh:
    script: ['true']
  solve:
    needs: [mesh]
    script: ['[ "$COMPOPS_ATTEMPT" -gt 1 ]']
  plot:
    needs: [solve]
    script: ['true']
`

const runsOf = (world: World) =>
  world.service.context.db.select().from(runs).where(eq(runs.projectId, world.project.id)).orderBy(runs.id)

describe.concurrent('a person', () => {
  it('runs again what failed: what completed keeps its result, what was skipped follows', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': twice })
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/solve': 'failed', 'compops/plot': 'skipped' })
      expect(await order(world, 'retest')).toMatchObject({ outcome: 'done', said: expect.stringContaining('`solve`') })
      expect(await world.treeEnds(sha, ['success'])).toEqual({
        'compops/mesh': 'success',
        'compops/solve': 'success',
        'compops/plot': 'success',
        'compops/tree': 'success',
      })
      expect(await order(world, 'rerun')).toMatchObject({ outcome: 'nothing to do' })
      expect(await runsOf(world)).toHaveLength(1)
    }))

  it('computes the head anew, in a run of its own whose statuses hold from then on; asked twice for one cause it is one run', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': "jobs:\n  mesh:\n    script: ['true']\n" })
      await world.treeEnds(sha, ['success'])
      const again = { cause: 'note:4711' } as const
      expect(await order(world, 'run', again)).toMatchObject({ outcome: 'done' })
      expect(await order(world, 'run', again)).toMatchObject({ outcome: 'done' })
      const both = await until('the second run to end', async () => {
        const all = await runsOf(world)
        return all.length === 2 && all.every(run => run.endedAt !== null) && all
      })
      expect(both.map(run => [run.cause, run.state])).toEqual([
        ['head:1', 'completed'],
        ['note:4711', 'completed'],
      ])
      await world.treeEnds(sha, ['success'])
    }))

  it('runs one job again that has completed, in the same run, with other values of its parameters in a run of its own', () =>
    inWorld({}, async world => {
      const file = `jobs:
  mesh:
    script: ['true']
  solve:
    needs: [mesh]
    params: { degree: 1 }
    script: ['true']
  other:
    script: ['true']
`
      const sha = await world.push('calc/heat', { '.compops.yml': file })
      await world.treeEnds(sha, ['success'])
      expect(await order(world, 'test', { target: 'solve' })).toMatchObject({
        outcome: 'done',
        said: '`solve` runs again.',
      })
      await until('the run to end again', async () => (await runsOf(world))[0]?.endedAt !== null)
      const values = { args: { ...noArguments, values: { degree: '3' } } }
      expect(await order(world, 'run', { target: 'solve', ...values })).toMatchObject({ outcome: 'done' })
      const second = await until('the second run', async () => {
        const run = (await runsOf(world))[1]
        return run?.endedAt != null && run
      })
      expect(second.state).toBe('completed')
      const evidence = await until('its record', () =>
        world.simulator
          .files(world.project.id, 'compops/evidence')
          .then(
            files =>
              files?.find(
                name => name.includes(second.id.slice(-4)) && name.endsWith('.yml') && name.startsWith('runs/'),
              ) ?? false,
          ),
      )
      const record = (await world.evidence(evidence)) ?? ''
      expect(record).toContain('degree: 3')
      expect(record).toContain('mesh:')
      expect(record).not.toContain('other:')
      const slip = { args: { ...noArguments, values: { degre: '3' } } }
      expect(await order(world, 'run', slip)).toMatchObject({
        outcome: 'refused',
        said: expect.stringContaining('degree'),
      })
    }))

  it('means by the name of a job with a matrix all that it has made, by the name of one that one', () =>
    inWorld({}, async world => {
      const file = `jobs:
  sweep:
    parallel: { matrix: [{ DEGREE: [1, 2, 3] }] }
    script: ['echo degree $DEGREE', '[ "$COMPOPS_ATTEMPT" -gt 1 ] || [ "$DEGREE" = 1 ]']
`
      const sha = await world.push('calc/heat', { '.compops.yml': file })
      await world.treeEnds(sha, ['failed'])
      const why = await order(world, 'why', { target: 'sweep' })
      expect(why.said).toMatch(/`sweep-2` failed[\s\S]*`sweep-3` failed[\s\S]*One has completed\./)
      const logs = await order(world, 'logs', { target: 'sweep' })
      expect(logs.said).toMatch(/degree 2[\s\S]*degree 3[\s\S]*degree 1/)
      expect(await order(world, 'retry', { target: 'sweep' })).toMatchObject({
        outcome: 'done',
        said: '`sweep-2`, `sweep-3` run again; the other one is let be.',
      })
      await world.treeEnds(sha, ['success'])
      expect(await order(world, 'retry', { target: 'sweep' })).toMatchObject({
        outcome: 'refused',
        said: 'Sweep-1 has completed; sweep-2 has completed; sweep-3 has completed.',
      })
      expect(await order(world, 'test', { target: 'sweep-2' })).toMatchObject({ said: '`sweep-2` runs again.' })
      await until('the run to end again', async () => (await runsOf(world))[0]?.endedAt !== null)
      const values = { args: { ...noArguments, values: { DEGREE: '7' } } }
      expect(await order(world, 'run', { target: 'sweep', ...values })).toMatchObject({
        outcome: 'done',
        said: expect.stringContaining('3 jobs'),
      })
      expect((await order(world, 'plan', { target: 'sweep' })).said).toContain('3 jobs')
    }))

  it('ends what is under way, and the cluster confirms it', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', {
        '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 60]\n  after:\n    needs: [slow]\n    script: [echo]\n',
      })
      await until('it runs', () => world.statuses(sha)['compops/slow'] === 'running')
      expect(await order(world, 'cancel', { target: 'slow' })).toMatchObject({ outcome: 'done' })
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/slow': 'canceled', 'compops/after': 'skipped' })
      expect(world.description(sha, 'compops/slow')).toContain('canceled by alice')
      expect(await order(world, 'cancel')).toMatchObject({ outcome: 'nothing to do' })
    }))

  it('holds what has not begun, and lets it go on', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', {
        '.compops.yml': 'jobs:\n  first:\n    script: [sleep 2]\n  second:\n    needs: [first]\n    script: [echo]\n',
      })
      await until('it runs', () => world.statuses(sha)['compops/first'] === 'running')
      const why = { args: { ...noArguments, options: { why: 'the data comes @all tomorrow' } } }
      expect(await order(world, 'hold', why)).toMatchObject({
        outcome: 'done',
        said: expect.stringContaining('`second`'),
      })
      await until('the first to end', () => world.statuses(sha)['compops/first'] === 'success')
      const told = await order(world, 'status')
      expect(told.said).toMatch(/`second` held: held by alice: the data comes @\S*all tomorrow/)
      expect(told.said).not.toContain('@all')
      // Of a page it means the job of that name; only in a note it lets go.
      expect(await order(world, 'hold', { target: 'cancel' })).toMatchObject({ outcome: 'refused' })
      expect(await order(world, 'hold', { target: 'cancel', cause: 'note:1' })).toMatchObject({ outcome: 'done' })
      await world.treeEnds(sha, ['success'])
    }))

  it('without the right is told who may, and nothing happens', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 5]\n' })
      await until('it runs', () => world.statuses(sha)['compops/slow'] === 'running')
      const { simulator, project } = world
      const bob = simulator.createUser({
        username: 'bob',
        name: 'Bob',
        email: 'bob@example.org',
        password: 'x'.repeat(12),
      })
      const asBob = { person: { id: bob.id, username: 'bob', name: 'Bob' } }
      expect(await order(world, 'cancel', asBob)).toMatchObject({
        outcome: 'refused',
        said: expect.stringContaining('Only members'),
      })
      simulator.addMember(project.id, bob.id, 20)
      expect(await order(world, 'cancel', asBob)).toMatchObject({
        outcome: 'refused',
        said: expect.stringContaining('Developer'),
      })
      expect(await order(world, 'status', asBob)).toMatchObject({ outcome: 'done' })
      expect(await order(world, 'frobnicate', asBob)).toMatchObject({
        outcome: 'refused',
        said: expect.stringContaining('There are:'),
      })
      expect(await order(world, 'cancel', { target: 'slwo' })).toMatchObject({
        outcome: 'refused',
        said: expect.stringContaining('`slow`'),
      })
      await world.treeEnds(sha, ['success'])
    }))
})
