import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ClusterList } from '../../src/model/api.ts'
import { setHold } from '../../src/store/holds.ts'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { fastClock } from '../support/clock.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What clusters have and what is free, for whoever decides where to compute: asked while somebody looks, and seldom.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

let slurm: FakeSlurm
beforeEach(async () => {
  slurm = startFakeSlurm()
  await writeFile(
    join(slurm.state, 'reservations'),
    'ReservationName=maint StartTime=2030-11-21T08:00:00 EndTime=2030-11-21T12:00:00 Duration=04:00:00 Nodes=n[1-4] NodeCnt=4 CoreCnt=32 Features=(null) PartitionName=(null) Flags=MAINT,SPEC_NODES TRES=cpu=32 Users=root Groups=(null) Accounts=(null) Licenses=(null) State=INACTIVE BurstBuffer=(null) Watts=n/a MaxStartDelay=(null)\n',
  )
})
afterEach(() => slurm.stop())

const falcon = () => ({
  clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s, defaults: { partition: main } }`,
  rule: '    clusters: [falcon]',
  more: 'intervals: { note: 200ms, shortest_poll: 1s }',
})

const file = { '.compops.yml': 'jobs:\n  solve:\n    script: [echo ok]\n' }

const look = async (world: World) => (await fetch(`${world.url}/clusters`)).text()
const untilShown = (world: World, text: string) =>
  until(`the page to say ${text}`, async () => {
    const page = await look(world)
    return page.includes(text) ? page : false
  })
/** Looks of ours at the nodes. */
const asked = () => slurm.calls('sinfo').filter(call => call.includes(' -N ')).length

describe('the page of clusters', () => {
  it('shows partitions, nodes by state, free GPUs, what waits and reservations, asked once a minute for all who look', () => {
    const clock = fastClock(20)
    return inWorld({ dashboard: 'open', ...falcon(), clock }, async world => {
      slurm.behave('hold', 'yes')
      await world.push('calc/sweep', { '.compops.yml': 'jobs:\n  sweep:\n    array: 0-9%2\n    script: [echo ok]\n' })
      await until('the sweep to wait', () => slurm.jobs().length === 1)
      expect(asked()).toBe(0)
      const first = await look(world)
      expect(first).toContain('not been asked for yet')
      const page = await untilShown(world, 'GPUs a100')
      for (const words of ['5 of 8 free', '2 idle, 2 mixed, 1 allocated, 1 down', '28 of 64 free', 'gpu', '12 h'])
        expect(page).toContain(words)
      expect(page).toContain('10 jobs, 10 cores')
      expect(page).toMatch(/maint<\/bdi><\/b>, maintenance, 4 nodes, from 21 Nov 2030/)
      expect(page).toContain('commands to the scheduler')

      // Pages that stay open: each sees what is new, and together they ask no more often.
      const before = asked()
      const began = clock.now().getTime()
      const pages = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const gone = new AbortController()
          const response = await fetch(`${world.url}/live?at=/clusters`, { signal: gone.signal })
          const heard = { text: '' }
          const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
          void (async () => {
            for (let piece = await reader.read(); !piece.done; piece = await reader.read()) heard.text += piece.value
          })().catch(() => {})
          return { gone, heard }
        }),
      )
      await until('the nodes to be asked for three times more', () => asked() >= before + 3)
      const minutes = (clock.now().getTime() - began) / 60_000
      expect(asked() - before).toBeLessThanOrEqual(Math.ceil(minutes) + 1)
      for (const { heard } of pages) expect(heard.text).toContain('event: changes')
      for (const { gone } of pages) gone.abort()

      // Nobody looks: nobody is asked, whatever time passes.
      await until('the last answer', async () => (await look(world)).includes('Told '))
      const last = asked()
      const then = clock.now().getTime()
      await until('five minutes to pass', () => clock.now().getTime() - then > 300_000)
      expect(asked()).toBeLessThanOrEqual(last + 1)
    })
  })

  it('says since when nothing is known, and what was known before, when the scheduler answers with rubbish; what is paused is not asked', () => {
    const clock = fastClock(20)
    return inWorld({ dashboard: 'open', ...falcon(), clock }, async world => {
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      await untilShown(world, 'GPUs a100')
      slurm.behave('sinfo', 'banner')
      slurm.behave('squeue', 'down')
      slurm.behave('scontrol', 'down')
      const page = await untilShown(world, 'Nothing is known of its queues and nodes since')
      expect(page).toContain('Below stands what it said before.')
      expect(page).toContain('GPUs a100')
      expect(page).toContain('&quot;*** maintenance on Friday ***&quot;')
      const hold = { cluster: 'falcon', mode: 'pause', reason: null, by: 'root', until: null } as const
      await setHold(world.service.context.db, hold)
      await until('what was under way to be over', async () => {
        const before = slurm.calls('sinfo').length
        const then = clock.now().getTime()
        await until('a minute to pass', () => clock.now().getTime() - then > 70_000)
        return slurm.calls('sinfo').length === before
      })
      const before = slurm.calls('sinfo').length
      for (let minute = 0; minute < 3; minute++) {
        await look(world)
        const then = clock.now().getTime()
        await until('a minute to pass', () => clock.now().getTime() - then > 70_000)
      }
      expect(slurm.calls('sinfo').length).toBe(before)
      for (const command of ['sinfo', 'squeue', 'scontrol']) slurm.behave(command, 'ok')
      await world.service.context.db.execute('delete from holds')
      await until('it to be known again', async () => !(await look(world)).includes('Nothing is known'))
    })
  })

  it('says what a scheduler does not tell: this machine has no queues', () =>
    inWorld({ dashboard: 'open' }, async world => {
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      await untilShown(world, 'Not told: partitions or queues, nodes, GPUs, what waits and reservations.')
      // The same over the API, for who sees a project of theirs.
      const ask = (token: string) =>
        fetch(`${world.url}/api/v1/projects/physics%2Fheat/clusters`, { headers: { authorization: `Bearer ${token}` } })
      const answer = ClusterList.parse(await (await ask(world.simulator.createToken(world.alice.id).token)).json())
      expect(answer.clusters).toMatchObject([{ name: 'laptop', scheduler: 'local', tells: true, trouble: null }])
      expect(answer.clusters[0]?.has?.cores?.total).toBeGreaterThan(0)
      const stranger = world.simulator.createUser({ username: 'sam', name: 'Sam' })
      expect((await ask(world.simulator.createToken(stranger.id).token)).status).toBe(404)
    }))
})

describe.skipIf(!hasBrowser)('the page of clusters in a browser', () => {
  it('comes to life by itself, and is read light, dark and on a phone', () =>
    inWorld({ dashboard: 'sign in', ...falcon() }, async world => {
      slurm.behave('hold', 'yes')
      await world.push('calc/heat', file)
      await until('the job to wait', () => slurm.jobs().length === 1)
      const { page, complaints } = await visit()
      await signIn(page, world.url, 'alice', 'secret-alice')
      await page.getByRole('link', { name: 'Clusters' }).click()
      await page.getByText('GPUs a100').waitFor()
      await page.getByRole('row', { name: /gpu open 12 h/ }).waitFor()
      expect(complaints).toEqual([])
      for (const mode of [{}, { dark: true }, { phone: true }]) {
        const other = await visit(mode)
        await signIn(other.page, world.url, 'alice', 'secret-alice')
        await other.page.goto(`${world.url}/clusters`)
        await other.page.getByText('GPUs a100').waitFor()
        expect(await accessibilityTroubles(other.page)).toEqual([])
        expect(await other.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
        await picture(other.page, ['capacity', ...Object.keys(mode)].join('-'))
        expect(other.complaints).toEqual([])
      }
    }))
})
