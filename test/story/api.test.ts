import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { BranchList, Me, ProjectAnswer, ResultsAnswer, RunAnswer, RunList, Tree } from '../../src/model/api.ts'
import { compops } from '../support/compops.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What GitLab lets a person do, they may do here, with a token of theirs.
vi.setConfig({ testTimeout: 240_000 * patience })

// The simulated GitLab answers from this process: it must not wait.
const program = promisify(execFile)

const heat = 'projects/physics%2Fheat'
const file = (script: string) => `jobs:\n  solve:\n    script:\n      - ${script}\n`

function asPerson(world: World, token: string) {
  const ask = (path: string, more: RequestInit = {}) =>
    fetch(`${world.url}/api/v1/${path}`, { ...more, headers: { authorization: `Bearer ${token}`, ...more.headers } })
  const get = async (path: string) => {
    const answer = await ask(path)
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  const refused = async (path: string) => {
    const answer = await ask(path)
    return [answer.status, ((await answer.json()) as { error: string }).error]
  }
  return { ask, get, refused }
}

const personOf = (world: World, userId: number) => asPerson(world, world.simulator.createToken(userId).token)

describe.concurrent('the API', () => {
  it('shows whoever may read the code its branches, runs, jobs and results, page by page', () =>
    inWorld({}, async world => {
      const first = await world.push('calc/heat', { '.compops.yml': file('echo one; exit 3') })
      await world.treeEnds(first, ['failed'])
      const second = await world.push('calc/heat', {
        '.compops.yml': `${file('mkdir out; echo 1 > out/a.csv')}    outputs: [out/*]\n`,
      })
      await world.treeEnds(second, ['success'])
      const other = await world.push('calc/other', { '.compops.yml': file('echo other') })
      await world.treeEnds(other, ['success'])

      const { ask, get, refused } = personOf(world, world.alice.id)
      expect(Me.parse(await get('user'))).toEqual({
        id: world.alice.id,
        username: 'alice',
        name: 'Alice Archer',
        may_write: true,
      })
      expect(ProjectAnswer.parse(await get(heat))).toMatchObject({
        path: 'physics/heat',
        access_level: 40,
        clusters: ['laptop'],
      })
      expect(ProjectAnswer.parse(await get(`projects/${world.project.id}`)).path).toBe('physics/heat')

      const runs = RunList.parse(await get(`${heat}/runs`)).runs
      expect(runs.map(run => [run.branch, run.sha, run.state, run.jobs])).toEqual([
        ['calc/other', other, 'completed', { completed: 1 }],
        ['calc/heat', second, 'completed', { completed: 1 }],
        ['calc/heat', first, 'failed', { failed: 1 }],
      ])
      const shas = async (query: string) => RunList.parse(await get(`${heat}/runs?${query}`)).runs.map(run => run.sha)
      expect(await shas('branch=calc/heat')).toEqual([second, first])
      expect(await shas('state=failed')).toEqual([first])
      expect(await shas('state=running')).toEqual([])
      expect(await shas(`sha=${other.slice(0, 10)}`)).toEqual([other])
      const page = RunList.parse(await get(`${heat}/runs?limit=2`))
      expect(await shas(`limit=2&after=${page.next}`)).toEqual([first])
      expect(RunList.parse(await get(`${heat}/runs?limit=3`)).next).toBeNull()
      expect(await refused(`${heat}/runs?state=better`)).toEqual([400, 'The request is not understood'])
      expect(await refused(`${heat}/runs?brnach=x`)).toEqual([400, 'The request is not understood'])

      const branches = BranchList.parse(await get(`${heat}/branches?limit=1`))
      expect(branches.branches.map(branch => [branch.name, branch.run?.state])).toEqual([['calc/heat', 'completed']])
      const rest = BranchList.parse(await get(`${heat}/branches?limit=1&after=${encodeURIComponent(branches.next!)}`))
      expect([rest.branches[0]?.name, rest.next]).toEqual(['calc/other', null])
      expect(Tree.parse(await get(`${heat}/tree`)).branches.map(branch => branch.name)).toEqual([
        'calc/heat',
        'calc/other',
      ])
      expect(await refused(`${heat}/branch?name=calc/none`)).toMatchObject([404, /no such computation branch/])

      const run = RunAnswer.parse(await get(`runs/${runs[2]!.id}`))
      expect(run.job_list[0]).toMatchObject({
        name: 'solve',
        state: 'failed',
        reason: 'exit',
        cluster: 'laptop',
        tasks: null,
      })
      expect(run.job_list[0]!.attempts[0]).toMatchObject({ number: 1, exit_code: 3, state: 'failed' })

      const results = ResultsAnswer.parse(await get(`runs/${runs[1]!.id}/results`))
      const csv = results.jobs[0]!.files.find(one => one.path === 'out/a.csv')!
      const piece = await ask(`attempts/${csv.attempt}/file?in=${csv.in}&path=${csv.path}&offset=0&bytes=100`)
      expect([piece.status, await piece.text(), piece.headers.get('x-compops-size')]).toEqual([200, '1\n', '2'])
      expect((await ask(`attempts/${csv.attempt}/file?in=checkout&path=../../script`)).status).toBe(404)
    }))

  it('lets a log be followed to its end by byte, with long answers or ranges', () =>
    inWorld({}, async world => {
      const gate = join(world.place, 'gate')
      const sha = await world.push('calc/log', {
        '.compops.yml': file(`echo begun; until [ -e ${gate} ]; do sleep 0.1; done; echo done`),
      })
      const { ask, get } = personOf(world, world.alice.id)
      const run = await until('the run', async () => RunList.parse(await get(`${heat}/runs`)).runs[0])
      const job = RunAnswer.parse(await get(`runs/${run.id}`)).job_list[0]!
      const begun = await until('the first line', async () => {
        const answer = await ask(`jobs/${job.id}/log?wait=20`)
        return (await answer.clone().text()).includes('begun') && answer
      })
      const text = await begun.text()
      const size = Number(begun.headers.get('x-compops-size'))
      expect(begun.headers.get('x-compops-ended')).toBe('no')
      expect(begun.headers.get('x-content-type-options')).toBe('nosniff')

      const waiting = ask(`jobs/${job.id}/log?wait=60&offset=${size}&attempt=${begun.headers.get('x-compops-attempt')}`)
      await writeFile(gate, '')
      const more = await (await waiting).text()
      await world.treeEnds(sha, ['success'])
      expect(more).toContain('done')
      const whole = await ask(`jobs/${job.id}/log`)
      expect(await whole.text()).toContain(`${text}${more}`)
      expect(whole.headers.get('x-compops-ended')).toBe('yes')

      const part = await ask(`jobs/${job.id}/log`, { headers: { range: `bytes=0-4` } })
      expect([part.status, (await part.text()).length]).toEqual([206, 5])
      const all = Number(whole.headers.get('x-compops-size'))
      expect(part.headers.get('content-range')).toBe(`bytes 0-4/${all}`)
      const beyond = await ask(`jobs/${job.id}/log`, { headers: { range: `bytes=${all}-` } })
      expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${all}`])
    }))

  it('shows nobody more than GitLab shows them', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/secret', { '.compops.yml': file('echo secret') })
      await world.treeEnds(sha, ['success'])
      const alice = personOf(world, world.alice.id)
      const run = RunList.parse(await alice.get(`${heat}/runs`)).runs[0]!
      const { job_list } = RunAnswer.parse(await alice.get(`runs/${run.id}`))
      const addresses = (one = job_list[0]!) => [
        ...[heat, `projects/${world.project.id}`, `${heat}/runs`, `${heat}/branches`, `${heat}/tree`],
        ...[`runs/${run.id}`, `runs/${run.id}/results`, `jobs/${one.id}/log`],
        `attempts/${one.attempts[0]!.id}/file?in=attempt&path=script`,
      ]

      const mallory = world.simulator.createUser({ username: 'mallory', name: 'Mallory' })
      const stranger = personOf(world, mallory.id)
      for (const path of addresses()) expect([path, (await stranger.ask(path)).status]).toEqual([path, 404])
      // In the same words as what does not exist at all.
      expect(await stranger.refused(heat)).toEqual(await stranger.refused('projects/physics%2Fnothing'))
      expect(await stranger.refused(`runs/${run.id}`)).toEqual(
        await stranger.refused('runs/01900000-0000-7000-8000-000000000000'),
      )
      world.simulator.addMember(world.project.id, mallory.id, 10)
      const guest = personOf(world, mallory.id)
      for (const path of addresses()) expect([path, (await guest.ask(path)).status]).toEqual([path, 403])
      world.simulator.addMember(world.project.id, mallory.id, 20)
      const reporter = personOf(world, mallory.id)
      for (const path of addresses()) expect([path, (await reporter.ask(path)).status]).toEqual([path, 200])
      world.simulator.removeMember(world.project.id, mallory.id)
      world.project.visibility = 'public'
      const passer = personOf(world, mallory.id)
      expect((await passer.ask(`runs/${run.id}`)).status).toBe(200)

      world.simulator.blockUser(mallory.id)
      expect(await personOf(world, mallory.id).refused('user')).toMatchObject([403, /blocked/])
      const nobody = await fetch(`${world.url}/api/v1/${heat}`)
      expect([nobody.status, nobody.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="GitLab token"'])
      const token = 'glpat-this-one-is-wrong'
      expect(await asPerson(world, token).refused('user')).toMatchObject([401, /GitLab does not take this token/])
      expect(world.logged.join('')).not.toContain(token)
      expect(world.logged.some(line => line.includes('a sign-in failed'))).toBe(true)
    }))

  it('is what the command line speaks in a clone, with no more than an address and a token', () =>
    inWorld({}, async world => {
      const gate = join(world.place, 'gate')
      const spec = `${file(`echo begun; until [ -e ${gate} ]; do sleep 0.1; done; mkdir out; echo 1 > out/a.csv; exit 3`)}    outputs: [out/*]\n`
      await world.push('calc/cli', { '.compops.yml': spec })
      const clone = join(world.place, 'clone')
      const address = `${world.simulator.url.replace('://', '://alice:secret-alice@')}/physics/heat.git`
      await program('git', ['clone', '-q', '-b', 'calc/cli', address, clone])
      const token = world.simulator.createToken(world.alice.id, { scopes: ['read_api'] }).token
      const env = { COMPOPS_URL: world.url, GITLAB_TOKEN: token }
      const ask = (...args: string[]) => compops(args, env, clone)

      await until('the job to run', async () => /solve +◐ running/.test((await ask('status')).out), 90)
      expect((await ask('tree')).out).toMatch(/ calc\/cli \* +◐ running +0\/1/)
      const following = ask('logs', 'solve', '-f', '--all')
      const watching = ask('status', '--watch')
      const asData = ask('status', 'calc/cli', '--watch', '--json')
      await writeFile(gate, '')
      expect(await following).toMatchObject({ code: 0, out: expect.stringContaining('begun\n') })
      expect(await watching).toMatchObject({
        code: 1,
        out: expect.stringMatching(/solve: failed \(exit.*\n.*: failed\n$/),
      })
      const told = await asData
      expect([told.code, RunAnswer.parse(JSON.parse(told.out)).state]).toEqual([1, 'failed'])
      expect((await ask('status', '--all')).out).toMatch(/calc\/cli +✕ failed +0\/1/)
      expect(await ask('collect', '--into', 'results')).toMatchObject({ code: 0 })
      expect(readFileSync(join(clone, 'results/solve/outputs/out/a.csv'), 'utf8')).toBe('1\n')

      expect(await ask('status', 'calc/none')).toMatchObject({ code: 5 })
      expect(await compops(['status'], { ...env, GITLAB_TOKEN: 'glpat-wrong-wrong' }, clone)).toMatchObject({
        ...{ code: 3, err: expect.stringContaining('GitLab does not take this token') },
      })
    }))
})
