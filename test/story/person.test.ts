import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { CommandAnswer, PlanAnswer, RunAnswer } from '../../src/model/api.ts'
import { compops } from '../support/compops.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// The verbs of a person, from their own terminal and their scripts.
vi.setConfig({ testTimeout: 240_000 * patience })

const heat = 'projects/physics%2Fheat'
const tokenOf = (world: World, userId: number, scopes = ['api']) =>
  world.simulator.createToken(userId, { scopes }).token

const program = promisify(execFile)

async function cloneOf(world: World, branch: string): Promise<string> {
  const clone = join(world.place, 'clone')
  const address = `${world.simulator.url.replace('://', '://alice:secret-alice@')}/physics/heat.git`
  await program('git', ['clone', '-q', '-b', branch, address, clone])
  return clone
}

describe.concurrent('a person', () => {
  it('sees what would run before it does, of a file that is not committed yet too, with every mistake', () =>
    inWorld({}, async world => {
      const spec = `defaults: { time: 30m }
jobs:
  mesh:
    script: [make mesh]
  solve:
    needs: [mesh]
    file: jobs/solve.sh
    cpus_per_task: 4
    array: 0-9
`
      const sha = await world.push('calc/plan', { '.compops.yml': spec, 'jobs/solve.sh': '#!/bin/sh\necho solve\n' })
      const clone = await cloneOf(world, 'calc/plan')
      const env = { COMPOPS_URL: world.url, GITLAB_TOKEN: tokenOf(world, world.alice.id, ['read_api']) }
      const ask = (...args: string[]) => compops(args, env, clone)

      const said = await ask('plan', '--json', '--branch', 'calc/plan')
      const plan = PlanAnswer.parse(JSON.parse(said.out))
      expect([said.code, plan.sha, plan.refused, plan.problems]).toEqual([0, sha, null, []])
      expect(plan.jobs.map(job => [job.name, job.cluster, job.needs, job.tasks])).toEqual([
        ['mesh', 'laptop', [], null],
        ['solve', 'laptop', ['mesh'], '0-9'],
      ])
      // 0.5 h of one core, and of ten tasks with four.
      expect(plan.cost).toEqual({ core_hours: 20.5, gpu_hours: 0, unknown: [] })
      expect(plan.jobs[1]!.values).toContainEqual({ key: 'cpus_per_task', value: 4, from: '.compops.yml line 8' })
      expect(plan.jobs[0]!.script.map(line => line.text).join('\n')).toContain('make mesh')

      // With other values, for one run: of all jobs, and of one.
      const other = await ask('plan', '--json', '--branch', 'calc/plan', '--', 'time=1h', 'solve.mem=2G', 'array=0-1')
      const changed = PlanAnswer.parse(JSON.parse(other.out))
      expect(changed.jobs.map(job => [job.resources.time, job.resources.mem, job.tasks])).toEqual([
        [3_600, undefined, null],
        [3_600, 2_048, '0-1'],
      ])
      expect(changed.jobs[1]!.values).toContainEqual({ key: 'mem', value: 2_048, from: 'the command' })
      expect(await ask('plan', '--branch', 'calc/plan', '--', 'degre=3')).toMatchObject({
        ...{ code: 1, err: expect.stringContaining('no job has a parameter degre') },
      })

      // On this disk, nothing committed: another script, and a mistake.
      writeFileSync(join(clone, 'jobs/solve.sh'), '#!/bin/bash -l\necho solved anew\n')
      const local = await ask('plan', '--scripts')
      expect(local.code).toBe(0)
      expect(local.out).toMatch(/calc\/plan at [0-9a-f]{8}: 2 jobs, at most 20.5 core-h/)
      expect(local.out).toMatch(/solve \[0-9\] +laptop +mesh +.*cpus_per_task 4.* 20 core-h/)
      expect(local.out).toContain('/bin/bash -l jobs/solve.sh')
      writeFileSync(join(clone, '.compops.yml'), spec.replace('cpus_per_task', 'cpus_per_taks'))
      const wrong = await ask('plan')
      expect(wrong.code).toBe(1)
      expect(wrong.out).toContain('it would not run')
      expect(wrong.out).toContain('Did you mean `cpus_per_task`?'.replaceAll('`', ''))

      // As a push would have it: what rules leave out is said, and why.
      const ruled = `${spec}  nightly: { script: [x], rules: [{ if: $COMPOPS_CAUSE == "schedule" }] }\n  docs: { script: [x], rules: [{ changes: [docs/**] }] }\n`
      writeFileSync(join(clone, '.compops.yml'), ruled)
      const here = await ask('plan')
      expect(here.out).toContain('left out by their rules: nightly (its rule does not apply)')
      expect(here.out).toMatch(/docs +laptop/)
      expect(here.out).toContain('each `changes` in a rule counts as met')
      await world.push('calc/plan', { '.compops.yml': ruled })
      const pushed = PlanAnswer.parse(JSON.parse((await ask('plan', '--json', '--branch', 'calc/plan')).out))
      expect(pushed.left_out).toEqual([
        { name: 'nightly', why: 'its rule does not apply' },
        { name: 'docs', why: 'its rule does not apply' },
      ])
      expect(pushed.jobs.map(job => job.name)).toEqual(['mesh', 'solve'])

      writeFileSync(join(clone, '.compops.yml'), spec.replace('cpus_per_task', 'cpus_per_taks'))
      const offline = await compops(['plan', '--offline'], {}, clone)
      expect([offline.code, offline.out]).toEqual([1, expect.stringContaining('Did you mean cpus_per_task?')])
      writeFileSync(join(clone, '.compops.yml'), spec)
      expect(await compops(['plan', '--offline'], {}, clone)).toMatchObject({
        ...{ code: 0, out: expect.stringContaining('2 jobs: mesh, solve. Nothing is wrong in the file itself') },
      })

      // A repository of somebody else's names a file outside of it: it does not leave this disk.
      mkdirSync(join(world.place, 'private'))
      writeFileSync(join(world.place, 'private/key'), 'SECRET OF ALICE\n')
      writeFileSync(join(clone, '.compops.yml'), 'jobs: { a: { file: ../private/key } }\n')
      expect((await ask('plan', '--json')).out).not.toContain('SECRET')
      symlinkSync('../private/key', join(clone, 'link'))
      writeFileSync(join(clone, '.compops.yml'), 'jobs: { a: { file: link } }\n')
      expect((await ask('plan', '--json', '--scripts')).out).not.toContain('SECRET')
      expect(world.simulator.statuses(world.project.id, sha).length).toBeGreaterThan(0)
    }))

  it('runs, retries and cancels from a clone, with the rights that GitLab gives', () =>
    inWorld({}, async world => {
      const gate = join(world.place, 'gate')
      const sha = await world.push('calc/verbs', {
        '.compops.yml': `jobs:\n  quick: { script: ['true'] }\n  slow:\n    script:\n      - until [ -e ${gate} ]; do sleep 0.1; done\n`,
      })
      const clone = await cloneOf(world, 'calc/verbs')
      const env = { COMPOPS_URL: world.url, GITLAB_TOKEN: tokenOf(world, world.alice.id) }
      const ask = (...args: string[]) => compops(args, env, clone)
      await until('slow to run', async () => /slow +◐ running/.test((await ask('status')).out), 90)

      const bob = world.simulator.createUser({ username: 'bob', name: 'Bob' })
      world.simulator.addMember(world.project.id, bob.id, 20)
      const asBob = (...args: string[]) => compops(args, { ...env, GITLAB_TOKEN: tokenOf(world, bob.id) }, clone)
      expect((await asBob('status')).code).toBe(0)
      expect(await asBob('cancel')).toMatchObject({ code: 3, err: expect.stringContaining('needs the role Developer') })
      const reading = { ...env, GITLAB_TOKEN: tokenOf(world, world.alice.id, ['read_api']) }
      expect(await compops(['cancel'], reading, clone)).toMatchObject({
        ...{ code: 3, err: expect.stringContaining('has not the scope') },
      })

      expect(await ask('cancel', 'slow')).toMatchObject({ code: 0, out: 'Cancelled: slow.\n' })
      await world.treeEnds(sha, ['canceled'])
      expect(await ask('cancel', 'slow')).toMatchObject({ code: 0, out: expect.stringContaining('has ended') })
      expect(await ask('retry', 'nothing')).toMatchObject({ code: 1, err: expect.stringContaining('is neither a job') })

      const retried = ask('retry', 'slow', '--wait')
      await until('slow to run again', async () => /slow +◐ running/.test((await ask('status')).out), 90)
      writeFileSync(gate, '')
      expect(await retried).toMatchObject({
        code: 0,
        out: expect.stringMatching(/^slow runs again\.\n[\s\S]*completed\n$/),
      })

      const anew = await ask('run', '--wait', '--json')
      expect([anew.code, RunAnswer.parse(JSON.parse(anew.out).run)]).toMatchObject([
        ...[0, { sha, state: 'completed', cause: expect.stringMatching(/^api:/) }],
      ])
    }))

  it('is answered alike where a request comes twice, and done once', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/twice', { '.compops.yml': "jobs: { a: { script: ['true'] } }\n" })
      await world.treeEnds(sha, ['success'])
      const token = tokenOf(world, world.alice.id)
      const post = async (key: string | null, verb = 'run', body: object = { branch: 'calc/twice' }) => {
        const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
        const answer = await fetch(`${world.url}/api/v1/${heat}/commands/${verb}`, {
          ...{ method: 'POST', body: JSON.stringify(body) },
          headers: key === null ? headers : { ...headers, 'idempotency-key': key },
        })
        return { status: answer.status, body: (await answer.json()) as { run: { id: string }; error: string } }
      }
      const [one, two] = [await post('monday-1'), await post('monday-1')]
      expect(CommandAnswer.parse(one.body).run!.id).toBe(CommandAnswer.parse(two.body).run!.id)
      const runs = async () => {
        const answer = await fetch(`${world.url}/api/v1/${heat}/runs`, { headers: { 'private-token': token } })
        return ((await answer.json()) as { runs: unknown[] }).runs.length
      }
      expect(await runs()).toBe(2)
      // Another key, or none, is another request; the same key of somebody else too.
      await post('monday-2')
      await post(null)
      expect(await runs()).toBe(4)

      expect(await post('x', 'explode')).toMatchObject({ status: 400 })
      expect(await post('x', 'run', { branch: 'calc/twice', evil: 1 })).toMatchObject({ status: 400 })
      expect(await post('x y')).toMatchObject({ status: 400 })
      expect(await post('z', 'retry', { branch: 'calc/none', target: 'a' })).toMatchObject({ status: 409 })
    }))
})
