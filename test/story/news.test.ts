import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rows } from '../../src/store/open.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// News of jobs, on the whole path: between two polls lie five minutes here, and nobody waits for them.
let slurm: FakeSlurm
let world: World

async function begin(more = ''): Promise<void> {
  slurm = startFakeSlurm()
  world = await startWorld({
    clusters: `  falcon: { scheduler: slurm, path: ${slurm.bin}, root: ROOT, poll_interval: 5m, max_poll_interval: 5m${more} }`,
    rule: '    clusters: [falcon]',
  })
}
beforeEach(() => begin())
afterEach(async () => {
  await world.close()
  slurm.stop()
})

const events = () => join(world.place, 'cluster', 'events')
const push = (branch: string, script: readonly string[], keys = '') =>
  world.push(branch, { '.compops.yml': `jobs:\n  heat:\n    script: ${JSON.stringify(script)}\n${keys}` })
const state = (sha: string, wanted: string) =>
  until(`the status to be ${wanted}`, () => world.statuses(sha)['compops/heat'] === wanted, 30).catch(error => {
    throw new Error(`${error}: ${JSON.stringify(world.statuses(sha))}\n${world.logged.slice(-30).join('')}`)
  })
const attempt = async () =>
  (
    await rows<{ id: string; native_id: string | null }>(
      world.service.context.db,
      sql`select id, native_id from attempts`,
    )
  )[0]!

describe('between two polls', () => {
  it('a start, how far a job is, and its end are on the merge request, for few questions to the scheduler', async () => {
    slurm.behave('hold', 'ok forever')
    const go = join(slurm.state, 'go')
    const sha = await push('calc/heat', [
      'compops_progress 40 "iteration 400 | of <b>many</b>"',
      `until [ -e ${go} ]; do sleep 0.05; done`,
    ])
    const merge = await world.openMergeRequest('calc/heat')
    await until('the job to be in the queue', async () => (await attempt())?.native_id != null)
    await until('its first round', () => slurm.calls('squeue').some(call => !call.includes('--name')))
    const id = (await attempt()).native_id!
    const before = slurm.calls().length
    const running = slurm.release(id)
    await state(sha, 'running')
    const note = await until(
      'how far it is',
      () => /running, 40 %[^\n]*/.exec(world.note(merge.iid)?.body ?? '')?.[0],
      30,
    )
    expect(note).toMatch(/^running, 40 %: iteration 400/)
    expect(note).not.toContain('<b>')
    writeFileSync(go, '')
    await running
    await state(sha, 'success')
    await world.treeEnds(sha)
    // A round for the start, one or two for the end; an id that was asked for is asked in the queue and in accounting.
    expect(slurm.calls().length - before).toBeLessThanOrEqual(8)
    expect(world.note(merge.iid)?.body).not.toContain('40 %')
    await until('an empty directory', () => readdirSync(events()).length === 0)
  })

  it('what others leave there changes no state', async () => {
    const go = join(slurm.state, 'go')
    const sha = await push('calc/heat', [`until [ -e ${go} ]; do sleep 0.05; done`])
    await state(sha, 'running')
    await until('its own start to be told', () => readdirSync(events()).length === 0)
    const { id } = await attempt()
    const strange = '0190f3c2-0000-7000-8000-000000000001'
    for (const name of [`${strange}.0.end`, `${strange}.0.start`, `${strange}.0.progress`, 'nonsense'])
      writeFileSync(join(events(), name), '90 nothing of ours\n')
    mkdirSync(join(events(), `${id}.0.progress.d`))
    await until('them to be gone', () => readdirSync(events()).filter(name => name !== 'nonsense').length <= 1)
    // A forged end of a job that runs is looked into, and not believed.
    const asked = () => slurm.calls('squeue').length
    const calls = asked()
    writeFileSync(join(events(), `${id}.0.end`), '')
    await until('a look', () => asked() > calls)
    expect(world.statuses(sha)['compops/heat']).toBe('running')
    writeFileSync(go, '')
    await state(sha, 'success')
  })
})
