import { afterAll, describe, expect, it, vi } from 'vitest'
import { setHold } from '../../src/store/holds.ts'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { inWorld } from '../support/world.ts'

// The pages for whoever asks why: clusters, deliveries, the audit trail; each as it is read, light, dark and on a phone.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const file = (script: string) => ({ '.compops.yml': `jobs:\n  solve:\n    script: [${script}]\n` })
const evil = `<img src=x onerror="document.title='taken'">`

describe.skipIf(!hasBrowser)('pages for whoever asks why', () => {
  it('show clusters and what holds them back, deliveries with the reason of each, and who had what done', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      await world.treeEnds(await world.push('calc/heat', file('echo ok')), ['success'])
      await world.push('main', { 'README.md': '# Heat, again\n' }, evil)
      const { page, complaints } = await visit()
      await signIn(page, world.url, 'alice', 'secret-alice')

      // Something for the audit trail: the branch is computed anew from its page.
      await page.goto(`${world.url}/projects/physics/heat`)
      await page.getByRole('link', { name: 'calc/heat' }).click()
      await page.getByRole('link', { name: 'Compute anew' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Compute anew' }).click()
      await page.getByText('is computed anew at').waitFor()

      await page.getByRole('link', { name: 'Deliveries' }).click()
      await page.getByText('main is the default branch').first().waitFor()
      await page.getByLabel('Show').selectOption('not acted on yet')
      await page.waitForURL(/which=waiting/)
      await page.getByText('Nothing fits.').waitFor()
      await page.getByLabel('Show').selectOption('what others did')
      await page.getByRole('link', { name: 'its run' }).first().waitFor()
      await page.getByLabel('Search').fill('calc/heat')
      await page.waitForURL(/search=calc/)
      await page.reload()
      await page.getByText('calc/heat').first().waitFor()

      await page.getByRole('link', { name: 'Audit' }).click()
      const act = page.getByRole('row', { name: /alice run physics\/heat/ })
      await act.waitFor()
      await page.getByLabel('Search').fill('nobody did this')
      await act.waitFor({ state: 'hidden' })

      // While somebody looks, a person holds the cluster back.
      await page.getByRole('link', { name: 'Clusters' }).click()
      await page.getByRole('heading', { name: 'laptop' }).waitFor()
      const hold = { cluster: 'laptop', mode: 'pause', reason: evil, by: 'root', until: null } as const
      await setHold(world.service.context.db, hold)
      await page.getByText(`laptop is paused by root: ${evil}`).waitFor()
      expect(await page.title()).toBe('Clusters · ComputationalOps')
      expect(complaints).toEqual([])

      for (const mode of [{}, { dark: true }, { phone: true }]) {
        const other = await visit(mode)
        await signIn(other.page, world.url, 'alice', 'secret-alice')
        for (const name of ['clusters', 'deliveries', 'audit', 'reference'] as const) {
          await other.page.goto(`${world.url}/${name}`)
          expect(await accessibilityTroubles(other.page)).toEqual([])
          expect(await other.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await picture(other.page, [name, ...Object.keys(mode)].join('-'))
        }
        await other.page.goto(`${world.url}/deliveries`)
        await other.page.locator('main a[href*="/deliveries/"]').first().click()
        await other.page.getByLabel('The chain from the delivery to what GitLab was told').waitFor()
        expect(await accessibilityTroubles(other.page)).toEqual([])
        await picture(other.page, ['delivery', ...Object.keys(mode)].join('-'))
        expect(other.complaints).toEqual([])
      }
    }))
})

describe('the API told too much at once', () => {
  it('asks for a pause, by person and not by token, as problem details; after it everything is as before', () =>
    inWorld({}, async world => {
      const tokens = [1, 2].map(() => world.simulator.createToken(world.alice.id).token)
      const ask = (i: number, path = '/api/v1/user') =>
        fetch(`${world.url}${path}`, { headers: { authorization: `Bearer ${tokens[i % 2]}` } })
      let refused: Response | null = null
      for (let at = 0; refused === null && at < 5_000; at += 50) {
        const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(i)))
        refused = answers.find(answer => answer.status === 429) ?? null
      }
      expect(refused?.headers.get('content-type')).toBe('application/problem+json')
      expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await refused?.json()).toMatchObject({ type: 'about:blank', title: 'Too Many Requests', status: 429 })
      const bob = world.simulator.createUser({ username: 'bob', name: 'Bob' })
      const theirs = await fetch(`${world.url}/api/v1/user`, {
        headers: { authorization: `Bearer ${world.simulator.createToken(bob.id).token}` },
      })
      expect([theirs.status, theirs.headers.get('ratelimit-remaining')]).toEqual([200, '599'])
      const wrong = await fetch(`${world.url}/api/v1/runs/none`, {
        headers: { authorization: `Bearer ${world.simulator.createToken(bob.id).token}` },
      })
      expect(wrong.headers.get('content-type')).toBe('application/problem+json')
      expect(await wrong.json()).toMatchObject({ status: 400, title: 'Bad Request', details: [expect.any(String)] })
      // Pages are another door: whoever looks is not kept out by a script of theirs.
      expect((await fetch(`${world.url}/healthz`)).status).toBe(200)
    }))
})
