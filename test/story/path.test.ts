import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// The whole service against the simulated GitLab, with real git and jobs on this machine.
const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello > hello.txt]\n    outputs: [hello.txt]\n' }
let world: World

// The first on the embedded database, as a new user has it; the others on Postgres where there is one.
beforeEach(async ({ task }) => {
  world = await startWorld({ database: task.name.startsWith('becomes') ? 'embedded' : 'postgres' })
})
afterEach(() => world.close())

describe('a push to a branch with a .compops.yml', () => {
  it('becomes statuses, one note that is edited in place, one reply, and evidence', async () => {
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:
  mesh:
    script: ["mkdir out", "echo 1 > out/mesh.csv"]
    outputs: [out/*.csv]
  solve:
    needs: [mesh]
    params: { degree: 12, name: "it's" }
    env: { GREETING: "a 'quoted' \\"thing\\" $HOME" }
    script:
      - test "$GREETING" = "a 'quoted' \\"thing\\" \\$HOME"
      - test "$COMPOPS_PARAM_NAME" = "it's"
      - cat out/mesh.csv "$COMPOPS_PARAMS_FILE"
      - "echo '{\\"rmse\\": 0.5}' > metrics.json"
    metrics: metrics.json
  bad:
    script: [echo something is wrong, exit 3]
  after:
    needs: [bad]
    script: ["true"]
`,
    })
    const { iid } = await world.openMergeRequest('calc/heat')
    expect(await world.treeEnds(sha)).toEqual({
      'compops/mesh': 'success',
      'compops/solve': 'success',
      'compops/bad': 'failed',
      'compops/after': expect.stringMatching(/skipped|canceled/),
      'compops/tree': 'failed',
    })
    expect(world.description(sha, 'compops/bad')).toMatch(/^laptop \S+ · exit 3/)
    const record = parse(await until('the evidence', () => world.evidenceOf('calc/heat', sha)))
    expect(record).toMatchObject({
      state: 'failed',
      jobs: { solve: { metrics: { rmse: 0.5 } }, after: { state: 'skipped' } },
    })
    expect(record.jobs.mesh.outputs[0]).toMatchObject({
      path: 'out/mesh.csv',
      size: 2,
      sha256: '4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865',
    })
    const note = await until('the final note', () =>
      world.note(iid)?.body.includes('| rmse |') ? world.note(iid) : null,
    )
    expect(note.body).toMatch(/bad failed: exit 3[\s\S]*\| solve \|[\s\S]*\| rmse \| 0\.5 \|/)
    const reply = await until('the reply', () => world.ourNotes(iid).find(one => one.body.includes('@alice')))
    expect(reply.body).toContain('calc/heat')
    expect(world.ourNotes(iid)).toHaveLength(2)
    expect(await world.evidence('branches/calc/heat.md')).toContain('bad')
    expect(await world.evidence('README.md')).toContain('branches/calc/heat.md')
  })

  it('says key, line and remedy when the file is wrong', async () => {
    const sha = await world.push('calc/typo', {
      '.compops.yml': 'jobs:\n  a:\n    script: ["true"]\n    cpus_per_taks: 4\n',
    })
    const { iid } = await world.openMergeRequest('calc/typo')
    expect(await world.treeEnds(sha)).toEqual({ 'compops/tree': 'failed' })
    expect(world.description(sha, 'compops/tree')).toContain('line 4')
    const note = await until('the note', () => world.note(iid))
    expect(note.body).toMatch(/line 4[\s\S]*`cpus_per_taks` is not a key of a job[\s\S]*Did you mean `cpus_per_task`\?/)
    expect(await until('the branch page', () => world.evidence('branches/calc/typo.md'))).toContain('cpus_per_taks')
  })

  it('does nothing, and says so on the delivery, where there is no file', async () => {
    await world.push('docs', { 'README.md': 'words' })
    await until('the delivery to be read', () => world.logged.some(line => line.includes('no .compops.yml')))
    expect(world.simulator.pipelines(world.project.id)).toEqual([])
  })

  it('does not run the default branch, nor a message with [skip compops], nor a commit computed elsewhere', async () => {
    await world.push('main', hello, 'on main')
    await until('main to be refused', () => world.logged.some(line => line.includes('main is the default branch')))
    await world.push('calc/quiet', hello, 'not now [skip compops]')
    await until('the skip', () => world.logged.some(line => line.includes('says [skip compops]')))
    const sha = await world.push('calc/a', { ...hello, 'a.txt': 'a' })
    await world.treeEnds(sha)
    await world.simulator.createBranch(world.project.id, 'calc/b', 'calc/a', world.alice.id)
    await until('the answer', () => world.logged.some(line => /already computed in run \S+ on calc\/a/.test(line)))
  })

  it('is computed once, however often and in whatever order GitLab tells', async () => {
    const sha = await world.push('calc/once', hello)
    await world.openMergeRequest('calc/once')
    await world.treeEnds(sha)
    await world.simulator.idle()
    for (const delivery of world.simulator.deliveries().toReversed()) await world.simulator.resend(delivery.id)
    expect(world.answers().filter(answer => answer.includes('duplicate')).length).toBeGreaterThan(1)
    const before = (await world.simulator.files(world.project.id, 'compops/evidence'))?.length
    await world.simulator.idle()
    expect((await world.simulator.files(world.project.id, 'compops/evidence'))?.length).toBe(before)
    expect(
      world.simulator
        .statuses(world.project.id, sha, { all: true })
        .filter(status => status.name === 'compops/hello' && status.status === 'success'),
    ).toHaveLength(1)
  })

  it('goes on where it was when the branch comes back to an earlier commit', async () => {
    const file = (n: number) => ({
      '.compops.yml': `jobs:\n  first:\n    script: [echo ${n} > n.txt, sleep 2]\n  second:\n    needs: [first]\n    script: [cat n.txt]\n`,
    })
    const one = await world.push('calc/back', file(1))
    await until('the first job to run', () => world.statuses(one)['compops/first'] === 'running')
    const two = await world.push('calc/back', file(2))
    await world.treeEnds(two, ['success'])
    expect(await world.treeEnds(one)).toMatchObject({ 'compops/first': 'success', 'compops/second': 'canceled' })
    expect(world.description(one, 'compops/second')).toContain(`superseded by ${two.slice(0, 8)}`)
    await world.simulator.createBranch(world.project.id, 'keep', one, world.alice.id)
    await forcePush(world, 'calc/back', one)
    expect(await world.treeEnds(one, ['success'])).toMatchObject({
      'compops/first': 'success',
      'compops/second': 'success',
    })
  })

  it('cancels what runs when its branch is deleted', async () => {
    const sha = await world.push('calc/gone', {
      '.compops.yml': 'jobs:\n  long:\n    script: [sleep 300]\n  later:\n    needs: [long]\n    script: ["true"]\n',
    })
    await until('the job to run', () => world.statuses(sha)['compops/long'] === 'running')
    await world.simulator.deleteBranch(world.project.id, 'calc/gone', world.alice.id)
    expect(await world.treeEnds(sha)).toMatchObject({
      'compops/long': 'canceled',
      'compops/later': expect.stringMatching(/canceled|skipped/),
    })
  })
})

/** Moves a branch backwards in the repository, as `git push --force` does, and lets GitLab tell. */
async function forcePush(w: World, branch: string, sha: string): Promise<void> {
  const { execFileSync } = await import('node:child_process')
  const before = (await w.simulator.branches(w.project.id)).find(one => one.name === branch)!.sha
  execFileSync('git', ['-C', w.project.directory, 'update-ref', `refs/heads/${branch}`, sha])
  await w.simulator.pushed(w.project.id, `refs/heads/${branch}`, before, sha, w.alice.id)
}
