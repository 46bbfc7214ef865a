import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { inWorld } from '../support/world.ts'

// With a real browser: what a person sees and does. Needs Chromium (Debian: apt-get install chromium); without one these are skipped, and the stories of who-may-see run all the same.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const two = (gate: string) => `jobs:
  mesh:
    time: 5m
    outputs: [out/*]
    script: [echo meshing, mkdir -p out, 'echo 1 > out/a.csv']
  solve:
    needs: [mesh]
    cpus_per_task: 2
    time: 1h
    progress: 'step ([0-9]+)%'
    script:
      - echo "step 40%"
      - until [ -e ${gate} ]; do sleep 0.2; done
      - echo the end
`

describe.skipIf(!hasBrowser)('the pages in a browser', () => {
  it('let a person sign in, follow a run and its log as they go on, and cancel it', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const { page, complaints } = await visit()
      await page.goto(world.url)
      expect(await accessibilityTroubles(page)).toEqual([])
      await signIn(page, world.url, 'alice', 'secret-alice')
      await page.getByText('Nothing is under way').waitFor()

      // Pushed while somebody looks: it appears by itself.
      const gate = join(world.place, 'gate')
      const first = await world.push('calc/heat', { '.compops.yml': two(gate) })
      await page.getByRole('link', { name: 'calc/heat' }).first().click()
      await page.getByRole('row', { name: /solve.*running/ }).waitFor()
      expect(await accessibilityTroubles(page)).toEqual([])
      await picture(page, 'run')

      await page.getByRole('link', { name: 'solve', exact: true }).click()
      const log = page.getByLabel('Log', { exact: true })
      await log.getByText('step 40%').waitFor()
      await page.getByPlaceholder('Find').fill('step')
      await writeFile(gate, '')
      await log.getByText('the end').waitFor()
      await page.locator('.head .state', { hasText: 'completed' }).waitFor()
      await world.treeEnds(first, ['success'])
      expect(await accessibilityTroubles(page)).toEqual([])
      await picture(page, 'job')

      const second = await world.push('calc/other', { '.compops.yml': two(join(world.place, 'never')) })
      await page.goto(`${world.url}/jobs`)
      await page
        .getByRole('row', { name: /solve.*calc\/other.*running/ })
        .getByRole('link', { name: 'solve' })
        .click()
      await page.getByRole('link', { name: 'Cancel' }).click()
      const question = page.getByRole('dialog')
      expect(await accessibilityTroubles(page)).toEqual([])
      await picture(page, 'question')
      await question.getByRole('button', { name: 'Cancel' }).click()
      await page.getByText('Cancelled: solve.').waitFor()
      await page.locator('.head .state', { hasText: 'canceled' }).waitFor()
      await world.treeEnds(second, ['canceled'])
      expect(complaints).toEqual([])
    }))

  it('show the scheduler: filters answer at once and stand in the address, by mouse and keyboard, light, dark and on a phone', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const good = await world.push('calc/good', { '.compops.yml': 'jobs:\n  solve:\n    script: [echo ok]\n' })
      const bad = await world.push('calc/bad', { '.compops.yml': 'jobs:\n  solve:\n    script: [exit 3]\n' })
      await world.treeEnds(good, ['success'])
      await world.treeEnds(bad, ['failed'])
      const { page, complaints } = await visit()
      await signIn(page, world.url, 'alice', 'secret-alice')
      await page.getByRole('link', { name: 'Scheduler' }).click()
      await page.getByText('Nothing is under way').waitFor()
      await page.getByLabel('Show').selectOption('everything')
      await page.getByRole('row', { name: /calc\/bad.*failed/ }).waitFor()
      await page.getByRole('link', { name: /completed 1/ }).click()
      await page.waitForURL(/state=completed/)
      await page.getByRole('row', { name: /calc\/good/ }).waitFor()
      expect(await page.getByRole('row', { name: /calc\/bad/ }).count()).toBe(0)
      await page.reload()
      await page.getByRole('row', { name: /calc\/good/ }).waitFor()
      expect(await page.getByRole('row', { name: /calc\/bad/ }).count()).toBe(0)

      await page.goto(`${world.url}/jobs?when=all`)
      await page.getByLabel('Search').fill('bad')
      await page.waitForURL(/search=bad/)
      await page.getByRole('row', { name: /calc\/bad/ }).waitFor()
      await page.getByRole('columnheader', { name: 'Branch' }).getByRole('link').focus()
      await page.keyboard.press('Enter')
      await page.waitForURL(/sort=branch/)
      expect(page.url()).toContain('search=bad')
      expect(complaints).toEqual([])

      for (const mode of [{}, { dark: true }, { phone: true }]) {
        const other = await visit(mode)
        await signIn(other.page, world.url, 'alice', 'secret-alice')
        for (const [name, path] of [
          ['overview', '/'],
          ['scheduler', '/jobs?when=all'],
          ['projects', '/projects'],
        ] as const) {
          await other.page.goto(`${world.url}${path}`)
          expect(await accessibilityTroubles(other.page)).toEqual([])
          // Nothing stands beyond the edge of the screen.
          expect(await other.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await picture(other.page, [name, ...Object.keys(mode)].join('-'))
        }
        expect(other.complaints).toEqual([])
      }
    }))

  it('work without a script: signing in, filters, the question before an act and its answer', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': two(join(world.place, 'never')) })
      const { page } = await visit({ script: false })
      await signIn(page, world.url, 'alice', 'secret-alice')
      for (;;) {
        await page.goto(`${world.url}/jobs?search=heat`)
        if ((await page.getByRole('row', { name: /solve.*running/ }).count()) > 0) break
      }
      await page.getByLabel('Show').selectOption('everything')
      await page.getByRole('button', { name: 'Show' }).click()
      await page.getByRole('row', { name: /mesh.*completed/ }).waitFor()
      await page.getByRole('link', { name: 'calc/heat' }).first().click()
      await page.getByRole('link', { name: 'Cancel' }).click()
      await page.getByRole('heading', { name: 'Cancel?' }).waitFor()
      await page.getByRole('button', { name: 'Cancel' }).click()
      await page.getByText('Cancelled: solve.').waitFor()
      await world.treeEnds(sha, ['canceled'])
    }))
})
