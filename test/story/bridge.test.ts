import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { busyboxAlone, ciJob, ciJobEnds, ciJobIs, included, runsCi, traceOf } from '../support/ci.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// GitLab CI jobs on the cluster, from `include` to the verdict: the simulated GitLab runs their scripts for real.
vi.setConfig({ testTimeout: 240_000 * patience })

const statusOf = (world: World, sha: string, name: string, states: readonly string[]) =>
  until(`${name} to be ${states.join(' or ')}`, () => {
    const state = world.statuses(sha)[name]
    return state !== undefined && states.includes(state) && state
  })

describe.concurrent('a CI job', () => {
  it('hands its own script over, ends at once, and its result is a commit status of the same pipeline', () =>
    inWorld({}, async world => {
      runsCi(world)
      world.simulator.addMember(world.project.id, world.bot.id, 40)
      const nasty = `it's "$HOME" $(touch /tmp/never) \\ \n second line;`
      world.simulator.setVariable(world.project.id, { key: 'NASTY', value: nasty.replaceAll('$', '$$$$') })
      const sha = await world.push('main', {
        ...included(world, 'detach', {
          ci_job: 'solve: [1, 2]',
          script: `printf %s "$NASTY" > ${world.place}/said; exit 3`,
          variables: 'NASTY',
        }),
      })
      const job = await ciJobEnds(world, sha, 'solve: [1, 2]')
      expect([job.status, traceOf(world, job)]).toEqual(['success', expect.stringContaining('compops')])
      await statusOf(world, sha, 'compops/ci/solve: [1, 2]', ['failed'])
      expect(await readFile(join(world.place, 'said'), 'utf8')).toBe(nasty)
      const status = world.simulator.statuses(world.project.id, sha).find(one => one.name.startsWith('compops/ci'))
      expect([status?.pipelineId, world.simulator.pipelines(world.project.id).map(one => one.id)]).toEqual([
        job.pipelineId,
        [job.pipelineId],
      ])
    }))

  it('needs a shell and wget, as busybox has them: no curl, nothing else', () =>
    inWorld({}, async world => {
      const { busybox, path } = await busyboxAlone(join(world.place, 'busybox'))
      runsCi(world, [busybox, 'sh'], path)
      const gate = included(world, 'gate', {
        script: 'mkdir -p out; echo "it is $WHAT" > out/said; echo done',
        outputs: 'out/*',
        variables: 'WHAT',
      })
      world.simulator.setVariable(world.project.id, { key: 'WHAT', value: 'a & b' })
      const sha = await world.push('feature/x', gate)
      const job = await ciJobEnds(world, sha, 'compops', 90)
      expect([job.status, traceOf(world, job)]).toEqual(['success', expect.stringContaining('completed')])
      const kept = join(world.simulator.artifacts(job.id), 'compops-outputs')
      expect(await readFile(join(kept, 'out/said'), 'utf8')).toBe('it is a & b\n')

      world.simulator.removeMember(world.project.id, world.alice.id)
      world.simulator.addMember(world.project.id, world.alice.id, 20)
      const refused = await world.push('feature/y', included(world, 'attach', { script: 'echo never' }))
      const no = await ciJobEnds(world, refused, 'compops')
      expect([no.status, traceOf(world, no)]).toEqual(['failed', expect.stringContaining('needs the role Developer')])
    }))

  it('of a computation branch waits for the run that the push has started; computed once, and again when it is retried', () =>
    inWorld({}, async world => {
      runsCi(world, ['busybox', 'sh'], '/usr/bin:/bin')
      const place = join(world.place, 'fixed')
      const sha = await world.push('calc/a', {
        ...included(world, 'attach', { job: 'solve' }),
        '.compops.yml': `jobs:\n  solve:\n    script: ["echo begun >> ${place}.count", "[ -e ${place} ] || exit 7"]\n`,
      })
      const failed = await ciJobEnds(world, sha, 'compops')
      expect([failed.status, failed.exitCode]).toEqual(['failed', 7])
      await world.treeEnds(sha, ['failed'])
      await writeFile(place, '')
      world.simulator.retryJob(failed.id, world.alice.id)
      const again = await until('the retry to end', () => {
        const job = ciJob(world, sha, 'compops')
        return job !== undefined && job.id !== failed.id && ['success', 'failed'].includes(job.status) && job
      })
      expect([again.status, again.exitCode]).toEqual(['success', 0])
      expect(await readFile(`${place}.count`, 'utf8')).toBe('begun\nbegun\n')
    }))

  it('waits at a gate without a runner, goes on with outputs and reports, and later jobs see the verdict', () =>
    inWorld({}, async world => {
      runsCi(world, ['dash'])
      world.simulator.addMember(world.project.id, world.bot.id, 40)
      const gate = join(world.place, 'gate')
      const sha = await world.push('main', {
        ...included(
          world,
          'gate',
          {
            script: `mkdir -p "out/deep er"; until [ -e ${gate} ]; do sleep 0.1; done; echo '{"energy": 42}' > m.json; head -c 5000000 /dev/zero > out/big; echo x > "out/deep er/ü.csv"`,
            outputs: 'out/**',
            metrics: 'm.json',
          },
          'after:\n  stage: deploy\n  variables: { GIT_STRATEGY: none }\n  script: [ls -R compops-outputs]\n',
        ),
      })
      await ciJobEnds(world, sha, 'compops:submit')
      await ciJobIs(world, sha, 'compops', ['manual'])
      await statusOf(world, sha, 'compops/ci/compops:submit', ['running'])
      expect(ciJob(world, sha, 'after')?.status).toBe('created')
      await writeFile(gate, '')
      const job = await ciJobEnds(world, sha, 'compops')
      expect([job.status, job.userId, traceOf(world, job)]).toEqual(['success', world.bot.id, expect.any(String)])
      const kept = join(world.simulator.artifacts(job.id), 'compops-outputs')
      expect((await readFile(join(kept, 'out/big'))).length).toBe(5_000_000)
      expect(await readFile(join(kept, 'out/deep er/ü.csv'), 'utf8')).toBe('x\n')
      expect(await readFile(join(kept, 'compops-metrics.txt'), 'utf8')).toBe('energy 42\n# EOF\n')
      expect(await readFile(join(kept, 'compops-junit.xml'), 'utf8')).toContain('tests="1" failures="0"')
      const after = await ciJobEnds(world, sha, 'after')
      expect([after.status, traceOf(world, after)]).toEqual(['success', expect.stringContaining('big')])
    }))
})
