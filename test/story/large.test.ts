import { appendFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SQL } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What is large on the pages: a log that nobody could load, and many who look.
vi.setConfig({ testTimeout: 240_000 * patience })

const gigabytes = 2 * 2 ** 30

const runOf = (world: World) =>
  until(
    'the run to be shown',
    async () => /href="\/runs\/([0-9a-f-]{36})"/.exec(await (await fetch(`${world.url}/jobs?when=all`)).text())?.[1],
  )

/** The log of the only attempt, as a file of the cluster. */
async function logFile(world: World): Promise<string | null> {
  const all = await readdir(join(world.place, 'cluster'), { recursive: true }).catch(() => [])
  const found = all.find(path => path.endsWith('/log.0'))
  return found === undefined ? null : join(world.place, 'cluster', found)
}

describe('a log of 2 GB', () => {
  it('is shown from its end, in little time and memory, while its job runs and when it has ended', () =>
    inWorld({ dashboard: 'open' }, async world => {
      const gate = join(world.place, 'gate')
      const sha = await world.push('calc/talks', {
        '.compops.yml': `jobs:\n  talk:\n    script: [echo begin, 'until [ -e ${gate} ]; do sleep 0.1; done', echo the end]\n`,
      })
      const run = await runOf(world)
      const file = await until('the log to begin', async () => {
        const path = await logFile(world)
        return path !== null && (await stat(path)).size > 0 && path
      })
      await truncate(file, gigabytes)
      await appendFile(file, '\nthe line at the edge\n')
      const { size } = await stat(file)

      const ask = (query: string) => fetch(`${world.url}/runs/${run}/jobs/talk/log?${query}`)
      const before = process.memoryUsage()
      for (let n = 0; n < 10; n++) {
        const began = performance.now()
        const tail = await ask('')
        expect(tail.headers.get('x-compops-size')).toBe(String(size))
        const bytes = Buffer.from(await tail.arrayBuffer())
        expect(bytes.length).toBeLessThanOrEqual(65_536)
        expect(bytes.toString()).toMatch(/\nthe line at the edge\n$/)
        expect(performance.now() - began).toBeLessThan(3_000 * patience)
      }
      // No more of it than a piece, whatever is asked for.
      const much = await ask(`offset=1000000000&bytes=${gigabytes}`)
      expect((await much.arrayBuffer()).byteLength).toBeLessThan(8 * 2 ** 20)
      expect(process.memoryUsage().rss - before.rss).toBeLessThan(150 * 2 ** 20)
      expect((await fetch(`${world.url}/runs/${run}/jobs/talk`)).status).toBe(200)

      await writeFile(gate, '')
      await world.treeEnds(sha, ['success'])
      const after = await (await ask('')).text()
      expect(after).toMatch(/the end\n$/)
      expect(process.memoryUsage().rss - before.rss).toBeLessThan(150 * 2 ** 20)
    }))
})

describe('two hundred pages that are open', () => {
  it('ask the database one question a second together, are made once for a change, and leave nothing when they are closed', () =>
    inWorld({ dashboard: 'open' }, async world => {
      await world.treeEnds(await world.push('calc/first', file('echo ok')), ['success'])
      await runOf(world)
      const { db, metrics } = world.service.context
      const text = (query: unknown) => JSON.stringify((query as SQL).queryChunks ?? '')
      const asked = { pulses: 0, boards: 0 }
      const ask = db.execute.bind(db)
      // What it does is as ever; it is only counted.
      vi.spyOn(db, 'execute').mockImplementation(query => {
        if (text(query).includes('unreachable_since, last_error')) asked.pulses++
        if (text(query).includes('select j.state, count(*)')) asked.boards++
        return ask(query)
      })
      const open = async () => (await metrics.pagesOpen.get()).values[0]?.value ?? 0
      const gone = new AbortController()
      const heard = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const own = { changes: 0, said: '' }
          const answer = await fetch(`${world.url}/live?at=/jobs?when=all`, { signal: gone.signal })
          expect(answer.status).toBe(200)
          const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
          void (async () => {
            for (let piece = await reader.read(); !piece.done; piece = await reader.read()) own.said += piece.value
          })().catch(() => {})
          return own
        }),
      )
      await until('all of them to be up to date', () => heard.every(one => one.said.includes('event: changes')))
      expect(await open()).toBe(200)
      // A second passes without a change: one question for all.
      Object.assign(asked, { pulses: 0, boards: 0 })
      const began = performance.now()
      await until('ten questions', () => asked.pulses >= 10)
      const seconds = (performance.now() - began) / 1_000
      expect(asked.pulses).toBeLessThanOrEqual(seconds * 1.5 + 2)
      expect(asked.boards).toBeLessThanOrEqual(2)

      // Something changes: it is made once, not two hundred times, and all see it.
      Object.assign(asked, { pulses: 0, boards: 0 })
      await world.treeEnds(await world.push('calc/second', file('echo ok')), ['success'])
      await until('all of them to see it', () => heard.every(one => one.said.includes('calc/second')))
      await until('all of them to see its end', () =>
        heard.every(one => (one.said.match(/s-completed/g) ?? []).length >= 2),
      )
      expect(asked.boards).toBeLessThanOrEqual(asked.pulses + 2)

      gone.abort()
      await until('all of them to be closed', async () => (await open()) === 0)
      Object.assign(asked, { pulses: 0, boards: 0 })
      await world.treeEnds(await world.push('calc/third', file('echo ok')), ['success'])
      expect(asked).toEqual({ pulses: 0, boards: 0 })
    }))
})

const file = (script: string) => ({ '.compops.yml': `jobs:\n  solve:\n    script: [${script}]\n` })
