import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eq, getTableColumns } from 'drizzle-orm'
import { describe, expect, test, vi } from 'vitest'
import { noArguments } from '../../src/command/order.ts'
import { perform } from '../../src/command/perform.ts'
import { findProject } from '../../src/store/projects.ts'
import { attempts, runDirectories, runs } from '../../src/store/schema.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 300_000 })

/** `mesh` makes the grid of `size.txt`, says elsewhere that it ran, and `solve` reads it. */
const computation = (world: World, more = '') => `jobs:
  mesh:
    cache: { paths: [size.txt] }
    script: [mkdir -p grid, cp size.txt grid/mesh.msh, 'echo "{\\"cells\\": 12}" > cells.json', echo ran >> ${ledger(world)}]
    outputs: [grid/*.msh]
    metrics: cells.json
  solve:
    needs: [mesh]
    script: [cat grid/mesh.msh${more}]
`
const ledger = (world: World) => join(world.place, 'mesh-ran')
const timesRan = (world: World) =>
  existsSync(ledger(world)) ? readFileSync(ledger(world), 'utf8').split('\n').length - 1 : 0
const push = (world: World, size: string, more = '') =>
  world.push('calc/heat', { '.compops.yml': computation(world, more), 'size.txt': size })
const runOf = async (world: World, sha: string) =>
  (await world.service.context.db.select().from(runs).where(eq(runs.sha, sha))).at(-1)!
const attemptsOf = (world: World, sha: string) =>
  world.service.context.db
    .select(getTableColumns(attempts))
    .from(attempts)
    .innerJoin(runs, eq(runs.id, attempts.runId))
    .where(eq(runs.sha, sha))
const meshOf = async (world: World, sha: string) =>
  join(world.place, 'cluster', String(world.project.id), 'runs', (await runOf(world, sha)).id, 'work/grid/mesh.msh')

describe.concurrent('a job with cache: true', () => {
  test('whose equal has completed is not run: its files are there for the next job, and everybody is told where they came from', () =>
    inWorld({}, async world => {
      const first = await push(world, '12\n')
      await world.treeEnds(first, ['success'])
      expect(timesRan(world)).toBe(1)

      // Another file of the repository, another command of another job: nothing that mesh depends on.
      const second = await push(world, '12\n', ', echo again')
      const { iid } = await world.openMergeRequest('calc/heat')
      expect(await world.treeEnds(second, ['success'])).toMatchObject({ 'compops/mesh': 'success' })
      expect(timesRan(world)).toBe(1)
      const words = `reused from run ${(await runOf(world, first)).id} (mesh, ${first.slice(0, 8)})`
      expect(world.description(second, 'compops/mesh')).toBe(`laptop · completed, ${words}`)
      await until('the note to say so', () => /reused from \[an earlier run\]/.test(world.note(iid)?.body ?? ''), 90)
      expect(readFileSync(await meshOf(world, second), 'utf8')).toBe('12\n')

      const evidence = await until('the evidence', () => world.evidenceOf('calc/heat', second), 90)
      expect(evidence).toMatch(
        new RegExp(`reused: \\{ ?run: ${(await runOf(world, first)).id}, job: mesh, sha: "?${first}"? ?\\}`),
      )
      expect(evidence).toContain('path: grid/mesh.msh')
      expect(evidence).toContain('cells: 12')
    }))

  test('runs where an input has changed, and where a person wants it run', () =>
    inWorld({}, async world => {
      await world.treeEnds(await push(world, '12\n'), ['success'])
      const sha = await push(world, '13\n')
      await world.treeEnds(sha, ['success'])
      expect(timesRan(world)).toBe(2)
      const project = (await findProject(world.service.context.db, world.project.id))!
      const order = (verb: string, target: string | null, cause: number) =>
        perform(world.service.context, {
          ...{ verb, target, args: noArguments, project, at: { branch: 'calc/heat' }, cause: `note:${cause}` as const },
          person: { id: world.alice.id, username: 'alice', name: world.alice.name },
        })
      expect((await order('test', 'mesh', 1)).outcome).toBe('done')
      await until('it to have run again', () => timesRan(world) === 3, 90)
      await world.treeEnds(sha, ['success'])
      expect((await order('run', null, 2)).outcome).toBe('done')
      await until('it to have run in the new run', () => timesRan(world) === 4, 90)
    }))

  test('runs where the file was changed after the job had ended, and where its directory is being removed', () =>
    inWorld({}, async world => {
      const first = await push(world, '12\n')
      await world.treeEnds(first, ['success'])
      writeFileSync(await meshOf(world, first), '99\n')
      const second = await push(world, '12\n', ', echo again')
      await world.treeEnds(second, ['success'])
      expect(timesRan(world)).toBe(2)
      expect(readFileSync(await meshOf(world, second), 'utf8')).toBe('12\n')
      const tries = (await attemptsOf(world, second)).flatMap(one => (one.reused === null ? [] : one.message))
      expect(tries).toEqual([expect.stringContaining('grid/mesh.msh was changed after the job had ended')])

      const days = { days: 1, connection: 'laptop' }
      for (const sha of [first, second])
        await world.service.context.db.insert(runDirectories).values({ ...days, runId: (await runOf(world, sha)).id })
      await world.treeEnds(await push(world, '12\n', ', echo thrice'), ['success'])
      expect(timesRan(world)).toBe(3)
    }))

  test('that was being taken over when the service died is taken over once', () =>
    inWorld({}, async world => {
      await world.treeEnds(await push(world, '12\n'), ['success'])
      const second = await push(world, '12\n', ', echo again')
      await until('the attempt to be there', async () => (await attemptsOf(world, second)).length > 0, 90)
      await world.stopService()
      await world.start()
      await world.treeEnds(second, ['success'])
      expect(timesRan(world)).toBe(1)
      expect((await attemptsOf(world, second)).filter(one => one.reused !== null)).toHaveLength(1)
    }))
})
