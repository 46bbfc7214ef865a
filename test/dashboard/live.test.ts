import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/auth/refusal.ts'
import type { Way } from '../../src/dashboard/dashboard.ts'
import { addLive } from '../../src/dashboard/live.ts'
import { type Page, region } from '../../src/dashboard/page.ts'
import type { Visitor } from '../../src/dashboard/visitor.ts'
import { createMetrics } from '../../src/metrics.ts'
import { handClock } from '../support/clock.ts'
import { until } from '../support/until.ts'

/** A site with one page, whose database answers `mark`. */
function site() {
  const clock = handClock()
  const stopping = new AbortController()
  const world = {
    clock,
    mark: '1',
    /** The token that GitLab takes at present, and the one that the session has. */
    valid: 'first',
    session: 'first',
    away: false,
    asked: 0,
    again: undefined as number | undefined,
    person: 1,
    stop: () => stopping.abort(),
  }
  const context = {
    ...{ clock, stopping: stopping.signal, secrets: { redact: (text: string) => text } },
    db: { execute: async () => [{ mark: world.mark }] },
    log: { warn() {} },
    metrics: createMetrics(),
  }
  const way = {
    site: { context },
    async visitorOf() {
      return { caller: { person: { id: world.person }, fingerprint: world.session }, open: false } as unknown as Visitor
    },
    async pageAt(_: URL, visitor: Visitor): Promise<Page> {
      world.asked++
      if (world.away || visitor.caller.fingerprint !== world.valid) throw new Refusal(503, 'GitLab does not answer')
      return {
        title: '',
        section: 'overview',
        template: '',
        view: {},
        regions: [region('r', `mark ${world.mark}`)],
        ...(world.again === undefined ? {} : { again: world.again }),
      }
    },
  }
  const app = new Hono()
  addLive(app, way as unknown as Way)
  /** What arrives, as it arrives. */
  async function open() {
    const response = await app.request('/live?at=/jobs')
    const heard: string[] = []
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    void (async () => {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) heard.push(piece.value)
    })()
    return { response, heard, leave: () => reader.cancel() }
  }
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      await clock.advance(1_000)
      await until('the page to sleep', () => clock.sleepers() > 0)
    }
  }
  return Object.assign(world, { open, pass })
}

describe('a page that stays open', () => {
  it('goes on with the token that its session has now, not with that of its start', async () => {
    const world = site()
    const page = await world.open()
    await until('the first look', () => page.heard.join('').includes('mark 1'))
    Object.assign(world, { valid: 'second', session: 'second', mark: '2' })
    await world.pass(2)
    await until('the change', () => page.heard.join('').includes('mark 2'))
    world.stop()
  })

  it('is made anew after the time that it names, although nothing has changed; another is not', async () => {
    const world = site()
    world.again = 60_000
    const page = await world.open()
    await until('the first look', () => page.heard.join('').includes('mark 1'))
    await world.pass(59)
    expect(world.asked).toBe(1)
    await world.pass(3)
    expect(world.asked).toBe(2)
    world.again = undefined
    await world.pass(61)
    expect(world.asked).toBe(3)
    await world.pass(130)
    expect(world.asked).toBe(3)
    world.stop()
  })

  it('does not call itself up to date while GitLab is away, and asks it no more than every 15 s', async () => {
    const world = site()
    const page = await world.open()
    await until('the first look', () => page.heard.join('').includes('mark 1'))
    await world.pass(11)
    await until('it to be up to date', () => page.heard.join('').includes('event: fresh'))
    page.heard.length = 0
    const before = world.asked
    Object.assign(world, { away: true, mark: '2' })
    await world.pass(40)
    expect(page.heard.join('')).not.toContain('fresh')
    expect(world.asked - before).toBe(3)
    world.away = false
    await world.pass(15)
    await until('the change', () => page.heard.join('').includes('mark 2'))
    world.stop()
  })

  it('leaves room for others, however many of them one person opens', async () => {
    const world = site()
    const pages = []
    for (let n = 0; n < 50; n++) pages.push(await world.open())
    expect((await world.open()).response.status).toBe(503)
    world.person = 2
    expect((await world.open()).response.status).toBe(200)
    world.person = 1
    await pages[0]!.leave()
    await until('its place', async () => (await world.open()).response.status === 200)
    world.stop()
  })
})
