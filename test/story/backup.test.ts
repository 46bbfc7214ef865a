import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { dumpTo, restoreFrom } from '../../src/store/dump.ts'
import { openStore, rows } from '../../src/store/open.ts'
import { emptyDatabase } from '../support/empty-database.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { patience } from '../support/patience.ts'
import { startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

// Yesterday's database, today's cluster and GitLab: whatever is restored, no job starts a second time and nothing is said twice.
let world: World | null = null
afterEach(async () => {
  await world?.close()
  world = null
})

async function begin(options: WorldOptions = {}): Promise<World> {
  world = await startWorld({ database: 'postgres', more: 'intervals: { note: 200ms, heads: 1s }', ...options })
  const w = world
  writeFileSync(ledger(w), '')
  await until('the baseline', () => w.logged.some(line => line.includes('its heads are the baseline')))
  return w
}

/** Every execution of a job writes a line here, outside of its run. */
const ledger = (w: World) => join(w.place, 'ledger')
const executions = (w: World) =>
  readFileSync(ledger(w), 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .sort()
const gate = (w: World, name: string) => join(w.place, name)
const open = (w: World, name: string) => appendFileSync(gate(w, name), '')

/** Jobs that write into the ledger; one that waits does so until its gate is opened. */
function computation(w: World, jobs: Record<string, { waits?: string; needs?: string; fails?: boolean }>) {
  const lines = Object.entries(jobs).flatMap(([name, { waits, needs, fails }]) => [
    `  ${name}:`,
    ...(needs === undefined ? [] : [`    needs: [${needs}]`]),
    '    script:',
    `      - echo ${name} >> ${ledger(w)}`,
    ...(waits === undefined ? [] : [`      - while [ ! -e ${gate(w, waits)} ]; do sleep 0.1; done`]),
    ...(fails === true ? ['      - exit 3'] : []),
  ])
  return { '.compops.yml': `jobs:\n${lines.join('\n')}\n` }
}

async function backup(w: World): Promise<string> {
  let text = ''
  const to = new Writable({
    write(chunk, _, done) {
      text += String(chunk)
      done()
    },
  })
  await dumpTo(w.service.context.db, to)
  return text
}

/** A new database with the data of the dump, and nothing beside it: as after the loss of the old machine. */
async function restoreInto(w: World, engine: 'embedded' | 'postgres', dump: string): Promise<void> {
  const dataDir = await mkdtemp(join(w.place, 'data-'))
  const databaseUrl = engine === 'postgres' ? await (await startPostgres())!.createDatabase() : null
  if (databaseUrl === null) await cp(await emptyDatabase(), dataDir, { recursive: true })
  const store = await openStore({ databaseUrl, dataDir })
  await restoreFrom(store.db, Readable.from([dump]))
  await store.close()
  const config = await readFile(w.configFile, 'utf8')
  await writeFile(
    w.configFile,
    config
      .replace(/^data_dir: .*$/m, `data_dir: ${dataDir}`)
      .replace(/^database_url: .*$/m, databaseUrl === null ? '' : `database_url: ${databaseUrl}`),
  )
}

const isRecovering = async (w: World) =>
  (
    await rows(
      w.service.context.db,
      sql`select name from connections where recovering union all select path from projects where recovering`,
    )
  ).length > 0

/** Recovered, and the heads compared with what was learnt. */
async function recovered(w: World): Promise<void> {
  await until('the recovery', async () => !(await isRecovering(w)), 60)
  const compared = async () =>
    (await rows<{ at: unknown }>(w.service.context.db, sql`select max(heads_at)::text as at from projects`))[0]?.at
  const before = await compared()
  await until('the heads to be compared', async () => (await compared()) !== before)
  await w.simulator.idle()
}

const runsHere = async (w: World) =>
  (await rows<{ sha: string }>(w.service.context.db, sql`select sha from runs order by created_at`)).map(row => row.sha)
const replies = (w: World, iid: number) => w.ourNotes(iid).filter(note => note.body.includes('<!-- compops:reply'))
const treeNotes = (w: World, iid: number) => w.ourNotes(iid).filter(note => note.body.includes('<!-- compops:tree'))
const allStatuses = (w: World, sha: string, name: string) =>
  w.simulator.statuses(w.project.id, sha, { all: true }).filter(status => status.name === name)

/** Every run has ended, and GitLab was told of it. */
const allTold = (w: World) =>
  until(
    'everything to be told',
    async () =>
      (
        await rows(
          w.service.context.db,
          sql`select id from runs where ended_at is null or version > reported_version
            union all select id from reports where sent_hash is distinct from desired_hash`,
        )
      ).length === 0,
    60,
  )

// A day's work in one story: patient where the machine is busy.
describe('yesterday’s database', { timeout: 240_000 * patience }, () => {
  it.each(['postgres', 'embedded'] as const)(
    'restored into %s: no job starts a second time, nothing is said twice, and every state is right',
    async engine => {
      const w = await begin()
      const one = await w.push(
        'calc/heat',
        computation(w, { mesh: {}, solve: { waits: 'one' }, after: { needs: 'solve' } }),
      )
      const { iid } = await w.openMergeRequest('calc/heat')
      await until('solve to run', () => executions(w).includes('solve'))
      await until('the note', () => w.note(iid))
      const dump = await backup(w)

      // A job finishes, and the one that needed it runs; the branch moves on and fails; another branch comes and is still under way.
      open(w, 'one')
      await w.treeEnds(one, ['success'])
      const two = await w.push('calc/heat', computation(w, { bad: { fails: true } }))
      await w.treeEnds(two, ['failed'])
      await until('the reply', () => replies(w, iid).length === 1)
      await until('the evidence', () => w.evidenceOf('calc/heat', two))
      const three = await w.push('calc/other', computation(w, { long: { waits: 'three' }, last: { needs: 'long' } }))
      await until('long to run', () => executions(w).includes('long'))
      await w.stopService()
      expect(executions(w)).toEqual(['after', 'bad', 'long', 'mesh', 'solve'])

      await restoreInto(w, engine, dump)
      await w.start({ recover: true })
      await recovered(w)
      expect(await runsHere(w)).toEqual([one, two, three])
      open(w, 'three')
      expect(await w.treeEnds(three, ['success'])).toMatchObject({
        'compops/long': 'success',
        'compops/last': 'success',
      })
      expect(w.statuses(one)).toEqual({
        'compops/mesh': 'success',
        'compops/solve': 'success',
        'compops/after': 'success',
        'compops/tree': 'success',
      })
      expect(w.statuses(two)).toEqual({ 'compops/bad': 'failed', 'compops/tree': 'failed' })
      await allTold(w)
      expect(executions(w)).toEqual(['after', 'bad', 'last', 'long', 'mesh', 'solve'])
      expect(treeNotes(w, iid)).toHaveLength(1)
      expect(treeNotes(w, iid)[0]?.body).toMatch(/bad failed: exit 3/)
      expect(replies(w, iid)).toHaveLength(1)
      for (const [sha, name] of [
        [one, 'compops/solve'],
        [two, 'compops/bad'],
        [two, 'compops/tree'],
      ] as const)
        expect(allStatuses(w, sha, name).map(status => status.status)).toHaveLength(1)
      const records = ((await w.simulator.files(w.project.id, 'compops/evidence')) ?? []).filter(path =>
        path.startsWith('runs/'),
      )
      expect(records).toHaveLength(3)

      // And the day goes on.
      const four = await w.push('calc/heat', computation(w, { good: {} }))
      await w.treeEnds(four, ['success'])
      expect(executions(w)).toEqual(['after', 'bad', 'good', 'last', 'long', 'mesh', 'solve'])
    },
  )

  it('of a Slurm cluster: what was submitted since is found in its directories, and asked for in queue and accounting', async () => {
    const slurm = startFakeSlurm()
    try {
      const w = await begin({
        clusters: `  falcon: { scheduler: slurm, path: ${slurm.bin}, root: ROOT, poll_interval: 300ms, max_poll_interval: 1s }`,
        rule: '    clusters: [falcon]',
        more: 'intervals: { note: 200ms, heads: 1s, accounting: 4s, settle: 3s, shortest_poll: 200ms }',
      })
      const one = await w.push('calc/heat', computation(w, { mesh: { waits: 'one' } }))
      await until('mesh to run', () => executions(w).includes('mesh'))
      const dump = await backup(w)
      open(w, 'one')
      await w.treeEnds(one, ['success'])
      const two = await w.push('calc/heat', computation(w, { solve: { waits: 'two' }, after: { needs: 'solve' } }))
      await until('solve to run', () => executions(w).includes('solve'))
      await until('after to be queued', () => slurm.jobs().length === 3)
      await w.stopService()

      await restoreInto(w, 'postgres', dump)
      await w.start({ recover: true })
      await recovered(w)
      open(w, 'two')
      expect(await w.treeEnds(two, ['success'])).toMatchObject({
        'compops/solve': 'success',
        'compops/after': 'success',
      })
      await allTold(w)
      expect(await runsHere(w)).toEqual([one, two])
      expect(w.statuses(one)).toEqual({ 'compops/mesh': 'success', 'compops/tree': 'success' })
      expect(executions(w)).toEqual(['after', 'mesh', 'solve'])
      expect(slurm.calls('sbatch')).toHaveLength(3)
    } finally {
      await world?.close()
      world = null
      slurm.stop()
    }
  })

  it('restored by other means, with nobody saying --recover: the younger run directories tell, and no job starts a second time', async () => {
    const w = await begin()
    const one = await w.push('calc/heat', computation(w, { mesh: {} }))
    await w.treeEnds(one, ['success'])
    const dump = await backup(w)
    const two = await w.push('calc/heat', computation(w, { again: {} }))
    await w.treeEnds(two, ['success'])
    const three = await w.push('calc/other', computation(w, { long: { waits: 'three' } }))
    await until('long to run', () => executions(w).includes('long'))
    await w.stopService()

    await restoreInto(w, 'postgres', dump)
    await w.start()
    // GitLab sends what it had sent before, as an operator may ask it to.
    for (const delivery of w.simulator.deliveries().toReversed()) await w.simulator.resend(delivery.id)
    await until(
      'the old database to be noticed',
      () => w.logged.some(line => line.includes('the database is older than laptop')),
      60,
    )
    await recovered(w)
    open(w, 'three')
    await w.treeEnds(three, ['success'])
    expect(w.statuses(two)).toEqual({ 'compops/again': 'success', 'compops/tree': 'success' })
    expect(await runsHere(w)).toEqual([one, two, three])
    expect(executions(w)).toEqual(['again', 'long', 'mesh'])
  })

  it('restored while a job had gone on to the next of its run: the attempt in its directory tells', async () => {
    const w = await begin()
    const one = await w.push(
      'calc/heat',
      computation(w, { first: { waits: 'one' }, second: { needs: 'first', waits: 'two' } }),
    )
    await until('first to run', () => executions(w).includes('first'))
    const dump = await backup(w)
    open(w, 'one')
    await until('second to run', () => executions(w).includes('second'))
    await w.stopService()

    await restoreInto(w, 'postgres', dump)
    await w.start()
    await until(
      'the old database to be noticed',
      () => w.logged.some(line => line.includes('which is not known here')),
      60,
    )
    await recovered(w)
    open(w, 'two')
    expect(await w.treeEnds(one, ['success'])).toMatchObject({ 'compops/second': 'success' })
    expect(executions(w)).toEqual(['first', 'second'])
  })

  it('whose run directories were cleared away meanwhile: the evidence tells what was computed, and stays as it is', async () => {
    const w = await begin()
    const one = await w.push('calc/heat', computation(w, { mesh: {} }))
    await w.treeEnds(one, ['success'])
    const dump = await backup(w)
    const two = await w.push('calc/heat', computation(w, { good: {}, bad: { fails: true }, after: { needs: 'bad' } }))
    await w.treeEnds(two, ['failed'])
    const record = await until('the evidence', () => w.evidenceOf('calc/heat', two))
    await w.stopService()
    await rm(join(w.place, 'cluster', String(w.project.id), 'runs'), { recursive: true })

    await restoreInto(w, 'postgres', dump)
    await w.start({ recover: true })
    await recovered(w)
    const found = await rows(
      w.service.context.db,
      sql`select j.name, j.state, a.state as attempt, a.exit_code from runs r join jobs j on j.run_id = r.id left join attempts a on a.job_id = j.id
        where r.sha = ${two} and r.state = 'failed' and r.ended_at is not null order by j.position`,
    )
    expect(found).toMatchObject([
      { name: 'good', state: 'completed', attempt: 'completed', exit_code: 0 },
      { name: 'bad', state: 'failed', attempt: 'failed', exit_code: 3 },
      { name: 'after', state: 'skipped', attempt: null },
    ])
    // A merge request is opened for it: its note shows the run that was forgotten, and its record is not made poorer.
    const { iid } = await w.openMergeRequest('calc/heat')
    await until('the note', () => w.note(iid)?.body.includes('bad failed'), 60)
    const three = await w.push('calc/heat', computation(w, { next: {} }))
    await until('the next evidence', () => w.evidenceOf('calc/heat', three), 60)
    expect(await w.evidenceOf('calc/heat', two)).toBe(record)
    for (const name of ['good', 'bad', 'tree']) expect(allStatuses(w, two, `compops/${name}`)).toHaveLength(1)
    expect(executions(w)).toEqual(['bad', 'good', 'mesh', 'next'])
  })

  it('is still recovering when its service is killed, or its cluster or GitLab is away: nothing starts until all has been read', async () => {
    const w = await begin({ database: 'embedded' })
    const one = await w.push('calc/heat', computation(w, { mesh: {} }))
    await w.treeEnds(one, ['success'])
    await w.stopService()
    await cp(join(w.place, 'data'), join(w.place, 'yesterday'), {
      recursive: true,
      // Sockets are no files.
      filter: path => !/compops\.(lock|sock)/.test(path),
    })
    await w.start()
    const two = await w.push('calc/heat', computation(w, { again: {} }))
    await w.treeEnds(two, ['success'])
    await until('the evidence', () => w.evidenceOf('calc/heat', two))
    await w.stopService()
    await rm(join(w.place, 'data'), { recursive: true })
    await rename(join(w.place, 'yesterday'), join(w.place, 'data'))

    // The file system of the cluster is not mounted; a push comes meanwhile.
    await rename(join(w.place, 'cluster'), join(w.place, 'unmounted'))
    const killed = spawnService(w, '--recover')
    await until('the trouble to be said', () => killed.said().includes('the root of laptop is not there'), 60)
    const three = await w.push('calc/other', computation(w, { late: {} }))
    await until(
      'the push to be put off',
      () => killed.said().includes('waits until the run directories of laptop have been read'),
      60,
    )
    await killed.kill()

    // Killed, and started again without the flag: the rows remember. Now the cluster is back and GitLab's git is away.
    const heal = w.simulator.faults.respond({ path: /\.git\// }, { status: 503, body: 'away' })
    await rename(join(w.place, 'unmounted'), join(w.place, 'cluster'))
    await w.start()
    await until('the wait for GitLab', () => w.logged.some(line => /read again later/.test(line)), 60)
    expect(executions(w)).toEqual(['again', 'mesh'])
    expect(await isRecovering(w)).toBe(true)
    heal()
    await recovered(w)
    await w.treeEnds(three, ['success'])
    expect(await runsHere(w)).toEqual([one, two, three])
    expect(executions(w)).toEqual(['again', 'late', 'mesh'])
  })
})

/** The service as a process of its own, so that it can be killed. */
function spawnService(w: World, ...args: string[]) {
  let said = ''
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../../src/cli/compops.mjs'), 'serve', ...args, '--config', w.configFile],
    {
      env: { ...process.env, STORY_TOKEN: w.token, STORY_SECRET: w.secret },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  child.stdout.on('data', data => {
    said += String(data)
  })
  return {
    said: () => said,
    async kill() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}
