import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { lookAfterCiJobs } from '../../src/bridge/look-after.ts'
import { ciJobs, jobs, runs } from '../../src/store/schema.ts'
import { ask, ciJob, ciJobEnds, ciJobIs, included, own, runsCi, traceOf, waitingJob } from '../support/ci.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld } from '../support/world.ts'

// What may go wrong between a CI job and the cluster.
vi.setConfig({ testTimeout: 240_000 * patience })

describe.concurrent('a CI job that should not ask', () => {
  it('is told why: an old token, one for others, a stolen one, a tag, a fork, a person without the right', () =>
    inWorld({ rule: '    clusters: [laptop]\n    ci: all' }, async world => {
      const { job, token } = await waitingJob(world, 'feature/x')
      const refused = async (claims: Record<string, unknown>, form: Record<string, string> = own) => {
        // The push is read at the same moment: who comes in between is asked to come again.
        const { status, detail, type } = await until('an answer', async () => {
          const answer = await ask(world, token(claims), form)
          return answer.status !== 503 && answer
        })
        expect(type).toBe('application/problem+json')
        return `${status} ${detail}`
      }
      expect(await refused({ exp: 1_000_000 })).toMatch(/^401 This id_token has expired/)
      expect(await refused({ aud: 'https://elsewhere' })).toMatch(/^401 This id_token is for somebody else/)
      expect(await refused({ iss: 'https://gitlab.com' })).toMatch(/^401 This id_token is of another GitLab/)
      expect(await refused({ job_project_id: '4711' })).toMatch(/^403 This service does not serve/)
      expect(await refused({ project_id: '4711', pipeline_source: 'merge_request_event' })).toMatch(
        /^403 The code is of another project/,
      )
      expect(await refused({ ref_type: 'tag' })).toMatch(/^422 A tag has no computation/)
      expect(await refused({ user_id: '4711', user_login: 'mallory' })).toMatch(
        /^403 mallory may not start computations .* Developer/,
      )
      expect(await refused({}, { ...own, script: '', job: 'solve' })).toMatch(/^422 There is no .compops.yml/)
      expect(await refused({}, { ...own, time: '1x' })).toMatch(/^422 .*time/)
      expect(await refused({}, { ...own, secrets: 'ROOT' })).toMatch(/^422 .*ROOT/)

      const stolen = token()
      expect((await ask(world, stolen, own)).status).toBe(200)
      const thief = await ask(world, stolen, own, '', { 'compops-holder': 'somebody-elses-secret' })
      expect([thief.status, thief.detail]).toEqual([403, expect.stringContaining('shown by somebody else')])
      world.simulator.rotateSigningKey()
      const forged = stolen.replace(/\.[^.]*$/, `.${'A'.repeat(340)}`)
      expect((await ask(world, forged, own)).status).toBe(401)
      expect((await ask(world, world.simulator.createToken(world.alice.id).token, own)).status).toBe(401)
      expect(job.status).toBe('pending')
    }))

  it('with work that needs an approval is sent to where it can be approved', () =>
    inWorld({ rule: '    clusters: [laptop]\n    approval: { core_hours: 1 }' }, async world => {
      const { token } = await waitingJob(world)
      const answer = await ask(world, token(), { ...own, time: '10h' })
      expect(answer).toMatchObject({
        status: 422,
        detail: expect.stringContaining('costs more than may begin unasked'),
      })
      expect(await world.service.context.db.select().from(runs)).toEqual([])
      expect(await ask(world, token({ jti: 'two' }), { ...own, time: '10m' })).toMatchObject({ status: 200 })
    }))

  it('of an unprotected branch is refused where the site says so', () =>
    inWorld({ rule: '    clusters: [laptop]\n    ci: protected' }, async world => {
      const { token } = await waitingJob(world, 'feature/x')
      expect(await ask(world, token(), own)).toMatchObject({
        status: 403,
        detail: expect.stringContaining('ci: protected'),
      })
      expect(await ask(world, token({ ref_protected: 'true', jti: 'two' }), own)).toMatchObject({ status: 200 })
    }))
})

describe.concurrent('a CI job', () => {
  it('that asks again, at once or after a restart of the service, gets the same run', () =>
    inWorld({}, async world => {
      const { token } = await waitingJob(world)
      const one = token()
      const answers = await Promise.all([1, 2, 3, 4].map(() => ask(world, one, own)))
      const first = answers.find(answer => answer.run !== undefined)!
      // One that came while the run was being written is asked to come again, and then has it.
      expect(answers.every(answer => answer.run === first.run || answer.status === 503)).toBe(true)
      await world.stopService()
      await world.start()
      expect((await ask(world, one, { ...own, script: 'something else' })).run).toBe(first.run)
      expect(await world.service.context.db.select({ id: runs.id }).from(runs)).toEqual([{ id: first.run }])
    }))

  it('that is cancelled in GitLab while its batch job runs has it cancelled, and says so', () =>
    inWorld({}, async world => {
      runsCi(world)
      world.simulator.addMember(world.project.id, world.bot.id, 40)
      const began = join(world.place, 'began')
      const sha = await world.push(
        'main',
        included(world, 'attach', { script: `echo hello; touch ${began}; sleep 600` }),
      )
      const job = await ciJobIs(world, sha, 'compops', ['running'])
      await until('the log to be followed', () => traceOf(world, job).includes('hello'), 60)
      world.simulator.cancelJob(job.id)
      expect((await ciJobEnds(world, sha, 'compops')).status).toBe('canceled')
      await until('the status to end', () => world.statuses(sha)['compops/ci/compops'] === 'canceled', 60)
      // GitLab is told of the job as soon as that has ended; its run is closed a moment later.
      const run = await until('the run to end', async () => {
        const [row] = await world.service.context.db.select().from(runs)
        return row?.endedAt != null && row
      })
      expect(run.state).toBe('canceled')
    }))

  it('that died with its runner is asked for after a minute of silence, and its batch job ends where it was cancelled', () =>
    inWorld({}, async world => {
      const states = async () => (await world.service.context.db.select().from(jobs)).map(job => job.state)
      const { job, token } = await waitingJob(world)
      await ask(world, token(), { ...own, mode: 'attach', script: 'sleep 600' })
      await until('the batch job to run', async () => (await states()).includes('running'), 60)
      const { db } = world.service.context
      const silent = () => db.update(ciJobs).set({ heardAt: new Date(0), nextAt: sql`now()` })
      world.simulator.resetRequests()
      await silent()
      await until('GitLab to be asked', () => world.simulator.requests().some(one => /\/jobs\/\d+$/.test(one.path)))
      expect(await states()).toEqual(['running'])
      world.simulator.finishJob(job.id, 'canceled')
      await silent()
      await until('it to be cancelled', async () => (await states()).every(state => state === 'canceled'), 60)
      expect((await db.select().from(ciJobs))[0]?.result).toBe('its CI job is canceled')
    }))

  it('goes on where its log was when the service was away, shows no secret of the site, and folds what is long', () =>
    inWorld({ rule: '    clusters: [laptop]\n    secrets: { LICENCE: "very-secret-licence" }' }, async world => {
      runsCi(world, ['dash'])
      const [one, two] = [join(world.place, 'one'), join(world.place, 'two')]
      world.simulator.setVariable(world.project.id, { key: 'MASKED', value: 'masked-in-gitlab', masked: true })
      const wait = (path: string) => `until [ -e ${path} ]; do sleep 0.1; done`
      const sha = await world.push(
        'main',
        included(world, 'attach', {
          script: `echo first; ${wait(one)}; echo "licence very-secret-licence and $MASKED"; ${wait(two)}; echo last; exit 4`,
          variables: 'MASKED',
        }),
      )
      const job = await ciJobIs(world, sha, 'compops', ['running'])
      await until('the first line', () => traceOf(world, job).includes('first\n'), 60)
      await world.stopService()
      await writeFile(one, '')
      await world.start()
      await until('the second line', () => traceOf(world, job).includes('licence'), 60)
      await writeFile(two, '')
      const ended = await ciJobEnds(world, sha, 'compops', 90)
      const trace = traceOf(world, ended)
      expect([ended.status, ended.exitCode]).toEqual(['failed', 4])
      expect(trace.match(/^first$/gm)?.length).toBe(1)
      expect(trace).not.toContain('very-secret-licence')
      expect(trace).not.toContain('masked-in-gitlab')
      expect(trace).toMatch(/section_start:\d+:compops_submit\[collapsed=true\]/)
      expect(trace.indexOf('section_end')).toBeGreaterThan(0)
    }))

  it('shows no more of a long log than it may, and its last lines', () =>
    inWorld({}, async world => {
      runsCi(world)
      const sha = await world.push(
        'main',
        included(world, 'attach', { script: 'seq 1 300000; echo the very end', log_limit: '20000' }),
      )
      const job = await ciJobEnds(world, sha, 'compops', 90)
      const trace = traceOf(world, job)
      expect([job.status, trace.length < 80_000, trace.includes('the very end')]).toEqual(['success', true, true])
      expect(trace).toMatch(/^1\n2\n3$/m)
      expect(trace).toMatch(/more than log_limit: \d+ bytes are left out before these last lines; all of it: laptop:/)
    }))

  it('does not wait longer than it may', () =>
    inWorld({}, async world => {
      runsCi(world)
      const gate = join(world.place, 'never')
      const sha = await world.push('main', {
        ...included(world, 'attach', { job: 'late', max_wait: '2s' }),
        '.compops.yml': `jobs:\n  early:\n    script: ["until [ -e ${gate} ]; do sleep 0.1; done"]\n  late:\n    needs: [early]\n    script: [echo never]\n`,
      })
      const job = await ciJobEnds(world, sha, 'compops', 90)
      expect([job.exitCode, traceOf(world, job)]).toEqual([130, expect.stringContaining('max_wait')])
      await writeFile(gate, '')
    }))
})

describe.concurrent('a gate', () => {
  it('on a protected branch stays closed until the token has the right to play it; nothing is lost meanwhile', () =>
    inWorld({ rule: '    clusters: [laptop]\n    gates: [solve]' }, async world => {
      runsCi(world)
      world.simulator.protectBranch(world.project.id, 'main', { pushLevel: 40, mergeLevel: 40 })
      const sha = await world.push('main', included(world, 'gate', { script: 'echo done', ci_job: 'solve' }))
      await ciJobIs(world, sha, 'solve', ['manual'])
      await until('the refusal', () =>
        world.simulator.requests().some(one => one.path.endsWith('/play') && one.status === 403),
      )
      expect(ciJob(world, sha, 'solve')?.status).toBe('manual')
      expect(world.simulator.pipelines(world.project.id)[0]?.status).toBe('manual')
      world.simulator.protectBranch(world.project.id, 'main', { pushLevel: 40, mergeLevel: 30 })
      expect((await ciJobEnds(world, sha, 'solve', 90)).status).toBe('success')
    }))

  it('that was played before its time says so, and goes again by itself', () =>
    inWorld({}, async world => {
      runsCi(world)
      const gate = join(world.place, 'gate')
      const sha = await world.push(
        'feature/x',
        included(world, 'gate', { script: `until [ -e ${gate} ]; do sleep 0.1; done; exit 5` }),
      )
      const manual = await ciJobIs(world, sha, 'compops', ['manual'])
      world.simulator.playJob(manual.id, world.alice.id)
      const early = await ciJobEnds(world, sha, 'compops')
      expect([early.exitCode, traceOf(world, early)]).toEqual([75, expect.stringContaining('not yet')])
      await writeFile(gate, '')
      const again = await until(
        'the gate to go again',
        () => {
          const job = ciJob(world, sha, 'compops')
          return job !== undefined && job.id !== early.id && job.status === 'failed' && job
        },
        90,
      )
      expect([again.exitCode, again.userId]).toEqual([5, world.bot.id])
    }))
})

describe('many CI jobs', () => {
  it('that wait cost GitLab no call, however often we look', () =>
    inWorld({}, async world => {
      world.simulator.settings.ciJobs = 'wait'
      const gate = join(world.place, 'gate')
      const names = Array.from({ length: 20 }, (_, i) => `solve${i}`)
      const sha = await world.push('feature/x', {
        '.gitlab-ci.yml': names.map(name => `${name}:\n  script: [x]\n`).join(''),
      })
      await ciJobIs(world, sha, 'solve19', ['pending'])
      for (const name of names) {
        const token = world.simulator.idToken(ciJob(world, sha, name)!.id, world.url)
        const form = {
          ...own,
          mode: 'gate',
          gate: 'compops-none',
          name,
          script: `until [ -e ${gate} ]; do sleep 0.2; done`,
        }
        expect((await ask(world, token, form)).status).toBe(200)
      }
      await until(
        'all to run',
        async () => Object.values(world.statuses(sha)).filter(state => state === 'running').length >= 20,
        90,
      )
      world.simulator.resetRequests()
      const { context } = world.service
      expect(await Promise.all([1, 2, 3].map(() => lookAfterCiJobs(context)))).toEqual([0, 0, 0])
      expect(world.simulator.requests().filter(one => /\/(jobs|pipelines)\b/.test(one.path))).toEqual([])
      await writeFile(gate, '')
      await until(
        'all to end',
        async () => (await world.service.context.db.select().from(runs)).every(run => run.endedAt !== null),
        90,
      )
    }))
})
