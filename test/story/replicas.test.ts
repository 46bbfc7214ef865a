import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { patience } from '../support/patience.ts'
import { quietPort } from '../support/quiet-port.ts'
import { type Served, serve } from '../support/serve.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// Two replicas on one Postgres, each a process of its own with a data directory of its own; GitLab tells both. Either may die or freeze at any
// moment: every job runs once, every merge request has one note and one reply, and the other goes on.
let w: World
let sql: postgres.Sql
let replicas: [Served, Served]
let ports: readonly [number, number]
let executions: string

const start = (n: 0 | 1) => serve(w, { dataDir: join(w.place, `replica-${n}`), port: ports[n] })

beforeEach(async () => {
  w = await startWorld({
    database: 'postgres',
    rule: '    clusters: [laptop]\n    notify: finished',
    more: 'intervals: { note: 200ms, heads: 1s, lease: 3s }',
  })
  const url = w.service.context.config.databaseUrl!
  await w.stopService()
  executions = join(w.place, 'executions')
  await mkdir(executions)
  sql = postgres(url, { max: 1, onnotice: () => {} })
  ports = [w.port, await quietPort()]
  const events = { push: true, mergeRequests: true, notes: true }
  w.simulator.addHook(w.project.id, { url: `http://127.0.0.1:${ports[1]}/webhooks/gitlab`, token: w.secret, ...events })
  replicas = await Promise.all([start(0), start(1)])
})

afterEach(async () => {
  for (const one of replicas) await one.kill()
  await sql.end()
  await w.close()
})

/** A computation of two jobs, the second of which needs the first; each leaves a line for each time that it ran. */
const computation = (name: string) => ({
  '.compops.yml': `jobs:
  mesh:
    script: [echo ran >> ${executions}/${name}.mesh, sleep 1]
  solve:
    needs: [mesh]
    script: [echo ran >> ${executions}/${name}.solve]
`,
})

async function begin(name: string): Promise<{ name: string; sha: string; iid: number }> {
  const sha = await w.push(`calc/${name}`, computation(name))
  const { iid } = await w.openMergeRequest(`calc/${name}`)
  return { name, sha, iid }
}

/** What people and the cluster see of a run that went well, whatever happened to the replicas meanwhile. */
async function isTold({ name, sha, iid }: { name: string; sha: string; iid: number }): Promise<void> {
  try {
    const all = { 'compops/mesh': 'success', 'compops/solve': 'success', 'compops/tree': 'success' }
    expect(await w.treeEnds(sha, ['success'])).toEqual(all)
    await until('the final note', () => w.note(iid)?.body.includes('completed'))
    await until('the reply', () => w.ourNotes(iid).some(note => note.body.includes('<!-- compops:reply')))
    await until('the evidence', () => w.evidenceOf(`calc/${name}`, sha))
    for (const job of ['mesh', 'solve'])
      expect(await readFile(join(executions, `${name}.${job}`), 'utf8'), `${name}.${job}`).toBe('ran\n')
    expect(await sql`select state from runs where ref = ${`refs/heads/calc/${name}`}`).toEqual([{ state: 'completed' }])
    await until('one note and one reply', () => w.ourNotes(iid).length === 2)
  } catch (error) {
    const said = replicas.map((one, n) => `replica ${n}:\n${tail(one)}`)
    throw new Error(`${String(error)}\n${said.join('\n')}`, { cause: error })
  }
}

const tail = (one: Served) => one.said().split('\n').slice(-30).join('\n')

/** The replica that owns the cluster. */
async function owner(): Promise<0 | 1> {
  return until('one replica to own the cluster', async () => {
    const found = await sql<
      { holder: string }[]
    >`select holder from leases where name = 'cluster laptop' and until > now()`
    const holders = await Promise.all(
      [0, 1].map(n => readFile(join(w.place, `replica-${n}`, 'compops.holder'), 'utf8')),
    )
    const n = holders.findIndex(holder => holder.trim() === found[0]?.holder)
    return n === -1 ? null : { n: n as 0 | 1 }
  }).then(({ n }) => n)
}

describe('of two replicas', () => {
  it('the one that owns the cluster is killed: the other one finishes what it began', {
    timeout: 240_000 * patience,
  }, async () => {
    const first = await owner()
    const run = await begin('heat')
    await until('the first job to run', () => w.statuses(run.sha)['compops/mesh'] === 'running')
    await replicas[first].kill()
    await isTold(run)
    expect(await owner()).toBe(1 - first)
  })

  it('one or the other is killed again and again, and started again: everything is done once', {
    timeout: 240_000 * patience,
  }, async () => {
    const runs = [await begin('a'), await begin('b'), await begin('c')]
    for (let kill = 0; kill < 6; kill++) {
      const n = (kill % 2) as 0 | 1
      // The moment is chance: that is the point.
      await new Promise(resolve => setTimeout(resolve, Math.random() * 1_500))
      await replicas[n].kill()
      replicas[n] = await start(n)
    }
    for (const run of runs) await isTold(run)
  })

  it('the owner freezes for longer than its leases, in whatever it is doing, and wakes up: nothing is done twice, and it goes on', {
    timeout: 240_000 * patience,
  }, async () => {
    for (const name of ['x', 'y', 'z']) {
      const frozen = await owner()
      const run = await begin(name)
      await new Promise(resolve => setTimeout(resolve, Math.random() * 2_000))
      replicas[frozen].freeze()
      await until('the other one to own the cluster', async () => (await owner()) !== frozen)
      await w.treeEnds(run.sha, ['success'])
      replicas[frozen].thaw()
      await until(`it to answer again, with this log:\n${tail(replicas[frozen])}`, () => replicas[frozen].ready())
      await isTold(run)
    }
    const last = await begin('afterwards')
    await isTold(last)
    for (const one of replicas) expect(one.ended()).toBeNull()
  })
})
