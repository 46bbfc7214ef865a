import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, expect, it } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { rows } from '../../src/store/open.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { startWorld } from '../support/world.ts'

// A site that lets nobody in without a person: the service works in a session that somebody opened, until the site ends it.
const toStop: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop()
})

async function connect(config: string, ...more: string[]): Promise<string> {
  const said: string[] = []
  const to = { write: (text: string) => said.push(text) }
  const code = await dispatch(['connect', 'falcon', '--config', config, ...more], { stdout: to, stderr: to, env: {} })
  expect(code, said.join('')).toBe(0)
  return said.join('')
}

it('a session that ends holds submissions, keeps states, says who must renew; the next one goes on', async () => {
  const sshd = await startSshd()
  toStop.push(() => sshd.stop())
  const slurm = startFakeSlurm()
  toStop.push(() => slurm.stop())
  const none = join(slurm.state, 'ssh_config')
  writeFileSync(none, '')
  const w = await startWorld({
    database: 'postgres',
    clusters: `  falcon:
    scheduler: slurm
    path: ${slurm.bin}
    transport: openssh
    ssh: { host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${sshd.knownHostsFile}, config_file: ${none}, session: required }
    root: ROOT
    poll_interval: 300ms
    max_poll_interval: 1s`,
    rule: '    clusters: [falcon]',
    more: 'intervals: { note: 200ms, accounting: 4s, settle: 3s, shortest_poll: 200ms }',
  })
  toStop.push(() => w.close())
  toStop.push(() => connect(w.configFile, '--end'))
  const go = join(slurm.state, 'go')
  const long = { '.compops.yml': `jobs:\n  heat:\n    script: ['until [ -e ${go} ]; do sleep 0.1; done']\n` }
  const sentence = 'falcon needs a new session: `compops connect falcon`'
  const isHeld = async (sha: string) => {
    const found = sql`select j.state, j.message from jobs j join runs r on r.id = j.run_id where r.sha = ${sha}`
    const [job] = await rows<{ state: string; message: string | null }>(w.service.context.db, found)
    return job?.state === 'held' && job.message === sentence
  }

  // Before anybody has signed in, nothing is tried.
  const first = await w.push('calc/first', long)
  const { iid } = await w.openMergeRequest('calc/first')
  await until('the first to be held', () => isHeld(first))
  await until('its note to say why', () => w.note(iid)?.body.includes('needs a new session'))
  await until('its status', () => w.statuses(first)['compops/heat'] === 'pending')
  expect(sshd.connections()).toBe(0)
  expect(await connect(w.configFile)).toContain('falcon: signed in as')
  await until('it to run', () => w.statuses(first)['compops/heat'] === 'running')

  await until('the note to be clean again', () => !w.note(iid)?.body.includes('needs a new session'))

  // The site ends the session.
  await sshd.halt()
  await until('the note to say it', () => w.note(iid)?.body.includes('needs a new session'))
  expect(w.note(iid)?.body).toContain('compops connect falcon')
  const second = await w.push('calc/second', long)
  await until('the second to be held', () => isHeld(second))
  expect(w.statuses(first)['compops/heat']).toBe('running')
  expect(slurm.calls('sbatch')).toHaveLength(1)
  expect(w.logged.join('')).toContain(sentence)

  await sshd.start()
  writeFileSync(go, '')
  expect(existsSync(go)).toBe(true)
  await connect(w.configFile)
  expect(await w.treeEnds(first, ['success'])).toMatchObject({ 'compops/heat': 'success' })
  expect(await w.treeEnds(second, ['success'])).toMatchObject({ 'compops/heat': 'success' })
  expect(slurm.calls('sbatch')).toHaveLength(2)
  await until('the note to be clean', () => !w.note(iid)?.body.includes('needs a new session'))
})
