import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import type { HourOfLoad } from '../../src/model/load.ts'
import { renderLoad } from '../../src/render/load.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
let sshd: Sshd
let slurm: FakeSlurm

beforeAll(async () => {
  slurm = startFakeSlurm()
  sshd = await startSshd()
  const ssh = `{ host: ${sshd.host}, port: ${sshd.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${sshd.knownHostsFile} }`
  world = await startWorld({
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s, defaults: { partition: main }, ssh: ${ssh} }`,
    rule: '    clusters: [falcon]',
    more: 'intervals: { note: 200ms, shortest_poll: 1s }',
  })
})
afterAll(async () => {
  await world?.close()
  await sshd?.stop()
  slurm?.stop()
})

async function compops(...args: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const write = (text: string) => {
    said += text
  }
  const code = await dispatch([...args, '--config', world.configFile], {
    stdout: { write },
    stderr: { write },
    env: {},
  })
  return { code, said }
}

async function load(): Promise<Omit<HourOfLoad, 'connection' | 'hour'>> {
  const rows = JSON.parse((await compops('load', '--json')).said) as HourOfLoad[]
  expect(new Set(rows.map(row => row.connection))).toEqual(new Set(['falcon']))
  const sum = (key: 'logins' | 'programs' | 'schedulerCommands') => rows.reduce((n, row) => n + row[key], 0)
  return { logins: sum('logins'), programs: sum('programs'), schedulerCommands: sum('schedulerCommands') }
}

test('the admin of a cluster sees how often it was signed in to and asked, also after a restart and without a service', async () => {
  const sha = await world.push(
    'calc/heat',
    { '.compops.yml': 'jobs:\n  heat: { script: [echo warm] }\n' },
    'heat',
    'main',
  )
  expect(await world.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
  const first = await load()
  expect(first.logins).toBe(sshd.connections())
  expect(first.schedulerCommands).toBeGreaterThanOrEqual(3)
  // What the scheduler itself counted: sinfo and scontrol belong to looks that are counted as one.
  expect(first.schedulerCommands).toBeLessThanOrEqual(
    ['sbatch', 'squeue', 'sacct', 'scontrol', 'scancel', 'sinfo'].reduce((n, name) => n + slurm.calls(name).length, 0),
  )

  await world.stopService()
  const stopped = await load()
  expect(stopped.programs).toBeGreaterThanOrEqual(first.programs)
  await world.start()
  const again = await world.push('calc/heat', { 'data.txt': 'more\n' }, 'more heat')
  expect(await world.treeEnds(again)).toMatchObject({ 'compops/heat': 'success' })
  const second = await load()
  expect(second.logins).toBe(sshd.connections())
  expect(second.programs).toBeGreaterThan(stopped.programs)

  const { said, code } = await compops('load', 'falcon')
  expect(code).toBe(0)
  expect(said).toMatch(
    /^ {2}falcon\n {2}hour +logins +programs +scheduler\n {2}\d\d-\d\d \d\d:00 +\d+ +\d+ +\d+ +▇+\n/m,
  )
  expect(await compops('load', 'hawk')).toEqual({
    code: 1,
    said: 'compops load: there is no cluster "hawk"; there are: falcon\n',
  })
})

test('every hour of the last day stands in the table, quiet ones too, and more than was promised is marked', () => {
  const at = (hour: string) => new Date(`2026-11-20T${hour}:00:00Z`)
  const row = (hour: string, schedulerCommands: number) => ({
    connection: 'falcon',
    hour: at(hour),
    logins: 1,
    programs: 1_200,
    schedulerCommands,
  })
  const said = renderLoad([row('12', 900), row('10', 450)], {
    timeZone: 'Europe/Berlin',
    now: new Date('2026-11-20T12:34:00Z'),
  })
  const lines = said.split('\n')
  expect(lines.slice(1, 6)).toEqual([
    '  falcon',
    '  hour             logins   programs  scheduler',
    '  11-20 13:00           1      1,200        900  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇',
    '  11-20 12:00           –          –          –',
    '  11-20 11:00           1      1,200        450  ▇▇▇▇▇▇▇▇▇▇',
  ])
  expect(lines.filter(line => /^ {2}11-/.test(line))).toHaveLength(24)
  expect(said).toContain('  24 hours              2      2,400      1,350\n')
  expect(said).toContain('At most 0.25 commands of the scheduler a second over an hour; 0.2 are promised.')
  expect(renderLoad([], { timeZone: 'UTC', now: at('12') })).toBe('\n  No cluster was used in the last 24 hours.\n\n')
})
