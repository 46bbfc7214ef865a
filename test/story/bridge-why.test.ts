import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { askOperator } from '../../src/cli/operator.ts'
import type { Why } from '../../src/model/why.ts'
import { renderWhy } from '../../src/render/why.ts'
import { ask, ciJobIs, own, waitingJob } from '../support/ci.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Why a CI job waits, or got nothing: what an operator sees of it.
vi.setConfig({ testTimeout: 240_000 * patience })

const why = async (world: World, words: string) =>
  renderWhy(
    await askOperator<Why>(world.configFile, {}, { method: 'GET', path: `/why?${new URLSearchParams({ q: words })}` }),
  )
const metrics = async (world: World) => (await fetch(`${world.url}/metrics`)).text()

describe.concurrent('compops why, of a CI job', () => {
  it('says why it was refused, by its number or its address in GitLab, until it is let in', () =>
    inWorld({}, async world => {
      const { job, token } = await waitingJob(world)
      expect((await ask(world, token({ exp: 1_000_000 }), own)).status).toBe(401)
      expect(await why(world, `#${job.id}`)).toMatch(
        /refused.*This id_token has expired.*It ended there: refused\. This id_token/s,
      )

      expect(
        (await ask(world, token({ jti: 'two' }), { ...own, time: '1x', mode: 'gate', gate: 'compops' })).status,
      ).toBe(422)
      const address = `https://gitlab.example.org/physics/heat/-/jobs/${job.id}`
      expect(await why(world, address)).toMatch(
        new RegExp(`✕ {2}CI gate +solve, CI job ${job.id} of pipeline ${job.pipelineId} by \\w+: refused.*time`, 's'),
      )
      expect(await metrics(world)).toMatch(/compops_ci_refusals_total\{status="422"\} 1/)

      const shown = token({ jti: 'three' })
      const begun = await ask(world, shown, own)
      expect(begun.status).toBe(200)
      const told = await why(world, address)
      expect([told.includes('refused'), told.includes(begun.run!)]).toEqual([false, true])
      expect(told).toMatch(/CI detach +solve, CI job \d+ of pipeline \d+/)
      // What somebody tries with its token later is no word about it.
      const thief = await ask(world, shown, own, '', { 'compops-holder': 'somebody-elses-secret' })
      expect([thief.status, await why(world, address)]).toEqual([403, expect.not.stringContaining('somebody else')])
    }))

  it('says that a project, or a job, that is not ours has no row', () =>
    inWorld({}, async world => {
      const { token } = await waitingJob(world)
      expect((await ask(world, token({ job_project_id: '4711', job_id: '4712' }), own)).status).toBe(403)
      expect(await why(world, '/-/jobs/4712')).toContain('Nothing is known of')
    }))

  it('says what it waits for: its batch job, then its gate, and what GitLab says to that', () =>
    inWorld({}, async world => {
      const gate = join(world.place, 'gate')
      world.simulator.addMember(world.project.id, world.bot.id, 40)
      const { sha, job, token } = await waitingJob(world, 'main', {
        '.gitlab-ci.yml':
          'solve:\n  script: [x]\ncompops:\n  needs: [solve]\n  when: manual\n  allow_failure: false\n  script: [x]\n',
      })
      const form = {
        ...own,
        mode: 'gate',
        gate: 'compops',
        script: `until [ -e ${gate} ]; do sleep 0.1; done`,
        max_wait: '12h',
      }
      expect((await ask(world, token(), form)).status).toBe(200)
      await until('the batch job to run', async () =>
        (await metrics(world)).includes('compops_ci_jobs{mode="gate",state="running"} 1'),
      )
      const waits = await why(world, `/-/pipelines/${job.pipelineId}`)
      expect(waits).toMatch(/CI gate +solve, CI job.*ended at once; compops is played when its jobs have ended/s)
      expect(waits).toContain('max_wait: cancelled unless it has begun')
      expect(waits).toMatch(/It stands at: solve, running/)

      // Its CI job has not ended in GitLab: the gate is not manual yet.
      await writeFile(gate, '')
      const early = await until('the gate to be looked for', async () => {
        const said = await why(world, String(job.id))
        return said.includes('GitLab has not come to it yet') && said.includes('It stands at: the gate') && said
      })
      expect(early).toMatch(
        /It stands at: the gate compops, not played yet, compops is created: .*; next: GitLab is asked for it/,
      )
      await until('the gauge', async () =>
        (await metrics(world)).includes('compops_ci_jobs{mode="gate",state="ended"} 1'),
      )

      world.simulator.finishJob(job.id, 'success')
      await ciJobIs(world, sha, 'compops', ['pending', 'running', 'success'], 60)
      const over = await until('all to be told', async () => {
        const said = await why(world, String(job.id))
        return said.includes('It is over') && said
      })
      expect(over).toMatch(/→ compops was played \(job \d+\)/)
      await until('the gauge', async () => !(await metrics(world)).includes('compops_ci_jobs{'))
    }))
})
