import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { openStore, rows } from '../../src/store/open.ts'
import { type Served, serve } from '../support/serve.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// A real file system that is too small, under a real service with the embedded database. What GitLab was told is stored is stored.
const run = promisify(execFile)
let world: World | null = null
let served: Served | null = null
let mounted: string | null = null

afterEach(async () => {
  await served?.kill()
  if (mounted !== null) await run('umount', ['-l', mounted])
  await world?.close()
  served = null
  mounted = null
  world = null
})

/** Posts deliveries, several at once, until one is not answered at all. Returns the keys of those that were acknowledged, and every status. */
async function fill(w: World): Promise<{ acknowledged: string[]; statuses: Set<number> }> {
  const acknowledged: string[] = []
  const statuses = new Set<number>()
  let silent = false
  async function post(key: string): Promise<void> {
    const project = { id: w.project.id, path_with_namespace: 'physics/heat' }
    const body = JSON.stringify({ object_kind: 'feature_flag', project, text: randomBytes(20_000).toString('base64') })
    const headers = { 'content-type': 'application/json', 'x-gitlab-token': w.secret, 'idempotency-key': key }
    const answer = await fetch(`${w.url}/webhooks/gitlab`, { method: 'POST', body, headers }).catch(() => null)
    if (answer === null) silent = true
    else {
      statuses.add(answer.status)
      if (answer.status === 200) acknowledged.push(key)
    }
  }
  for (let batch = 0; !silent; batch++)
    await Promise.all(Array.from({ length: 8 }, (_, n) => post(`delivery-${batch}-${n}`)))
  return { acknowledged, statuses }
}

describe('a full disk under the embedded database', () => {
  it('ends the process with a clear word, and no acknowledged delivery is lost', async context => {
    world = await startWorld()
    await world.stopService()
    const place = join(world.place, 'small')
    await mkdir(place)
    try {
      await run('mount', ['-t', 'tmpfs', '-o', 'size=80m', 'none', place])
      mounted = place
    } catch (error) {
      context.skip(`a file system of our own cannot be mounted here: ${String(error)}`)
    }
    const dataDir = join(place, 'data')
    await cp(join(world.place, 'data'), dataDir, { recursive: true })

    served = await serve(world, { dataDir })
    const { acknowledged, statuses } = await fill(world)
    await until('the process to end by itself', () => served?.ended())
    expect(served.ended()).toEqual({ code: 75, signal: null })
    expect(served.said()).toMatch(/^compops: the embedded database in .* cannot go on: .*No space left on device/m)
    expect(statuses).toEqual(new Set([200, 503]))
    expect(acknowledged.length).toBeGreaterThan(100)

    await run('mount', ['-o', 'remount,size=300m', place])
    served = await serve(world, { dataDir })
    const again = await fetch(`${world.url}/webhooks/gitlab`, {
      method: 'POST',
      body: '{"object_kind":"feature_flag"}',
      headers: {
        'content-type': 'application/json',
        'x-gitlab-token': world.secret,
        'idempotency-key': acknowledged[0]!,
      },
    })
    expect(await again.json()).toMatchObject({ result: 'duplicate' })
    await served.stop()
    const store = await openStore({ databaseUrl: null, dataDir })
    const kept = new Set((await rows<{ key: string }>(store.db, sql`select key from deliveries`)).map(row => row.key))
    await store.close()
    expect(acknowledged.filter(key => !kept.has(key))).toEqual([])
  })
})
