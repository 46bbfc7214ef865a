import { writeFile } from 'node:fs/promises'
import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { rows } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 180_000 * patience })

// Rights that are taken away, projects that go elsewhere: nothing is concluded from what cannot be seen.
const slow = (seconds: number) => ({ '.compops.yml': `jobs:\n  slow:\n    script: [sleep ${seconds}]\n` })
const quick = { more: 'intervals: { note: 200ms, heads: 1s }' }
const running = (world: World, sha: string) =>
  until('the job to run', () => world.statuses(sha)['compops/slow'] === 'running', 60)
const said = (world: World, words: RegExp) =>
  until(String(words), () => world.logged.some(line => words.test(line)), 60)
const ended = (world: World) =>
  until(
    'the run to end',
    async () => (await rows(world.service.context.db, sql`select 1 from runs where ended_at is not null`))[0],
    60,
  )

/** Not one branch is taken for deleted, or suspected of it, and nothing was cancelled. */
async function nothingConcluded(world: World): Promise<void> {
  const { db } = world.service.context
  expect(await rows(db, sql`select ref from branches where state = 'gone' or missing_since is not null`)).toEqual([])
  expect(await rows(db, sql`select name from jobs where cancel_reason is not null or state = 'canceled'`)).toEqual([])
}

describe.concurrent('a token', () => {
  it('that is revoked: no branch is taken for deleted; the job ends, and a new token tells it', () =>
    inWorld({ ...quick, tokenFile: true }, async world => {
      const sha = await world.push('calc/heat', slow(3))
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('the note', () => world.note(iid))
      world.simulator.revokeToken(world.token)
      await said(world, /heads could not be compared/)
      await ended(world)
      await nothingConcluded(world)
      expect(world.statuses(sha)['compops/tree']).not.toBe('success')
      const next = world.simulator.createUser({ username: 'compops-2', name: 'ComputationalOps 2', bot: true })
      world.simulator.addMember(world.project.id, next.id, 30)
      await writeFile(world.tokenFile, world.simulator.createToken(next.id, { scopes: ['api'] }).token)
      await world.treeEnds(sha, ['success'], 90)
      // The old bot's note cannot be edited by the new one, which makes its own and goes on with it.
      const trees = () =>
        world.simulator.notes(world.project.id, iid).filter(note => note.body.includes('<!-- compops:tree'))
      await until(
        'its own note',
        () => trees().some(note => note.authorId === next.id && /completed/.test(note.body)),
        60,
      )
      const second = await world.push('calc/heat', { 'more.txt': 'more' })
      await world.treeEnds(second, ['success'], 90)
      await until('the note of the second', () => trees().at(-1)?.body.includes(second.slice(0, 8)))
      expect(trees().map(note => note.authorId)).toEqual([world.bot.id, next.id])
      await nothingConcluded(world)
    }))

  it('whose user is taken out of the project: it looks deleted, and is not taken for it', () =>
    inWorld(quick, async world => {
      const sha = await world.push('calc/heat', slow(3))
      await running(world, sha)
      world.simulator.removeMember(world.project.id, world.bot.id)
      await said(world, /heads could not be compared/)
      await ended(world)
      await nothingConcluded(world)
      world.simulator.addMember(world.project.id, world.bot.id, 30)
      await world.treeEnds(sha, ['success'], 90)
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 90)
    }))
})

describe.concurrent('a project', () => {
  it('that moves while a run goes on is told the end where it is now, and goes on there', () =>
    inWorld(quick, async world => {
      const sha = await world.push('calc/heat', slow(3))
      await running(world, sha)
      world.simulator.moveProject(world.project.id, 'physics/cold')
      await said(world, /physics\/heat has moved to physics\/cold/)
      await world.treeEnds(sha, ['success'])
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)
      const second = await world.push('calc/heat', slow(0))
      await world.treeEnds(second, ['success'])
      await nothingConcluded(world)
    }))

  it('whose former address another project takes is not mistaken for it: neither gets what is the other’s', () =>
    inWorld(quick, async world => {
      const sha = await world.push('calc/heat', slow(3))
      await running(world, sha)
      world.simulator.moveProject(world.project.id, 'physics/cold')
      const other = world.simulator.createProject({ path: 'physics/heat' })
      world.simulator.addMember(other.id, world.alice.id, 40)
      world.simulator.addMember(other.id, world.bot.id, 30)
      const commit = (branch: string, files: Record<string, string>) =>
        world.simulator.commit({ projectId: other.id, branch, files, message: 'theirs', authorId: world.alice.id })
      await commit('main', { 'README.md': 'Another\n' })
      await commit('calc/heat', slow(0))
      await world.treeEnds(sha, ['success'])
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)
      await until(
        'both to be known',
        async () =>
          (await rows(world.service.context.db, sql`select 1 from projects where baseline_at is not null`)).length ===
          2,
      )
      const runs = await rows<{ project_id: string; sha: string }>(
        world.service.context.db,
        sql`select project_id, sha from runs`,
      )
      expect(runs.map(run => [Number(run.project_id), run.sha])).toEqual([[world.project.id, sha]])
      expect(await world.simulator.files(other.id, 'compops/evidence')).toBeNull()
      await nothingConcluded(world)
    }))

  it('that is archived keeps its results waiting, and is told them when it is opened again', () =>
    inWorld(quick, async world => {
      const sha = await world.push('calc/heat', slow(3))
      await running(world, sha)
      world.simulator.archiveProject(world.project.id)
      await ended(world)
      await said(world, /evidence could not be committed/)
      const before = world.simulator.arrivals().length
      await said(world, /status could not be sent/)
      world.simulator.archiveProject(world.project.id, false)
      await world.treeEnds(sha, ['success'], 90)
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 90)
      const writes = world.simulator
        .arrivals()
        .slice(before)
        .filter(one => one.method === 'POST')
      expect(writes.length).toBeLessThan(40)
    }))

  it('that is deleted: its job ends undisturbed, others are served, nothing is cancelled on a guess', () =>
    inWorld(quick, async world => {
      const sha = await world.push('calc/heat', slow(3))
      await running(world, sha)
      world.simulator.deleteProject(world.project.id)
      await said(world, /heads could not be compared/)
      await ended(world)
      await nothingConcluded(world)
      const other = world.simulator.createProject({ path: 'physics/waves' })
      world.simulator.addMember(other.id, world.alice.id, 40)
      world.simulator.addMember(other.id, world.bot.id, 30)
      world.simulator.addHook(other.id, { url: `${world.url}/webhooks/gitlab`, token: world.secret, push: true })
      const commit = (branch: string, files: Record<string, string>) =>
        world.simulator.commit({ projectId: other.id, branch, files, message: 'a change', authorId: world.alice.id })
      await commit('main', { 'README.md': 'Waves\n' })
      const theirs = await commit('calc/waves', slow(0))
      await until(
        'the other project to be served',
        () =>
          world.simulator
            .statuses(other.id, theirs)
            .some(row => row.name === 'compops/tree' && row.status === 'success'),
        60,
      )
    }))
})
