import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { hiddenFields, signedIn } from '../support/session.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Whom the configuration names sees what is asked of clusters, and holds them back.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const file = { '.compops.yml': 'jobs:\n  solve: { script: [echo solved] }\n' }

async function auditOf(world: World): Promise<string> {
  const folder = join(world.place, 'data', 'audit')
  return (await Promise.all((await readdir(folder)).map(name => readFile(join(folder, name), 'utf8')))).join('')
}

describe.concurrent('who administrates the service', () => {
  it('pauses a cluster from the page and lets it go on, in their own name, with a line in the audit log', () =>
    inWorld({ dashboard: 'sign in', admins: ['Root.Admin'] }, async world => {
      world.simulator.createUser({ username: 'root.admin', name: 'Robin Root', password: 'secret-root' })
      const jar = await signedIn(world, 'root.admin', 'secret-root')
      // No member of any project: an administrator sees the clusters, not what is computed there.
      expect(await jar.text('/')).toContain('href="/load"')
      expect(await jar.text('/jobs?when=all')).not.toContain('calc/')

      const question = await jar.text('/load/laptop/pause')
      expect(question).toContain('Nothing is handed over to it from now on')
      const fields = { ...hiddenFields(question), why: 'disks <b>are</b> exchanged' }
      expect((await jar.send('/load/laptop/pause', { ...fields, until: 'yesterday' })).status).toBe(303)
      expect(await jar.text('/load')).toContain('is no time to come')
      expect(await jar.text('/load')).not.toContain('is paused')
      expect((await jar.send('/load/laptop/pause', { ...fields, until: '2h' })).status).toBe(303)
      expect(await jar.text('/load')).toMatch(
        /laptop is paused by root\.admin until .* UTC: disks &lt;b&gt;are&lt;\/b&gt; exchanged/,
      )
      const sha = await world.push('calc/heat', file, 'a computation', 'main')
      await until('the job to wait', () => world.statuses(sha)['compops/solve'] === 'pending')

      const drained = hiddenFields(await jar.text('/load/laptop/drain'))
      await jar.send('/load/laptop/drain', drained)
      expect(await jar.text('/load')).toContain('laptop is drained by root.admin')
      expect(world.statuses(sha)['compops/solve']).toBe('pending')
      await jar.send('/load/laptop/resume', hiddenFields(await jar.text('/load/laptop/resume')))
      expect(await jar.text('/load')).toContain('laptop goes on.')
      expect((await jar.ask('/load/laptop/resume')).status).toBe(409)
      await world.treeEnds(sha, ['success'])
      expect((await jar.ask('/load/falcon/pause')).status).toBe(404)
      expect((await jar.ask('/load/laptop/remove')).status).toBe(404)
      const audit = await auditOf(world)
      for (const act of ['cluster paused', 'cluster drained', 'cluster resumed'])
        expect(audit).toContain(`"act":"${act}","by":"root.admin","cluster":"laptop"`)
    }))

  it('is nobody else, whatever their role in a project: the page is not theirs, and a forged form changes nothing', () =>
    inWorld({ dashboard: 'sign in', admins: ['somebody'] }, async world => {
      const alice = await signedIn(world, 'alice', 'secret-alice')
      expect(await alice.text('/')).not.toContain('href="/load"')
      for (const path of ['/load', '/load/laptop/pause']) expect((await alice.ask(path)).status).toBe(403)
      const fields = { form_token: hiddenFields(await alice.text('/')).form_token ?? '' }
      expect((await alice.send('/load/laptop/pause', fields)).status).toBe(403)
      expect((await alice.send('/load/laptop/pause', { form_token: 'x' })).status).toBe(403)
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      expect(await auditOf(world)).toContain('"by":"alice","result":"refused: no administrator"')
    }))
})

describe.skipIf(!hasBrowser)('the load in a browser', () => {
  it('is a page like the others, light, dark and on a phone; what holds a cluster back is asked for and answered on it', () =>
    inWorld({ dashboard: 'sign in', admins: ['alice'] }, async world => {
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      for (const mode of [{}, { dark: true }, { phone: true }, { script: false }]) {
        const { page, complaints } = await visit(mode)
        await signIn(page, world.url, 'alice', 'secret-alice')
        await page.getByRole('link', { name: 'Load' }).click()
        await page.getByRole('link', { name: 'Pause laptop' }).click()
        await page.getByRole('heading', { name: 'Pause laptop?' }).waitFor()
        await page.getByLabel('Why').fill('disks are exchanged')
        if (!('script' in mode)) expect(await accessibilityTroubles(page)).toEqual([])
        await page.getByRole('button', { name: 'Pause' }).click()
        await page.getByText('laptop is paused by alice: disks are exchanged', { exact: true }).waitFor()
        if (!('script' in mode)) {
          expect(await accessibilityTroubles(page)).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await picture(page, ['load', ...Object.keys(mode)].join('-'))
        }
        await page.getByRole('link', { name: 'Resume laptop' }).click()
        await page.getByRole('button', { name: 'Resume' }).click()
        await page.getByText('laptop goes on.').waitFor()
        expect(complaints).toEqual([])
      }
    }))
})
