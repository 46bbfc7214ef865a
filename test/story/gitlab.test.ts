import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { type FaultEffect, ROUTES } from '../../src/simulator/simulator.ts'
import { rows } from '../../src/store/open.ts'
import { fastClock } from '../support/clock.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 180_000 * patience })

// What GitLab can do to us. Nothing is lost, nothing is said twice, and GitLab in trouble is left in peace.

const failing = { '.compops.yml': 'jobs:\n  good:\n    script: ["true"]\n  bad:\n    script: [exit 3]\n' }

/** What a person must find in the end, whatever happened on the way: each thing once. */
async function toldOnce(world: World, branch: string, sha: string, iid: number): Promise<void> {
  const statuses = await world.treeEnds(sha, ['failed'], 80)
  expect(statuses).toEqual({ 'compops/good': 'success', 'compops/bad': 'failed', 'compops/tree': 'failed' })
  await until('the evidence', () => world.evidenceOf(branch, sha), 80)
  await until('the final note', () => world.note(iid)?.body.includes('bad failed'), 80)
  await until('the reply', () => world.ourNotes(iid).some(note => note.body.includes('compops:reply')), 80)
  await settled(world)
  expect(world.ourNotes(iid).filter(note => note.body.includes('compops:tree'))).toHaveLength(1)
  expect(world.ourNotes(iid).filter(note => note.body.includes('compops:reply'))).toHaveLength(1)
  const files = (await world.simulator.files(world.project.id, 'compops/evidence')) ?? []
  expect(files.filter(name => name.startsWith('runs/'))).toHaveLength(1)
  // GitLab keeps a row for each time that a finished status was set again: none was.
  const rowsOf = world.simulator.statuses(world.project.id, sha, { all: true }).map(row => row.name)
  expect(rowsOf.sort()).toEqual(['compops/bad', 'compops/good', 'compops/tree'])
}

/** Nothing waits to be sent, acted on or committed. */
async function settled(world: World, seconds = 60): Promise<void> {
  await until(
    'everything to be told',
    async () =>
      (
        await rows(
          world.service.context.db,
          sql`select 1 from reports where sent_hash is distinct from desired_hash union all select 1 from deliveries where done_at is null`,
        )
      ).length === 0,
    seconds,
  )
}

const runsOf = (world: World) =>
  rows<{ ref: string; sha: string; state: string }>(
    world.service.context.db,
    sql`select ref, sha, state from runs order by created_at`,
  )

describe.concurrent('GitLab that answers each kind of call', () => {
  it.each<[name: string, times: number, effect: FaultEffect]>([
    [
      '429 with Retry-After',
      1,
      { status: 429, retryAfter: 1, body: 'Retry later', headers: { 'content-type': 'text/plain' } },
    ],
    ['500', 1, { status: 500 }],
    ['502', 1, { status: 502, body: '<html><title>Bad Gateway</title></html>' }],
    ['nothing, until we hang up', 1, { hang: true }],
    ['half', 1, { half: true }],
    ['with a reset', 1, { reset: true }],
    ['with a reset after it did the work', 1, { resetAfterDoing: true }],
    ['slowly', 20, { delayMs: 150 }],
  ])('%s is told everything in the end, once', (_, times, effect) =>
    inWorld({ gitlab: '  timeout: 700ms' }, async world => {
      const { everything: _all, api: _api, git: _git, ...routes } = ROUTES
      for (const route of Object.values(routes)) world.simulator.faults.respond({ ...route, times }, effect)
      const sha = await world.push('calc/heat', failing)
      const { iid } = await world.openMergeRequest('calc/heat')
      await toldOnce(world, 'calc/heat', sha, iid)
    }),
  )

  it('now and then wrongly, whatever it is asked, for a whole run', () =>
    inWorld({ gitlab: '  timeout: 700ms' }, async world => {
      const effects: FaultEffect[] = [
        { status: 502 },
        { resetAfterDoing: true },
        { half: true },
        { status: 429, retryAfter: 1 },
      ]
      const heals = effects.map((effect, seed) => world.simulator.faults.respond({ chance: 0.08, seed }, effect))
      const sha = await world.push('calc/heat', failing)
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('some of it to have happened', () => heals.reduce((sum, heal) => sum + heal.met, 0) > 5)
      for (const heal of heals) heal()
      await toldOnce(world, 'calc/heat', sha, iid)
    }))
})

describe.concurrent('GitLab that is away', () => {
  it('for ten minutes is asked some thirty times, not once for each row and try; when it is back all of it follows', () => {
    const clock = fastClock(30)
    return inWorld({ clock }, async world => {
      const heal = world.simulator.faults.respond(ROUTES.everything, { status: 502 })
      const before = world.simulator.arrivals().length
      const began = clock.now().getTime()
      for (let n = 0; n < 5; n++)
        await world.push(`calc/n${n}`, { '.compops.yml': `jobs:\n  a:\n    script: [echo ${n}]\n` })
      await world.simulator.idle()
      await until('ten minutes to pass', () => clock.now().getTime() - began >= 600_000, 60)
      const waiting = await rows(world.service.context.db, sql`select 1 from deliveries where done_at is null`)
      expect(waiting.length).toBeGreaterThanOrEqual(5)
      // Pauses of 1 s, 2 s, 4 s … 60 s: at most seventeen for the API, as many for git of the one project; a few were under way when it began.
      expect(world.simulator.arrivals().slice(before).length).toBeLessThanOrEqual(2 * 17 + 6)
      heal()
      await until(
        'all runs',
        async () => (await runsOf(world)).filter(run => run.state === 'completed').length === 5,
        120,
      )
      await settled(world)
    })
  })

  it('for notes and statuses alone, with a 429 that says nothing: only these wait, and each comes once', () =>
    inWorld({}, async world => {
      const { faults } = world.simulator
      const limits = [ROUTES.writeNote, ROUTES.sendStatus].map(route =>
        faults.respond(
          { ...route, times: 1 },
          { status: 429, body: '{"message":{"error":"This endpoint has been requested too many times."}}' },
        ),
      )
      const sha = await world.push('calc/heat', failing)
      const { iid } = await world.openMergeRequest('calc/heat')
      await toldOnce(world, 'calc/heat', sha, iid)
      expect(limits.map(limit => limit.met)).toEqual([1, 1])
    }))
})

describe.concurrent('deliveries', () => {
  const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n' }
  const headers = (world: World, key: string) => ({
    'content-type': 'application/json',
    'x-gitlab-event': 'Push Hook',
    'x-gitlab-token': world.secret,
    'idempotency-key': key,
  })
  const send = async (world: World, key: string, body: string): Promise<string> => {
    const answer = await fetch(`${world.url}/webhooks/gitlab`, { method: 'POST', headers: headers(world, key), body })
    expect(answer.status).toBe(200)
    return ((await answer.json()) as { result: string }).result
  }
  /** The bodies that GitLab would send for what happens in `act`, kept from being sent. */
  async function bodiesOf(world: World, act: () => Promise<void>): Promise<string[]> {
    const hook = world.simulator.addHook(world.project.id, {
      url: 'http://127.0.0.1:9/nobody-listens',
      token: 'x'.repeat(20),
      push: true,
      mergeRequests: true,
    })
    world.simulator.removeHook(world.hook!.id)
    await act()
    await world.simulator.idle()
    return world.simulator.deliveries({ hookId: hook.id }).map(delivery => delivery.requestBody)
  }

  it('the same one fifty times in parallel is one row and one run', () =>
    inWorld({}, async world => {
      const [body] = await bodiesOf(world, async () => void (await world.push('calc/heat', hello)))
      const results = await Promise.all(
        Array.from({ length: 50 }, () => send(world, '0198aaaa-0000-4000-8000-000000000001', body!)),
      )
      expect(results.filter(result => result === 'accepted')).toHaveLength(1)
      expect(results.filter(result => result === 'duplicate')).toHaveLength(49)
      await until('the run to end', async () => (await runsOf(world))[0]?.state === 'completed')
      await settled(world)
      expect(await runsOf(world)).toHaveLength(1)
    }))

  it('ten different ones of one push in parallel (project hook, group hook, resent) are one run', () =>
    inWorld({}, async world => {
      const [body] = await bodiesOf(world, async () => void (await world.push('calc/heat', hello)))
      const results = await Promise.all(
        Array.from({ length: 10 }, (_, n) => send(world, `0198aaaa-0000-4000-8000-00000000010${n}`, body!)),
      )
      expect(new Set(results)).toEqual(new Set(['accepted']))
      await settled(world)
      expect(await runsOf(world)).toHaveLength(1)
    }))

  it('in reverse order: the branch ends where it is, its last commit is computed, nothing goes back', () =>
    inWorld({}, async world => {
      let last = ''
      const bodies = await bodiesOf(world, async () => {
        for (let n = 0; n < 5; n++) last = await world.push('calc/heat', { ...hello, 'n.txt': String(n) })
      })
      for (const [n, body] of bodies.toReversed().entries())
        await send(world, `0198aaaa-0000-4000-8000-00000000020${n}`, body)
      expect(await world.treeEnds(last, ['success'])).toMatchObject({ 'compops/hello': 'success' })
      await settled(world)
      expect((await runsOf(world)).map(run => run.sha)).toEqual([last])
    }))

  it('of a commit that the branch has left says nothing about the branch', () =>
    inWorld({}, async world => {
      const [old] = await bodiesOf(world, async () => void (await world.push('calc/heat', hello)))
      const second = await world.push('calc/heat', { 'more.txt': 'more' })
      await send(world, '0198aaaa-0000-4000-8000-000000000301', old!)
      await world.treeEnds(second, ['success'])
      await settled(world)
      expect((await runsOf(world)).map(run => run.sha)).toEqual([second])
    }))

  it('of a branch that is made, deleted and made again at once end with what stands there', () =>
    inWorld({}, async world => {
      const first = await world.push('calc/heat', hello)
      await world.simulator.deleteBranch(world.project.id, 'calc/heat', world.alice.id)
      const again = await world.push('calc/heat', { ...hello, 'again.txt': 'again' })
      expect(again).not.toBe(first)
      expect(await world.treeEnds(again, ['success'])).toMatchObject({ 'compops/hello': 'success' })
      await settled(world)
      const open = await rows(world.service.context.db, sql`select 1 from runs where ended_at is null`)
      expect(open).toHaveLength(0)
    }))

  it('a merge request before its push: one run, and it says that the push caused it', () =>
    inWorld({}, async world => {
      const bodies = await bodiesOf(world, async () => {
        await world.push('calc/heat', hello)
        await world.openMergeRequest('calc/heat')
      })
      const kinds = bodies.map(body => (JSON.parse(body) as { object_kind: string }).object_kind)
      expect(kinds.slice(0, 2)).toEqual(['push', 'merge_request'])
      await send(world, '0198aaaa-0000-4000-8000-000000000401', bodies[1]!)
      await send(world, '0198aaaa-0000-4000-8000-000000000402', bodies[0]!)
      const { iid } = world.simulator.mergeRequests(world.project.id)[0]!
      await until(
        'the note',
        () => world.note(iid)?.body.includes('hello completed') || world.note(iid)?.body.includes('completed'),
      )
      await settled(world)
      expect(await runsOf(world)).toHaveLength(1)
    }))
})
