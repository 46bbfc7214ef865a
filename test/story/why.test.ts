import { rename, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { askOperator } from '../../src/cli/operator.ts'
import { loadConfig } from '../../src/config/index.ts'
import { startService } from '../../src/main.ts'
import type { Why } from '../../src/model/why.ts'
import { renderWhy } from '../../src/render/why.ts'
import { rows } from '../../src/store/open.ts'
import { compops } from '../support/compops.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { startProxy } from '../support/proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

// What an operator asks at three in the morning, with the real command against the running service.
const hello = {
  '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n  after:\n    needs: [hello]\n    script: [echo after]\n',
}
let world: World | null = null

async function begin(options: WorldOptions = {}): Promise<World> {
  world = await startWorld({ database: 'postgres', ...options })
  return world
}

afterEach(async () => {
  await world?.close()
  world = null
})

const why = (w: World, ...words: string[]) => compops(['why', '--config', w.configFile, ...words])
// The same question without a process of its own, where it is asked again and again.
const whyData = (w: World, ...words: string[]) =>
  askOperator<Why>(w.configFile, {}, { method: 'GET', path: `/why?${new URLSearchParams({ q: words.join(' ') })}` })
const told = async (w: World, words: string, text: RegExp | string) => {
  const out = renderWhy(await whyData(w, words))
  return (typeof text === 'string' ? out.includes(text) : text.test(out)) && out
}

describe('compops why', () => {
  it('tells the chain of a finished run, whatever a person has in hand', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    const { iid } = await w.openMergeRequest('calc/heat')
    await w.treeEnds(sha, ['success'])
    await until('all to be told', async () => (await whyData(w, 'calc/heat')).chains[0]?.stands.kind === 'over')
    const { db } = w.service.context
    const [row] = await rows<{ run: string; delivery: string; key: string; native: string; attempt: string }>(
      db,
      sql`select r.id as run, d.id as delivery, d.key, a.native_id as native, a.id as attempt from runs r
        join deliveries d on d.id = r.delivery_id join jobs j on j.run_id = r.id and j.name = 'hello' join attempts a on a.job_id = j.id`,
    )
    const { run, delivery, key, native, attempt } = row!

    const said = await why(w, 'calc/heat')
    expect(said).toMatchObject({ code: 0, err: '' })
    for (const line of [
      `calc/heat at ${sha.slice(0, 8)} in physics/heat`,
      /● {2}delivery +push by alice, accepted +\d\d:\d\d:\d\d CES?T, (just now|\d+ (s|min) ago)/,
      `→ run ${run} started with 2 jobs`,
      /● {2}run +completed, 2 jobs: push by alice/,
      /● {2}hello +completed, laptop [\d.]+ /,
      /● {2}after +completed, laptop [\d.]+ /,
      /● {2}status hello +success, told/,
      /● {2}status tree +success, told/,
      new RegExp(`●  note +!${iid}, told`),
      `runs/calc/heat/${sha.slice(0, 8)}-${run}.yml, committed`,
      'It is over: the run is completed, GitLab has been told everything; nothing is to come.',
    ])
      expect(said.out).toMatch(line)
    expect(said.out).not.toContain('\x1b')

    for (const words of [
      ['refs/heads/calc/heat'],
      [sha],
      [sha.slice(0, 9)],
      [run],
      [delivery],
      [key],
      [native],
      [attempt],
      [`compops-${attempt}`],
      ['calc/heat', 'hello'],
      ['hello', 'calc/heat'],
    ]) {
      const answer = await whyData(w, ...words)
      expect([words, answer.chains.map(chain => chain.steps.find(step => step.kind === 'run')?.id)]).toEqual([
        words,
        [run],
      ])
    }
    const ofJob = await why(w, 'calc/heat', 'hello')
    expect(ofJob.out).not.toMatch(/ {2}after /)
  })

  it('says in the words stored why a push ran nothing', async () => {
    const w = await begin()
    await w.push('calc/skipped', hello, 'not now [skip compops]')
    const said = { out: await until('the delivery to be read', () => told(w, 'calc/skipped', 'It ended there')) }
    expect(said.out).toMatch(/It ended there: the message of [0-9a-f]{8} says \[skip compops\]\./)

    await w.push('notes', { 'notes.txt': 'no computation' })
    await until('the delivery to be read', () => told(w, 'notes', 'no .compops.yml at'))
    // What was answered as ignored says so too.
    const body = JSON.stringify({
      object_kind: 'feature_flag',
      project: { id: w.project.id, path_with_namespace: 'physics/heat' },
    })
    const headers = {
      'content-type': 'application/json',
      'x-gitlab-token': w.secret,
      'idempotency-key': 'a-key-of-the-story',
    }
    await fetch(`${w.url}/webhooks/gitlab`, { method: 'POST', body, headers })
    const ignored = await why(w, 'a-key-of-the-story')
    expect(ignored.out).toMatch(/⊘ {2}delivery +other, ignored: /)
    expect(ignored.out).toContain('It ended there: ignored, ')
  })

  it('shows the mistakes of a wrong file, with their lines', async () => {
    const w = await begin()
    const sha = await w.push('calc/wrong', { '.compops.yml': 'jobs:\n  hello:\n    scrpt: [echo hello]\n' })
    await w.treeEnds(sha, ['failed'])
    const said = { out: await until('all to be told', () => told(w, 'calc/wrong', 'It is over')) }
    expect(said.out).toMatch(/✕ {2}run +failed, no jobs: push by alice/)
    expect(said.out).toMatch(/\.compops\.yml line 3: .*scrpt/)
    expect(said.out).toContain('It is over: the run is failed')
  })

  it('names a cluster that is away, since when, and the next try', async () => {
    const slurm = startFakeSlurm()
    const sshd = await startSshd()
    const proxy = await startProxy({ host: '127.0.0.1', port: sshd.port })
    try {
      proxy.accept(false)
      slurm.behave('sbatch', 'down')
      const knownHosts = await sshd.knownHostsFor(proxy.port)
      const w = await begin({
        clusters: `  falcon:
    scheduler: slurm
    path: ${slurm.bin}
    ssh: { host: 127.0.0.1, port: ${proxy.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${knownHosts} }
    root: ROOT
    poll_interval: 1s`,
        rule: '    clusters: [falcon]',
        more: 'intervals: { note: 200ms, settle: 3s, shortest_poll: 200ms }',
      })
      await w.push('calc/heat', hello)
      // Away from the start: nothing is handed over before it was looked at once.
      const away = await until('the trouble to be told', () => told(w, 'calc/heat', 'falcon does not answer: '))
      expect(away).toContain('It stands at: hello, waiting (falcon)')
      expect(away).toMatch(/falcon has not answered: .*\d\d:\d\d:\d\d CES?T/)
      expect(away).toMatch(/falcon does not answer: .*; next: falcon is asked every 1 s to /)
      // It answers, but its scheduler does not.
      proxy.accept(true)
      const tried = await until('a submission to be tried again', () =>
        told(w, 'calc/heat hello', 'falcon takes no jobs: '),
      )
      expect(tried).toMatch(/falcon takes no jobs: .*Unable to contact slurm controller/)
      expect(tried).toMatch(/↻ next try (in \d+ s|at once), \d+ tr(y|ies) so far/)
      expect(tried).toMatch(
        /It stands at: the submission of hello to falcon, .*Unable to contact slurm controller.*; next: it is handed over (at once|in \d+ s \(next try\))\./,
      )
      // The job that waits for it is not to blame.
      expect(renderWhy(await whyData(w, 'calc/heat'))).toMatch(/It stands at: the submission of hello/)
      slurm.behave('sbatch', 'ok')
      await until('the end', () => told(w, 'calc/heat', 'It is over: the run is completed'))
    } finally {
      // Before its cluster goes away: nothing that runs is left behind.
      await world?.close()
      world = null
      await proxy.stop()
      await sshd.stop()
      slurm.stop()
    }
  })

  it('says what a revoked token stops, and that it is tried again', async () => {
    const w = await begin()
    w.simulator.revokeToken(w.token)
    await w.push('calc/heat', hello)
    const said = { out: await until('the trouble to be told', () => told(w, 'calc/heat', '✕')) }
    expect(said.out).toMatch(/○ {2}delivery +push by alice, accepted/)
    expect(said.out).toMatch(
      /It stands at: the delivery, stored and not acted on yet, .+; next: it is read(,| at once| in \d+ s \(next try\))/,
    )
    expect(said.out).not.toContain(w.token)
  })

  it('shows what is parked, and `compops retry` gives it another chance', async () => {
    const w = await begin()
    w.simulator.addMember(w.project.id, w.bot.id, 10)
    await w.push('calc/heat', hello)
    const { db } = w.service.context
    const [delivery] = await until('the delivery to have failed', async () => {
      const found = await rows<{ id: string }>(
        db,
        sql`update deliveries set parked_at = now(), tries = 8, lease_until = null, last_error = ${'a mistake\x1b[31m of ours'}
          where ref = 'refs/heads/calc/heat' and last_error is not null and lease_until is null returning id`,
      )
      return found.length > 0 ? found : null
    })
    w.simulator.addMember(w.project.id, w.bot.id, 30)
    const said = await why(w, 'calc/heat')
    expect(said.out).toContain(
      `It stands at: the delivery, parked, a mistake of ours; next: nothing by itself; \`compops retry ${delivery!.id}\``,
    )

    const parked = await compops(['parked', '--config', w.configFile])
    expect(parked).toMatchObject({ code: 0, err: '' })
    expect(parked.out).toMatch(
      new RegExp(`${delivery!.id} {2}deliveries: push of refs/heads/calc/heat in physics/heat`),
    )
    expect(parked.out).toMatch(/after 8 tries\n {4}a mistake of ours\n/)

    expect(await compops(['retry', '--config', w.configFile])).toMatchObject({ code: 2 })
    expect(await compops(['retry', '--config', w.configFile, 'calc/heat'])).toMatchObject({ code: 2 })
    expect(await compops(['retry', '--config', w.configFile, delivery!.id])).toMatchObject({
      code: 0,
      out: '1 row gets another chance.\n',
    })
    const sha = (await w.simulator.branches(w.project.id)).find(branch => branch.name === 'calc/heat')!.sha
    await w.treeEnds(sha, ['success'])
    expect((await compops(['parked', '--config', w.configFile])).out).toContain('Nothing is parked.')
    expect(await compops(['retry', '--config', w.configFile, '--all'])).toMatchObject({ out: 'Nothing was parked.\n' })
  })

  it('says what it looked for where nothing is known, and what comes nearest', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha)
    const said = await why(w, 'calc/haet')
    expect(said.code).toBe(1)
    expect(said.out).toContain('Nothing is known of calc/haet')
    expect(said.out).toContain('It was looked for as the key of a delivery and a branch.')
    expect(said.out).toMatch(/compops why calc\/heat {2}physics\/heat, a branch/)
    expect((await why(w)).code).toBe(2)
    expect((await why(w, 'deadbeefdeadbeef')).out).toContain('the key of a delivery, a commit and a branch')
  })

  it('tells the newest of several first, and how many more there are', async () => {
    const w = await begin()
    const first = await w.push('calc/heat', hello)
    await w.treeEnds(first)
    const second = await w.push('calc/heat', { 'more.txt': 'more' })
    await w.treeEnds(second)
    const said = await why(w, 'calc/heat')
    expect(said.out).toContain(`calc/heat at ${second.slice(0, 8)}`)
    expect(said.out).not.toContain(`calc/heat at ${first.slice(0, 8)}`)
    expect(said.out).toContain('1 older match: `--last 2` shows it.')
    const both = await why(w, 'calc/heat', '--last', '2')
    expect(both.out.indexOf(second.slice(0, 8))).toBeLessThan(both.out.indexOf(first.slice(0, 8)))
  })
})

describe('the operator socket', () => {
  it('is for the owner alone, replaces a dead one, and is gone when the service has stopped', async () => {
    const w = await begin()
    const path = `${w.place}/data/compops.sock`
    const { mode, ino } = await stat(path)
    expect((mode & 0o777).toString(8)).toBe('600')
    await w.stopService()
    await expect(stat(path)).rejects.toThrow('ENOENT')

    // As a killed process leaves it.
    const dead = createServer()
    await new Promise<void>(resolve => dead.listen(`${path}.tmp`, resolve))
    await rename(`${path}.tmp`, path)
    await new Promise(resolve => dead.close(resolve))
    expect((await stat(path)).isSocket()).toBe(true)
    await w.start()
    expect((await stat(path)).ino).not.toBe(ino)
    expect(await why(w, 'main')).toMatchObject({ err: '' })
  })

  it('stays with the service when a second one is refused', async () => {
    const w = await begin()
    const path = `${w.place}/data/compops.sock`
    const { ino } = await stat(path)
    const config = await loadConfig(w.configFile, { ...process.env, STORY_TOKEN: w.token, STORY_SECRET: w.secret })
    const second = startService({ ...config, listen: { host: '127.0.0.1', port: 0 } }, { logTo: { write: () => true } })
    await expect(second).rejects.toThrow(/in use by another compops/)
    expect((await stat(path)).ino).toBe(ino)
    expect(await compops(['parked', '--config', w.configFile])).toMatchObject({ code: 0, err: '' })
  })

  it('is not needed: without a service the store itself is asked, and that is said', async () => {
    const w = await begin({ database: 'embedded' })
    const sha = await w.push('calc/heat', { '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 20]\n' })
    await until('the job to run', () => w.statuses(sha)['compops/slow'] === 'running')
    expect((await why(w, 'calc/heat')).out).toMatch(
      /It stands at: slow, running .*; next: laptop is asked every 1 s to /,
    )
    await w.stopService()
    const said = await why(w, 'calc/heat')
    expect(said).toMatchObject({ code: 0, err: '' })
    expect(said.out).toContain('It stands at: slow, running')
    expect(said.out).toContain('No service is at work on this store: nothing goes on before `compops serve` runs.')
  })
})
