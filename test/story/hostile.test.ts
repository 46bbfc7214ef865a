import { execFileSync } from 'node:child_process'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../src/store/open.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// People, files and timing that nobody would wish for. Nothing is lost, nothing is shown that should not be, nobody else is held up.
let world: World

beforeEach(async () => {
  world = await startWorld({ database: 'postgres' })
})
afterEach(() => world.close())

describe('what a job writes', () => {
  it('is text, whatever it is: NUL, colours, mentions, quick actions, one endless line; links are not followed', async () => {
    const sha = await world.push('calc/noise', {
      '.compops.yml': `jobs:
  noise:
    script:
      - mkdir out && echo result > out/r.txt && ln -s /etc/passwd out/passwd && ln -s ../../.. out/up
      - head -c 5000000 /dev/zero | tr '\\\\0' 'x'; echo
      - printf 'x\\\\000y \\\\033[31mred\\\\033[0m\\\\n@all @alice\\\\n/close\\\\n/merge\\\\n\`\`\`\\\\n</details><script>alert(1)</script>\\\\n'
      - "printf '{\\"rmse\\": 1.5, \\"\\\\\\\\ud800\\": 2, \\"nan\\": \\"x\\"}' > m.json"
      - exit 1
    outputs: [out/*]
    metrics: m.json
`,
    })
    const { iid } = await world.openMergeRequest('calc/noise')
    expect(await world.treeEnds(sha, ['failed'])).toMatchObject({ 'compops/noise': 'failed' })
    const record = parse(await until('the evidence', () => world.evidenceOf('calc/noise', sha)))
    expect(record.jobs.noise.outputs.map((output: { path: string }) => output.path)).toEqual(['out/r.txt'])
    expect(record.jobs.noise.metrics.rmse).toBe(1.5)
    const note = await until('the note', () => (world.note(iid)?.body.includes('</summary>') ? world.note(iid) : null))
    expect(note.body.length).toBeLessThan(60_000)
    expect(note.body).not.toContain('@all')
    expect(world.simulator.mergeRequest(world.project.id, iid).state).toBe('opened')
  })
})

describe('what a file holds', () => {
  it('a NUL or half a character in .compops.yml is a mistake with its line, and holds up nobody else', async () => {
    const bad = await world.push('calc/a-nul', { '.compops.yml': 'jobs:\n  a:\n    script: ["true"] # \0\n' })
    const half = await world.push('calc/a-half', {
      '.compops.yml': 'jobs:\n  a:\n    script: ["true"]\n    params: { name: "\\ud800" }\n',
    })
    const good = await world.push('calc/b-good', { '.compops.yml': 'jobs:\n  a:\n    script: ["true"]\n' })
    expect(await world.treeEnds(good)).toMatchObject({ 'compops/a': 'success' })
    expect(await world.treeEnds(bad)).toEqual({ 'compops/tree': 'failed' })
    expect(world.description(bad, 'compops/tree')).toContain('line 3')
    await world.treeEnds(half)
  })

  it('a submodule brings in nothing that the site has not allowed, though the service could read it', async () => {
    const carol = world.simulator.createUser({ username: 'carol', name: 'Carol', password: 'secret-carol' })
    const secret = world.simulator.createProject({ path: 'physics/secret', visibility: 'private' })
    world.simulator.addMember(secret.id, carol.id, 40)
    world.simulator.addMember(secret.id, world.bot.id, 30)
    const inside = await world.simulator.commit({
      projectId: secret.id,
      branch: 'main',
      files: { 'key.txt': 'TOP SECRET' },
      message: 'mine',
      authorId: carol.id,
      from: null,
    })
    const base = await world.push(
      'calc/steal',
      {
        '.gitmodules': '[submodule "s"]\n\tpath = s\n\turl = ../secret.git\n',
        '.compops.yml': 'jobs:\n  a:\n    script: [cat s/key.txt; exit 1]\n',
      },
      'first [skip compops]',
    )
    const sha = addSubmodule(world, base, inside)
    await world.simulator.pushed(world.project.id, 'refs/heads/calc/steal', base, sha, world.alice.id)
    const { iid } = await world.openMergeRequest('calc/steal')
    expect(await world.treeEnds(sha)).toMatchObject({ 'compops/a': 'failed' })
    const note = await until('the note', () => (world.note(iid)?.body.includes('submodule') ? world.note(iid) : null))
    expect(note.body).toContain('submodules: [physics/secret]')
    expect(JSON.stringify(world.simulator.notes(world.project.id, iid))).not.toContain('TOP SECRET')
  })
})

describe('branches that move fast', () => {
  const slow = { '.compops.yml': 'jobs:\n  a:\n    script: [sleep 3]\n  b:\n    needs: [a]\n    script: ["true"]\n' }

  it('a branch made from a commit that another was computing is computed when the other goes on', async () => {
    const first = await world.push('calc/f1', slow)
    await until('it to run', () => world.statuses(first)['compops/a'] === 'running')
    await world.simulator.createBranch(world.project.id, 'calc/f2', 'calc/f1', world.alice.id)
    await until('f2 to have nothing to do', () =>
      world.logged.some(line => /already computed in run \S+ on calc\/f1/.test(line)),
    )
    const second = await world.push('calc/f1', { 'more.txt': 'more' })
    expect(await world.treeEnds(second, ['success'])).toMatchObject({ 'compops/b': 'success' })
    await until(
      'f2 to be computed',
      async () =>
        (
          await rows(
            world.service.context.db,
            sql`select 1 from runs where ref = 'refs/heads/calc/f2' and state = 'completed'`,
          )
        ).length > 0,
      60,
    )
  })

  it('a branch that is deleted right after its push does not go on computing', async () => {
    for (let n = 0; n < 5; n++) {
      await world.push(`calc/brief-${n}`, {
        '.compops.yml': `jobs:\n  a:\n    script: [sleep 300]\n`,
        'n.txt': String(n),
      })
      await world.simulator.deleteBranch(world.project.id, `calc/brief-${n}`, world.alice.id)
    }
    await world.simulator.idle()
    await until(
      'every delivery to be acted on',
      async () =>
        (
          await rows(
            world.service.context.db,
            sql`select 1 from deliveries where done_at is null and outcome = 'accepted'`,
          )
        ).length === 0,
      60,
    )
    await until(
      'nothing to be left',
      async () =>
        (
          await rows(
            world.service.context.db,
            sql`select 1 from jobs where state not in ('completed', 'failed', 'canceled', 'skipped')`,
          )
        ).length === 0,
      60,
    )
  })
})

/** A commit on top of `base` in the project's repository that links the submodule at `s`. */
function addSubmodule(w: World, base: string, inside: string): string {
  const git = (args: string[], input?: string) =>
    execFileSync('git', ['-C', w.project.directory, ...args], {
      ...(input === undefined ? {} : { input }),
      env: {
        ...process.env,
        GIT_AUTHOR_NAME: 'Alice',
        GIT_AUTHOR_EMAIL: 'alice@example.org',
        GIT_COMMITTER_NAME: 'Alice',
        GIT_COMMITTER_EMAIL: 'alice@example.org',
      },
    })
      .toString()
      .trim()
  const tree = git(['mktree'], `${git(['ls-tree', base])}\n160000 commit ${inside}\ts\n`)
  const sha = git(['commit-tree', tree, '-p', base, '-m', 'with a submodule'])
  git(['update-ref', 'refs/heads/calc/steal', sha])
  return sha
}
