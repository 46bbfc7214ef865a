import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { LoadAnswer } from '../../src/model/api.ts'
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

  it('does the same over HTTP; a token that only reads may look, and whoever is no administrator may neither', () =>
    inWorld({ dashboard: 'sign in', admins: ['alice'] }, async world => {
      const as = (userId: number, scopes = ['api']) => {
        const { token } = world.simulator.createToken(userId, { scopes })
        return async (path: string, body?: object) => {
          const answer = await fetch(`${world.url}/api/v1${path}`, {
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
          })
          return [answer.status, await answer.json()] as const
        }
      }
      await world.treeEnds(await world.push('calc/heat', file), ['success'])
      const [alice, reading, bob] = [
        as(world.alice.id),
        as(world.alice.id, ['read_api']),
        as(world.simulator.createUser({ username: 'bob', name: 'Bob', password: 'secret-bob' }).id),
      ]
      const paused = { mode: 'pause', reason: 'disks are  exchanged', by: 'alice', until: expect.any(String) }
      expect(await alice('/clusters/laptop/pause', { reason: 'disks are\n exchanged', until: '2h' })).toEqual([
        200,
        {
          outcome: 'done',
          said: expect.stringMatching(/^laptop is paused by alice until .* UTC: disks are {2}exchanged$/),
          hold: expect.objectContaining(paused),
        },
      ])
      expect(await alice('/clusters/laptop/drain', { until: 'yesterday' })).toEqual([422, expect.anything()])
      expect(await alice('/clusters/falcon/drain', {})).toEqual([404, expect.anything()])
      const [status, load] = await reading('/load')
      expect([status, LoadAnswer.parse(load).clusters]).toEqual([
        200,
        [expect.objectContaining({ name: 'laptop', hold: expect.objectContaining(paused) })],
      ])
      const hour = await until(
        'what was asked to be written down, every half a minute',
        async () => LoadAnswer.parse((await reading('/load'))[1]).clusters[0]!.hours[0],
        60,
      )
      expect([hour.account, hour.programs > 0]).toEqual(['laptop', true])
      expect((await reading('/clusters/laptop/resume', {}))[0]).toBe(403)
      for (const refused of [await bob('/load'), await bob('/clusters/laptop/resume', {})])
        expect(refused).toEqual([403, expect.objectContaining({ detail: expect.stringContaining('administrates') })])
      expect((await alice('/clusters/laptop/resume', {}))[1]).toMatchObject({ outcome: 'done' })
      expect((await alice('/clusters/laptop/resume', {}))[1]).toMatchObject({ outcome: 'nothing to do', hold: null })
      const audit = await auditOf(world)
      for (const act of ['cluster paused', 'cluster resumed'])
        expect(audit).toContain(`"act":"${act}","by":"alice","cluster":"laptop"`)
      expect(audit.match(/"act":"refused","by":"bob","what":"POST [^"]*\/clusters\/laptop\/resume"/g)).toHaveLength(1)
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
      expect(
        (await auditOf(world)).match(/"act":"refused","by":"alice","what":"POST \/load\/laptop\/pause"/g),
      ).toHaveLength(2)
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
