import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeEach(async () => {
  world = await startWorld({ database: 'postgres', rule: '    clusters: [laptop]\n    includes: [physics/shared]' })
})
afterEach(() => world.close())

/** Another project of the same GitLab, which the service may read. */
async function otherProject(path: string, files: Record<string, string>) {
  const { simulator, alice, bot } = world
  const project = simulator.createProject({ path })
  simulator.addMember(project.id, alice.id, 40)
  simulator.addMember(project.id, bot.id, 30)
  const commit = { projectId: project.id, branch: 'main', message: 'jobs', authorId: alice.id, files, from: null }
  const sha = await simulator.commit(commit)
  await simulator.createBranch(project.id, 'v2', 'main', alice.id)
  return { project, sha }
}

describe('jobs from a file of another project', () => {
  it('run as if they stood here, and the evidence says which commit of it they came from', async () => {
    const { sha: of } = await otherProject('physics/shared', {
      'jobs.yml':
        'jobs:\n  .base: { env: { FROM: shared } }\n  hello: { extends: .base, script: [echo "$FROM" > hello.txt], outputs: [hello.txt] }\n',
    })
    const sha = await world.push('calc/heat', {
      '.compops.yml': `include: [{ project: physics/shared, ref: v2, file: jobs.yml }]
jobs:
  solve:
    extends: .base
    parallel: { matrix: [{ DEGREE: [1, 2] }] }
    needs: [hello]
    script: ['test "$FROM$DEGREE$COMPOPS_PARAM_DEGREE" = "shared$DEGREE$DEGREE"', cat hello.txt]
`,
    })
    expect(await world.treeEnds(sha)).toEqual({
      'compops/hello': 'success',
      'compops/solve-1': 'success',
      'compops/solve-2': 'success',
      'compops/tree': 'success',
    })
    const record = parse(await until('the evidence', () => world.evidenceOf('calc/heat', sha)))
    expect(record.includes).toEqual([{ project: 'physics/shared', ref: 'v2', sha: of, file: 'jobs.yml' }])
    expect(record.jobs['solve-2'].params).toEqual({ DEGREE: 2 })
  })

  it('that the site does not allow is refused with the remedy, whatever the service itself may read', async () => {
    await otherProject('physics/secret', { 'jobs.yml': 'TOP SECRET: {' })
    const sha = await world.push('calc/steal', {
      '.compops.yml': 'include: [{ project: physics/secret, file: jobs.yml }]\njobs: { a: { script: [echo] } }\n',
    })
    const { iid } = await world.openMergeRequest('calc/steal')
    expect(await world.treeEnds(sha)).toEqual({ 'compops/tree': 'failed' })
    const note = await until('the note', () => world.note(iid)?.body.includes('physics/secret') && world.note(iid))
    expect(note.body).toContain('includes: [physics/secret]')
    expect(JSON.stringify(world.simulator.notes(world.project.id, iid))).not.toContain('TOP SECRET')
  })

  it('with a mistake tells file and line of it', async () => {
    await otherProject('physics/shared', { 'jobs.yml': 'jobs:\n  a:\n    script: [x]\n    nodse: 2\n' })
    const sha = await world.push('calc/typo', {
      '.compops.yml': 'include: { project: physics/shared, file: jobs.yml }\n',
    })
    const { iid } = await world.openMergeRequest('calc/typo')
    await world.treeEnds(sha)
    const note = await until('the note', () => world.note(iid)?.body.includes('nodse') && world.note(iid))
    expect(note.body).toMatch(/`physics\/shared@HEAD:jobs\.yml`, line 4[\s\S]*Did you mean `nodes`\?/)
  })
})

describe('rules', () => {
  const file = `jobs:
  code: { script: ["true"], rules: [{ changes: [src/**] }] }
  words: { script: ["true"], rules: [{ changes: [docs/**] }] }
  review: { script: ["true"], rules: [{ if: $COMPOPS_TARGET_BRANCH == $COMPOPS_DEFAULT_BRANCH }] }
`
  const jobsOf = async (sha: string) =>
    Object.keys(await world.treeEnds(sha))
      .map(name => name.replace('compops/', ''))
      .filter(name => name !== 'tree')
      .sort()

  it('see what a push changed, in a merge request what the branch changes, and whether there is one', async () => {
    // A new branch: since it left the default branch.
    expect(await jobsOf(await world.push('calc/x', { '.compops.yml': file, 'src/a.c': 'a' }))).toEqual(['code'])
    expect(await jobsOf(await world.push('calc/x', { 'docs/x.md': 'x' }))).toEqual(['words'])
    await world.push('calc/x', { 'other.txt': 'x' })
    await until('it to be said', () => world.logged.some(line => line.includes('no job of .compops.yml is for this')))
    await world.openMergeRequest('calc/x')
    await until('the merge request to be known', () =>
      world.logged.some(line => line.includes('merge request') || line.includes('!1')),
    )
    expect(await jobsOf(await world.push('calc/x', { 'other.txt': 'y' }))).toEqual(['code', 'review', 'words'])
  })
})
