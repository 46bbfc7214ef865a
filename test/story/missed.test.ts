import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { rows } from '../../src/store/open.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// What GitLab told nobody, because the service was down, and what a kill left half done: found by comparing.
const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n' }
let world: World | null = null

async function begin(): Promise<World> {
  world = await startWorld({ database: 'postgres', more: 'intervals: { note: 200ms, heads: 1s }' })
  await until('the baseline', () => world!.logged.some(line => line.includes('its heads are the baseline')))
  return world
}

afterEach(async () => {
  await world?.close()
  world = null
})

describe('while the service is down', () => {
  it('a merge request is opened: it gets its note all the same', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha, ['success'])
    await w.stopService()
    const { iid } = await w.openMergeRequest('calc/heat')
    await w.simulator.idle()
    await w.start()
    const note = await until('the note', () => w.note(iid))
    expect(note.body).toContain('hello completed')
  })
})

describe('a kill between the move of a branch and the look at one that was made from it', () => {
  it('leaves it not behind: the commit that is computed nowhere any more is computed there', async () => {
    const w = await begin()
    const sha = await w.push('calc/one', { '.compops.yml': 'jobs:\n  long:\n    script: [sleep 2]\n' })
    await w.simulator.createBranch(w.project.id, 'calc/two', sha, w.alice.id)
    const db = () => w.service.context.db
    const told = (text: string) => async () =>
      (await rows(db(), sql`select 1 from deliveries where result like ${text}`)).length > 0
    // Pushed at the same moment, they are read at the same moment: one of them computes the commit.
    await until('one of the two to have nothing to compute', told('already computed%'))
    const refs = await rows<{ ref: string }>(db(), sql`select ref from runs where sha = ${sha}`)
    expect(refs).toHaveLength(1)
    const first = refs[0]!.ref.replace('refs/heads/', '')
    const second = `refs/heads/calc/${first === 'calc/one' ? 'two' : 'one'}`
    const better = await w.push(first, hello, 'better')
    const runOf = async (ref: string, at: string) =>
      (await rows(db(), sql`select 1 from runs where ref = ${ref} and sha = ${at}`)).length > 0
    await until('the first to have gone on', () => runOf(`refs/heads/${first}`, better))
    await w.stopService()
    // What a kill leaves: the head of the first has moved, its run is superseded, and nobody has looked at the second.
    const left = await w.openRows()
    await left.db.execute(sql`delete from runs where ref = ${second}`)
    await left.db.execute(sql`update runs set ended_at = now(), state = 'canceled' where sha = ${sha}`)
    await left.db.execute(sql`update branches set latest_run_id = null where ref = ${second}`)
    await left.close()
    await w.start()
    await until('a run on the second', () => runOf(second, sha))
  })
})

describe('a status that was on its way when the service was killed', () => {
  it('and that GitLab took after the last one, is ended all the same', async () => {
    const w = await begin()
    const sha = await w.push('calc/late', hello)
    await w.treeEnds(sha, ['success'])
    const db = w.service.context.db
    await until('the run to be told', async () => {
      const due = sql`select 1 from reports where kind = 'status' and sent_hash is distinct from desired_hash`
      return (await rows(db, due)).length === 0
    })
    // A slow GitLab comes to what the dead process had asked it.
    const late = await fetch(`${w.simulator.url}/api/v4/projects/${w.project.id}/statuses/${sha}`, {
      method: 'POST',
      headers: { 'private-token': w.token, 'content-type': 'application/json' },
      body: JSON.stringify({ state: 'running', name: 'compops/hello', ref: 'calc/late' }),
    })
    expect(late.status).toBe(201)
    expect(w.statuses(sha)['compops/hello']).toBe('running')
    await db.execute(sql`update reports set interrupted = 1 where key like '%compops/hello'`)
    await db.execute(sql`update runs set ended_at = ended_at - interval '3 minutes'`)
    w.service.context.wake.call('sweep')
    await w.treeEnds(sha, ['success'])
    expect(w.statuses(sha)['compops/hello']).toBe('success')
  })
})
