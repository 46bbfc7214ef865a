import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { jobs } from '../../src/store/schema.ts'
import { ciJobEnds, runsCi, template, traceOf } from '../support/ci.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// The example projects of gitlab/ci, with the templates as components of a project of their own.
vi.setConfig({ testTimeout: 240_000 * patience })

const examples = fileURLToPath(new URL('../../gitlab/ci/', import.meta.url))

function filesOf(folder: string): Record<string, string> {
  const all = (path: string): string[] =>
    readdirSync(path).flatMap(name =>
      statSync(join(path, name)).isDirectory() ? all(join(path, name)) : [join(path, name)],
    )
  return Object.fromEntries(
    all(join(examples, folder)).map(path => [relative(join(examples, folder), path), readFileSync(path, 'utf8')]),
  )
}

/** The example as it is, but for the address of the service. */
async function pushExample(world: World, name: string): Promise<string> {
  runsCi(world)
  const { simulator, alice } = world
  simulator.addMember(world.project.id, world.bot.id, 40)
  const components = simulator.createProject({ path: 'hpc/compops-ci', visibility: 'public' })
  simulator.addMember(components.id, alice.id, 40)
  const files = Object.fromEntries(['attach', 'detach', 'gate'].map(one => [`templates/${one}.yml`, template(one)]))
  await simulator.commit({
    projectId: components.id,
    branch: 'main',
    files,
    message: 'Templates',
    authorId: alice.id,
    from: null,
  })
  await simulator.createTag(components.id, '1.0', 'main', alice.id)
  const example = filesOf(name)
  const ci = example['.gitlab-ci.yml']!.replace('https://compops.example.org', world.url)
  return world.push('main', { ...example, '.gitlab-ci.yml': ci })
}

describe.concurrent('the example', () => {
  it('gate: later stages read what the batch job left', () =>
    inWorld({}, async world => {
      const sha = await pushExample(world, 'gate')
      const gate = await ciJobEnds(world, sha, 'compops-simulate', 90)
      expect([gate.status, traceOf(world, gate)]).toEqual(['success', expect.stringContaining('completed')])
      const metrics = join(world.simulator.artifacts(gate.id), 'compops-outputs/compops-metrics.txt')
      expect(await readFile(metrics, 'utf8')).toMatch(/^root 1\.41421356/m)
      const report = await ciJobEnds(world, sha, 'report')
      expect([report.status, traceOf(world, report)]).toEqual(['success', expect.stringMatching(/^2$/m)])
    }))

  it('detach: an existing batch script, its result as a status', () =>
    inWorld({ clusters: '  laptop: { scheduler: local, root: ROOT, poll_interval: 1s }' }, async world => {
      const sha = await pushExample(world, 'detach')
      const job = await ciJobEnds(world, sha, 'sweep')
      expect([job.status, traceOf(world, job)]).toEqual(['success', expect.stringContaining('commit status')])
      await until('the status', () => world.statuses(sha)['compops/ci/sweep'] === 'success', 60)
    }))

  it('attach: what was written for Jacamar, on a Slurm', async () => {
    const slurm = startFakeSlurm()
    const clusters = `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 5s }`
    try {
      await inWorld({ clusters, rule: '    clusters: [falcon]' }, async world => {
        const sha = await pushExample(world, 'attach')
        const job = await ciJobEnds(world, sha, 'test', 90)
        const trace = traceOf(world, job)
        expect([job.status, trace]).toEqual(['success', expect.stringContaining(`tests of ${sha.slice(0, 8)}`)])
        const kept = join(world.simulator.artifacts(job.id), 'compops-outputs/junit.xml')
        expect(await readFile(kept, 'utf8')).toContain('ten')
        const [found] = await world.service.context.db.select({ spec: jobs.spec }).from(jobs)
        expect(found?.spec.resources).toMatchObject({ time: 300, mem: 200 })
      })
    } finally {
      slurm.stop()
    }
  })
})
