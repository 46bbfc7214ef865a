import postgres from 'postgres'
import { describe, expect, it } from 'vitest'
import { startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// A Postgres that goes away in the middle of everything and comes back: what was acknowledged is there, and the service goes on by itself.

/** Posts deliveries without a pause until it is stopped. */
function keepPosting(w: World) {
  const acknowledged: string[] = []
  const statuses = new Map<number, number>()
  let posting = true
  async function lane(name: number): Promise<void> {
    for (let n = 0; posting; n++) {
      const key = `delivery-${name}-${n}`
      const answer = await fetch(`${w.url}/webhooks/gitlab`, {
        method: 'POST',
        body: '{"object_kind":"feature_flag"}',
        headers: { 'content-type': 'application/json', 'x-gitlab-token': w.secret, 'idempotency-key': key },
      })
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status === 200) acknowledged.push(key)
      await answer.arrayBuffer()
    }
  }
  const lanes = Promise.all([1, 2, 3, 4].map(lane))
  return {
    acknowledged,
    statuses,
    async stop() {
      posting = false
      await lanes
    },
  }
}

const ready = async (w: World) => (await fetch(`${w.url}/readyz`)).status

describe('a Postgres that is restarted under load', () => {
  it('loses no acknowledged delivery; meanwhile GitLab hears 503, and the run in the middle completes', () =>
    inWorld({ database: 'postgres' }, async w => {
      const server = (await startPostgres())!
      const url = w.service.context.config.databaseUrl!
      await w.stopService()
      const sql = postgres(url, { max: 1, onnotice: () => {} })
      // The servers of our tests answer before they have written; this one is to keep its word.
      await sql.unsafe(`alter database "${new URL(url).pathname.slice(1)}" set synchronous_commit = on`)
      await w.start()

      const sha = await w.push('calc/heat', { '.compops.yml': 'jobs:\n  slow:\n    script: [sleep 3]\n' })
      await until('the job to run', () => w.statuses(sha)['compops/slow'] === 'running')
      const posting = keepPosting(w)
      for (const mode of ['immediate', 'fast'] as const) {
        const before = posting.acknowledged.length
        await until('deliveries to come in', () => posting.acknowledged.length > before + 50)
        const refused = posting.statuses.get(503) ?? 0
        await server.restart(mode, async () => {
          await until('the service to say that it is not ready', async () => (await ready(w)) === 503)
          await until('a delivery to be refused', () => (posting.statuses.get(503) ?? 0) > refused)
          expect((await fetch(`${w.url}/healthz`)).status).toBe(200)
        })
        await until('the service to be ready again', async () => (await ready(w)) === 200)
      }
      const after = posting.acknowledged.length
      await until('deliveries to be taken again', () => posting.acknowledged.length > after + 50)
      await posting.stop()

      expect(await w.treeEnds(sha, ['success'])).toMatchObject({ 'compops/slow': 'success' })
      await until('the evidence', () => w.evidenceOf('calc/heat', sha))
      const kept = new Set((await sql<{ key: string }[]>`select key from deliveries`).map(row => row.key))
      await sql.end()
      expect(posting.acknowledged.filter(key => !kept.has(key))).toEqual([])
      expect([...posting.statuses.keys()].sort()).toEqual([200, 503])
    }))
})
