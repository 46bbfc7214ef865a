import { readFile, writeFile } from 'node:fs/promises'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/index.ts'
import { startService } from '../../src/main.ts'
import { rows } from '../../src/store/open.ts'
import { freePort } from '../support/proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

// What a person sees when something is wrong: clear words in the place where they look, and nothing lost.
const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n' }
let world: World | null = null

async function begin(options: WorldOptions = {}): Promise<World> {
  world = await startWorld({ database: 'postgres', ...options })
  return world
}

afterEach(async () => {
  await world?.close()
  world = null
})

const post = (w: World, body: string, headers: Record<string, string> = {}) =>
  fetch(`${w.url}/webhooks/gitlab`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', 'x-gitlab-event': 'Push Hook', ...headers },
  })

describe('a delivery', () => {
  it('with a wrong or missing secret is refused, whatever it says', async () => {
    const w = await begin()
    expect((await post(w, '{}', { 'x-gitlab-token': 'wrong' })).status).toBe(401)
    expect((await post(w, '{}')).status).toBe(401)
  })

  it('that is authentic is always answered 2xx: no JSON, no object, an unknown kind', async () => {
    const w = await begin()
    for (const body of [
      'not json',
      '[1,2]',
      '"text"',
      '{"object_kind":"feature_flag","project":{"id":1,"path_with_namespace":"physics/heat"}}',
      '{"hello":1}',
    ]) {
      const answer = await post(w, body, { 'x-gitlab-token': w.secret })
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ result: expect.stringMatching(/^ignored: /) })
    }
  })
})

describe('GitLab in trouble', () => {
  it('that is away for a while is told everything when it is back, once', async () => {
    const w = await begin()
    const heal = w.simulator.faults.respond({ path: /statuses|notes/ }, { status: 502, body: 'Bad Gateway' })
    const sha = await w.push('calc/heat', hello)
    const { iid } = await w.openMergeRequest('calc/heat')
    await until(
      'the run to end',
      async () => (await rows(w.service.context.db, sql`select 1 from runs where ended_at is not null`)).length > 0,
    )
    expect(w.statuses(sha)).toEqual({})
    heal()
    expect(await w.treeEnds(sha, ['success'], 80)).toMatchObject({ 'compops/hello': 'success' })
    await until('the note', () => w.note(iid), 80)
    expect(w.ourNotes(iid).filter(note => note.body.includes('<!-- compops:tree'))).toHaveLength(1)
  })

  it('that did the work but whose answer was lost is not asked twice', async () => {
    const w = await begin()
    w.simulator.faults.respond({ method: 'POST', path: /notes$/, times: 1 }, { resetAfterDoing: true })
    const sha = await w.push('calc/heat', hello)
    const { iid } = await w.openMergeRequest('calc/heat')
    await w.treeEnds(sha, ['success'])
    await until('the final note', () => w.note(iid)?.body.includes('hello completed'), 60)
    expect(w.ourNotes(iid).filter(note => note.body.includes('<!-- compops:tree'))).toHaveLength(1)
  })

  it('with a token that was replaced: the file is read again, the new bot goes on, and the old one is still known as ours', async () => {
    const w = await begin({ tokenFile: true })
    const sha = await w.push('calc/heat', { '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 4]\n' })
    const { iid } = await w.openMergeRequest('calc/heat')
    await until('the note', () => w.note(iid))
    const next = w.simulator.createUser({ username: 'compops-2', name: 'ComputationalOps 2', bot: true })
    w.simulator.addMember(w.project.id, next.id, 30)
    w.simulator.revokeToken(w.token)
    await writeFile(w.tokenFile, w.simulator.createToken(next.id, { scopes: ['api'] }).token)
    expect(await w.treeEnds(sha, ['success'], 80)).toMatchObject({ 'compops/slow': 'success' })
    await until('the new bot to be known', () => w.service.context.botIds().has(next.id))
    expect(w.service.context.botIds().has(w.bot.id)).toBe(true)
    await until('the evidence', () => w.evidenceOf('calc/heat', sha))
    await until('a note of the new bot', () =>
      w.simulator
        .notes(w.project.id, iid)
        .some(note => note.authorId === next.id && note.body.includes('slow completed')),
    )
  })

  it('with a token that may not write: says so in /readyz and the log, and sends it when it may', async () => {
    const w = await begin()
    w.simulator.addMember(w.project.id, w.bot.id, 10)
    await w.push('calc/heat', hello)
    await until('the trouble to be told', () => w.logged.some(line => /delivery could not be acted on/.test(line)))
    w.simulator.addMember(w.project.id, w.bot.id, 30)
    const sha = (await w.simulator.branches(w.project.id)).find(branch => branch.name === 'calc/heat')!.sha
    await w.treeEnds(sha, ['success'], 60)
  })
})

describe('a cluster in trouble', () => {
  it('that cannot be reached is named in the note and /readyz, with since when; nothing fails', async () => {
    const sshd = await startSshd()
    const port = await freePort()
    const w = await begin({
      clusters: `  falcon:
    scheduler: slurm
    ssh: { host: 127.0.0.1, port: ${port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${await sshd.knownHostsFor(port)} }
    root: ROOT
    poll_interval: 5s`,
      rule: '    clusters: [falcon]',
    })
    try {
      const sha = await w.push('calc/heat', hello)
      const { iid } = await w.openMergeRequest('calc/heat')
      const note = await until('the note to say it', () =>
        w.note(iid)?.body.includes('falcon has not answered since') ? w.note(iid) : null,
      )
      expect(note.body).toContain('Nothing is lost')
      const ready = await (await fetch(`${w.url}/readyz`)).json()
      expect(ready).toMatchObject({ ready: true, clusters: { falcon: { ok: false, since: expect.any(String) } } })
      // Each start looks at the run directories, so the trouble is known before the push: the note may be there before the statuses.
      await until('the statuses', () => Object.keys(w.statuses(sha)).length === 2)
      expect(w.statuses(sha)).toEqual({ 'compops/hello': 'pending', 'compops/tree': 'pending' })
    } finally {
      await sshd.stop()
    }
  })

  it('whose key file does not exist is refused before anything is started, with its place and remedy', async () => {
    const refused = await startWorld({
      clusters:
        '  falcon: { scheduler: slurm, ssh: { host: x, user: y, identity_file: ROOT-key, known_hosts_file: ROOT-hosts }, root: ROOT }',
      rule: '    clusters: [falcon]',
    }).catch(error => error)
    expect(String(refused)).toMatch(/clusters\.falcon\.ssh\.identity_file[\s\S]*does not exist/)
  })
})

describe('the service', () => {
  it('refuses a second process on the same data directory', async () => {
    const w = await begin({ database: 'embedded' })
    const config = await loadConfig(w.configFile, { ...process.env, STORY_TOKEN: w.token, STORY_SECRET: w.secret })
    await expect(
      startService({ ...config, listen: { host: '127.0.0.1', port: 0 } }, { logTo: { write: () => true } }),
    ).rejects.toThrow(/in use by another compops/)
  })

  it('finds what was pushed while it was down, by comparing heads, but takes first heads as the baseline', async () => {
    const w = await begin({ more: 'intervals: { note: 200ms, heads: 1s }' })
    await until('the baseline', () => w.logged.some(line => line.includes('its heads are the baseline')))
    const sha1 = await w.push('calc/known', hello)
    await w.treeEnds(sha1)
    await w.stopService()
    const sha2 = await w.push('calc/known', { 'new.txt': 'new' })
    await w.simulator.idle()
    await w.start()
    expect(await w.treeEnds(sha2)).toMatchObject({ 'compops/hello': 'success' })
  })

  it('lets local jobs go on while it is stopped, and finds their end', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', { '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 3, echo done]\n' })
    await until('the job to run', () => w.statuses(sha)['compops/slow'] === 'running')
    await w.stopService()
    await w.start()
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/slow': 'success' })
  })

  it('shows no secret in its log, its answers or its metrics', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha)
    const shown = [
      w.logged.join(''),
      await (await fetch(`${w.url}/metrics`)).text(),
      await (await fetch(`${w.url}/readyz`)).text(),
      await (await fetch(`${w.url}/healthz`)).text(),
    ].join('\n')
    for (const secret of [w.token, w.secret]) expect(shown).not.toContain(secret)
    expect(shown).toContain('compops_deliveries_total')
    const audit = await readFile(`${w.place}/data/audit/audit.${new Date().toISOString().slice(0, 10)}.1.log`, 'utf8')
    const lines = audit
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(lines).toContainEqual(expect.objectContaining({ act: 'run started', by: 'alice' }))
    expect(audit).not.toContain(w.token)
  })
})

describe('statuses', () => {
  it('wait for the pipeline of a commit that has a CI file, and use it', async () => {
    const w = await begin()
    w.simulator.settings.ciDelayMs = 1_500
    const sha = await w.push('calc/ci', { ...hello, '.gitlab-ci.yml': 'lint:\n  script: ["true"]\n' })
    await w.treeEnds(sha, ['success'])
    const pipelines = w.simulator.pipelines(w.project.id).filter(pipeline => pipeline.sha === sha)
    expect(pipelines.map(pipeline => pipeline.source)).toEqual(['push'])
  })

  it('are only sent when they are final where the rule says so', async () => {
    const w = await begin({ rule: '    clusters: [laptop]\n    statuses: final' })
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha, ['success'])
    const all = w.simulator.requests().filter(request => request.method === 'POST' && /statuses/.test(request.path))
    expect(all).toHaveLength(2)
  })
})
