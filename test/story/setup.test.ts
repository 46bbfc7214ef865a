import { expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

async function setup(world: World, token: string | null, ...args: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const write = (text: string) => {
    said += text
  }
  const env = {
    STORY_TOKEN: world.token,
    STORY_SECRET: world.secret,
    ...(token === null ? {} : { COMPOPS_SETUP_TOKEN: token }),
  }
  const code = await dispatch(['setup', ...args, '--config', world.configFile], {
    stdout: { write },
    stderr: { write },
    env,
  })
  return { code, said }
}

test('a bare project is set up: a push then runs, its evidence is committed; asked again all is in order, and what broke is mended', () =>
  inWorld({ hook: false }, async world => {
    const { simulator, project } = world
    const token = simulator.createToken(world.alice.id, { name: 'one day', scopes: ['api'] }).token
    // Shuts the service out, until the evidence branch has a rule of its own.
    simulator.protectBranch(project.id, 'compops/*', { pushLevel: 40 })

    const first = await setup(world, token, 'physics/heat')
    expect(first.said).toContain(
      `  + webhook: A webhook leads to ${world.url}/webhooks/gitlab, with the secret of the configuration.\n`,
    )
    expect(first.said).toContain(
      '  + evidence: The branch compops/evidence is protected: compops may push to it, nobody may rewrite it.\n',
    )
    expect(first.said).toContain(
      '  - first file: main has no batch script with lines for a scheduler: nothing is proposed.',
    )
    expect(first.code).toBe(0)
    expect(first.said).not.toContain(token)
    expect(first.said).not.toContain(world.secret)
    expect(world.logged.join('')).not.toContain(token)

    const sha = await world.push('calc/heat', { '.compops.yml': 'jobs:\n  solve: { script: [echo solved] }\n' })
    expect((await world.treeEnds(sha))['compops/solve']).toBe('success')
    await expect.poll(() => world.evidenceOf('calc/heat', sha), { timeout: 30_000 * patience }).toBeTruthy()

    const again = await setup(world, token, 'physics/heat')
    expect(again.said).toContain('  ✓ webhook: The webhook was in order; its secret was written again.\n')
    expect(again.said).toContain('  ✓ evidence: ')
    expect(simulator.hooks(project.id)).toHaveLength(1)

    const hook = simulator.hooks(project.id)[0]!
    hook.url = 'http://old.example.org/webhooks/gitlab'
    hook.events.notes = false
    hook.sslVerification = false
    hook.token = 'another secret'
    simulator.protectBranch(project.id, 'compops/evidence', { pushLevel: 0 })
    const mended = await setup(world, token, 'physics/heat', '--replace', 'http://old.example.org/webhooks/gitlab')
    expect(mended.said).toContain(
      '  ~ webhook: The webhook was mended: it led to http://old.example.org/webhooks/gitlab, it did not tell of note, it did not look at certificates; its secret was written again.\n',
    )
    // Nobody may push, says a rule that somebody made: without Premium it is theirs to change.
    expect(mended.said).toContain('  ✗ evidence: The rule for compops/evidence does not let compops push')
    expect(mended.code).toBe(1)
    expect(simulator.hooks(project.id)).toMatchObject([
      { url: `${world.url}/webhooks/gitlab`, token: world.secret, sslVerification: true, events: { notes: true } },
    ])
  }))

test('who may not is told, and nothing is changed', () =>
  inWorld({ hook: false }, async world => {
    const { simulator, project } = world
    const bob = simulator.createUser({ username: 'bob', name: 'Bob', email: 'bob@example.org' })
    simulator.addMember(project.id, bob.id, 30)
    const token = simulator.createToken(bob.id, { name: 'one day', scopes: ['api'] }).token
    expect(await setup(world, token, 'physics/heat')).toEqual({
      code: 1,
      said: "compops setup: the token is bob's, who is no Maintainer of physics/heat: only a Maintainer may set up webhooks and protected branches\n",
    })
    expect((await setup(world, token, 'chemistry/x')).said).toContain(
      'matches chemistry/x: add it under `projects` first',
    )
    expect((await setup(world, null, 'physics/heat')).code).toBe(2)
    expect(simulator.hooks(project.id)).toEqual([])
  }))

test('a first .compops.yml is proposed from the batch scripts, once; nothing runs by it, and a commit on it tries it', async () => {
  const slurm = startFakeSlurm()
  try {
    await inWorld(
      {
        clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s, defaults: { partition: main } }`,
        rule: '    clusters: [falcon]',
        more: 'intervals: { note: 200ms, shortest_poll: 1s }',
      },
      async world => {
        const { simulator, project } = world
        const token = simulator.createToken(world.alice.id, { name: 'one day', scopes: ['api'] }).token
        await world.push('main', {
          'jobs/solve.sbatch': '#!/bin/sh\n#SBATCH --nodes=1 --time=10\n#SBATCH --output=log\necho solved\n',
          'jobs/old.pbs': '#PBS -l select=1\nhostname\n',
        })
        const proposals = () => simulator.mergeRequests(project.id)
        expect((await setup(world, token, 'physics/heat', '--no-propose')).said).not.toContain('first file')
        expect(proposals()).toEqual([])

        const first = await setup(world, token, 'physics/heat')
        expect(first.said).toContain('  + first file: !1 proposes a first `.compops.yml` with one job, and its plan: ')
        expect(first.said).toContain('1 more were left out')
        expect(first.code).toBe(0)
        const [proposal] = proposals()
        expect(proposal!.description).toContain(
          '### solve on falcon\n\n`jobs/solve.sbatch`\n\n| asks for | | from |\n|---|---|---|\n| `partition` | `main` | default of cluster falcon |\n| `time` | `10m` | \\#SBATCH line 2 of jobs/solve.sbatch |\n',
        )
        expect(proposal!.description).toContain('`jobs/old.pbs`: its lines are for a scheduler that falcon has not')
        expect(await simulator.readFile(project.id, 'compops/first-file', '.compops.yml')).toContain(
          'cluster: falcon\njobs:\n  solve:\n    file: jobs/solve.sbatch\n',
        )

        expect((await setup(world, token, 'physics/heat')).said).toContain(
          '  ✓ first file: A first `.compops.yml` is proposed in !1',
        )
        expect((await setup(world, token, 'physics/heat', '--propose')).said).toContain('is proposed in !1')
        await until(
          'the push to be read',
          () => world.answers().filter(line => line.startsWith('Push Hook')).length >= 2,
        )

        const sha = await world.push('compops/first-file', { 'note.txt': 'try it\n' }, 'try it')
        expect((await world.treeEnds(sha))['compops/solve']).toBe('success')
        // The commit that proposed it ran nothing.
        expect(slurm.calls('sbatch')).toHaveLength(1)
        await until('the note on the proposal', () => world.note(1)?.body.includes('solve'))

        await simulator.closeMergeRequest({ projectId: project.id, iid: 1, userId: world.alice.id })
        expect((await setup(world, token, 'physics/heat')).said).toContain(
          '  - first file: A first `.compops.yml` was proposed in !1, which is closed; `--propose` does it again.',
        )
        expect(proposals()).toHaveLength(1)
      },
    )
  } finally {
    slurm.stop()
  }
})
