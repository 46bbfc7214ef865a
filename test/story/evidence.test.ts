import { execFileSync } from 'node:child_process'
import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { ROUTES } from '../../src/simulator/simulator.ts'
import { rows } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 180_000 * patience })

// What was computed stays on record, whatever people do to the branch that keeps it.
const branch = 'compops/evidence'
const hello = (n: number | string) => ({ '.compops.yml': `jobs:\n  a:\n    script: [echo ${n}]\n` })
const quick = { more: 'intervals: { note: 200ms, heads: 2s }' }

const records = async (world: World) =>
  ((await world.simulator.files(world.project.id, branch)) ?? []).filter(name => name.startsWith('runs/')).sort()

async function computed(world: World, ...names: string[]): Promise<string[]> {
  for (const name of names) {
    const sha = await world.push(`calc/${name}`, hello(name))
    await until(`the evidence of ${name}`, () => world.evidenceOf(`calc/${name}`, sha), 120)
  }
  return records(world)
}

const head = async (world: World) =>
  (await world.simulator.branches(world.project.id)).find(one => one.name === branch)?.sha ?? null

/** A person moves the evidence branch, past any fast-forward. */
async function moveTo(world: World, sha: string): Promise<void> {
  const before = (await head(world))!
  execFileSync('git', ['-C', world.project.directory, 'update-ref', `refs/heads/${branch}`, sha])
  await world.simulator.pushed(world.project.id, `refs/heads/${branch}`, before, sha, world.alice.id)
}

const back = (world: World, expected: string[]) =>
  until('all records to be back', async () => (await records(world)).join() === expected.join(), 90)

describe.concurrent('the evidence branch', () => {
  it('that a person deletes is put back as it was, though no run ends', () =>
    inWorld(quick, async world => {
      const expected = await computed(world, 'one', 'two')
      const before = await head(world)
      await world.simulator.deleteBranch(world.project.id, branch, world.alice.id)
      await back(world, expected)
      expect(await head(world)).toBe(before)
    }))

  it('that a person sets back to an older commit, or replaces by one without history, gets what is missing again', () =>
    inWorld(quick, async world => {
      await computed(world, 'one')
      const older = (await head(world))!
      const expected = await computed(world, 'two')
      await moveTo(world, older)
      await back(world, expected)
      expect((await world.simulator.commits(world.project.id, branch)).map(commit => commit.id)).toContain(older)

      const git = (...args: string[]) =>
        execFileSync('git', ['-C', world.project.directory, ...args])
          .toString()
          .trim()
      const empty = git('hash-object', '-t', 'tree', '-w', '/dev/null')
      const orphan = git('-c', 'user.name=Alice', '-c', 'user.email=a@example.org', 'commit-tree', '-m', 'clean', empty)
      await moveTo(world, orphan)
      await back(world, expected)
      expect((await world.simulator.commits(world.project.id, branch)).map(commit => commit.id)).toContain(orphan)
    }))

  it('to which a person adds a file of their own is left as it is, and gone on from', () =>
    inWorld(quick, async world => {
      const expected = await computed(world, 'one')
      const theirs = await world.simulator.commit({
        projectId: world.project.id,
        branch,
        files: { 'remarks.md': 'well done\n' },
        message: 'remarks',
        authorId: world.alice.id,
      })
      await until(
        'it to be seen',
        async () =>
          (await rows(world.service.context.db, sql`select 1 from projects where evidence_sha = ${theirs}`))[0],
      )
      expect(await head(world)).toBe(theirs)
      expect(await records(world)).toEqual(expected)
      await computed(world, 'two')
      expect(await world.evidence('remarks.md')).toBe('well done\n')
    }))

  it('that a person deletes again and again is put back three times a day, then with the next run', () =>
    inWorld(quick, async world => {
      const expected = await computed(world, 'one')
      for (let n = 0; n < 3; n++) {
        await world.simulator.deleteBranch(world.project.id, branch, world.alice.id)
        await back(world, expected)
      }
      await world.simulator.deleteBranch(world.project.id, branch, world.alice.id)
      await until('it to be said', () => world.logged.some(line => line.includes('it is restored with the next run')))
      expect(await head(world)).toBeNull()
      expect(await computed(world, 'two')).toEqual(expect.arrayContaining(expected))
    }))

  it('that is protected is told on the merge request, with what to do; when it may be written all is committed', () =>
    inWorld({}, async world => {
      world.simulator.protectBranch(world.project.id, branch, { pushLevel: 40 })
      const sha = await world.push('calc/heat', hello('heat'))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      const note = await until('it to be told', () =>
        world.note(iid)?.body.includes('is not committed yet') ? world.note(iid) : null,
      )
      expect(note.body).toContain('not allowed to push code to protected branches')
      world.simulator.unprotectBranch(world.project.id, branch)
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)
      await until('the note to be well again', () => !world.note(iid)?.body.includes('is not committed yet'))
      expect(world.ourNotes(iid).filter(one => one.body.includes('compops:tree'))).toHaveLength(1)
    }))

  it('holds ten runs that end together, in a few commits', () =>
    inWorld({}, async world => {
      const shas: [string, string][] = []
      for (let n = 0; n < 10; n++) shas.push([`calc/n${n}`, await world.push(`calc/n${n}`, hello(n))])
      for (const [name, sha] of shas) await until(`the evidence of ${name}`, () => world.evidenceOf(name, sha), 80)
      expect(await records(world)).toHaveLength(10)
      const commits = await world.simulator.commits(world.project.id, branch)
      expect(commits.length).toBeLessThanOrEqual(10)
    }))

  it('is written once where the answer to the push is lost', () =>
    inWorld({}, async world => {
      world.simulator.faults.respond({ ...ROUTES.push, times: 1 }, { resetAfterDoing: true })
      const sha = await world.push('calc/heat', hello('heat'))
      await until(
        'the evidence to be known as sent',
        async () =>
          (
            await rows(
              world.service.context.db,
              sql`select 1 from reports where kind = 'evidence' and sent_hash is not null`,
            )
          )[0],
        60,
      )
      expect(await world.evidenceOf('calc/heat', sha)).not.toBeNull()
      expect(await world.simulator.commits(world.project.id, branch)).toHaveLength(1)
    }))
})
