import { afterAll, describe, expect, it, vi } from 'vitest'
import { RunAnswer, RunList } from '../../src/model/api.ts'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { hiddenFields, signedIn } from '../support/session.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// A computation is started from a form, with other values than those of the file, by whoever might as well have written a command.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const file = `jobs:
  solve:
    time: 10m
    params: { degree: 4, tag: plain }
    outputs: [out.txt]
    script:
      - echo "degree $COMPOPS_PARAM_DEGREE $COMPOPS_PARAM_TAG" | tee out.txt
`
const path = '/projects/physics/heat/-/launch'

async function runsOf(world: World): Promise<RunList['runs']> {
  const { token } = world.simulator.createToken(world.alice.id)
  const answer = await fetch(`${world.url}/api/v1/projects/physics%2Fheat/runs`, {
    headers: { authorization: `Bearer ${token}` },
  })
  return RunList.parse(await answer.json()).runs
}

async function run(world: World, id: string): Promise<RunAnswer> {
  const { token } = world.simulator.createToken(world.alice.id)
  const answer = await fetch(`${world.url}/api/v1/runs/${id}`, { headers: { authorization: `Bearer ${token}` } })
  return RunAnswer.parse(await answer.json())
}

describe.concurrent('launching a computation', () => {
  it('previews what would run with what was changed, then runs just that, and once however often the form is sent', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': file })
      await world.treeEnds(sha, ['success'])
      const jar = await signedIn(world, 'alice', 'secret-alice')

      // As a browser sends the form: every field, of which only two differ.
      const form = new URLSearchParams({
        ...{ preview: '1', branch: 'calc/heat', 'field:solve.params.degree': '12', 'field:solve.params.tag': 'plain' },
        ...{ 'field:solve.time': '10m', 'field:solve.cluster': 'laptop', more: 'tag="x y"' },
      })
      const preview = (await jar.ask(`${path}?${form}`)).headers.get('location') ?? ''
      expect(new URL(preview, world.url).searchParams.getAll('set')).toEqual(['tag="x y"', 'solve.params.degree=12'])
      const html = await jar.text(preview.replace(/#.*/, ''))
      expect(html).toContain('this form')
      expect(html).toContain('Run it')
      const fields = { ...hiddenFields(html), branch: 'calc/heat' }
      const body = new URLSearchParams(fields)
      body.delete('set')
      for (const one of ['tag="x y"', 'solve.params.degree=12']) body.append('set', one)
      const send = () =>
        jar.ask(path, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: body.toString(),
        })
      const answers = await Promise.all([send(), send()])
      answers.push(await send())
      const places = answers.map(answer => answer.headers.get('location') ?? '')
      const started = places.find(place => place.startsWith('/runs/')) ?? ''
      expect(started).toMatch(/^\/runs\/[0-9a-f-]{36}$/)
      expect(places.at(-1)).toBe(started)
      const ended = await until('the end of the run', async () => {
        const one = await run(world, started.slice('/runs/'.length))
        return one.ended_at === null ? null : one
      })
      expect(ended.state).toBe('completed')
      expect((await runsOf(world)).length).toBe(2)
      const page = await jar.text(`${started}/jobs/solve`)
      expect(page).toContain('12')
      expect(await world.evidenceOf('calc/heat', sha)).not.toBeNull()
      const log = await jar.text(`${started}/jobs/solve/log`)
      expect(log).toContain('degree 12 "x y"')
    }))

  it('refuses what the file could not say, what nobody has, and what was planned of an older commit', () =>
    inWorld({ dashboard: 'sign in', rule: '    clusters: [laptop]\n    policy: { time: 1h }' }, async world => {
      await world.treeEnds(await world.push('calc/heat', { '.compops.yml': file }), ['success'])
      const jar = await signedIn(world, 'alice', 'secret-alice')
      const page = (...set: string[]) =>
        jar.text(
          `${path}?${new URLSearchParams([['branch', 'calc/heat'], ...set.map(one => ['set', one])] as [string, string][])}`,
        )
      const wrong: readonly (readonly [string, RegExp])[] = [
        ['degre=3', /No job has a parameter degre; there are: degree, tag/],
        ['solve.time=2h', /the site allows jobs of this project at most 1 h/],
        ['cluster=falcon', /may not use a cluster/],
        ['nonsense', /Not understood/],
      ]
      for (const [set, words] of wrong) {
        const html = await page(set)
        expect(html).toMatch(words)
        expect(html).not.toContain('Run it')
      }
      expect(await jar.text(`${path}?branch=calc/none`)).toContain('GitLab has no branch calc/none')

      const fields = { ...hiddenFields(await page('degree=5')), branch: 'calc/heat', set: 'degree=5' }
      await world.treeEnds(await world.push('calc/heat', { '.compops.yml': `${file}\n` }), ['success'])
      const before = (await runsOf(world)).length
      const answer = await jar.send(path, fields)
      expect(answer.headers.get('location')).toContain('/-/launch?branch=calc')
      expect(await jar.text(answer.headers.get('location') ?? '')).toContain('The branch has gone on since')
      // The key of one form is no key of another.
      const forged = await jar.send(path, { ...fields, form_token: 'x' })
      expect(forged.status).toBe(403)
      expect((await runsOf(world)).length).toBe(before)
    }))

  it('shows a Reporter the plan and lets them run nothing; what costs much waits for approval, and says so before', () =>
    inWorld({ dashboard: 'sign in', rule: '    clusters: [laptop]\n    approval: { core_hours: 1 }' }, async world => {
      await world.treeEnds(await world.push('calc/heat', { '.compops.yml': file }), ['success'])
      const rita = world.simulator.createUser({ username: 'rita', name: 'Rita', password: 'secret-rita' })
      world.simulator.addMember(world.project.id, rita.id, 20)
      const jar = await signedIn(world, 'rita', 'secret-rita')
      const asked = `${path}?branch=calc%2Fheat&set=solve.time%3D2h`
      const html = await jar.text(asked)
      expect(html).toMatch(/It would be held.*at most 2 core-h/s)
      expect(html).toContain('needs the role Developer')
      const fields = hiddenFields(await (await signedIn(world, 'alice', 'secret-alice')).text(asked))
      const forged = { ...fields, form_token: hiddenFields(await jar.text('/')).form_token ?? '' }
      const answer = await jar.send(path, { ...forged, branch: 'calc/heat', set: 'solve.time=2h' })
      expect(await jar.text(answer.headers.get('location') ?? '')).toContain('Developer or higher')
      expect((await runsOf(world)).length).toBe(1)

      const alice = await signedIn(world, 'alice', 'secret-alice')
      const own = hiddenFields(await alice.text(asked))
      const started = await alice.send(path, { ...own, branch: 'calc/heat', set: 'solve.time=2h' })
      const place = started.headers.get('location') ?? ''
      expect(place).toMatch(/^\/runs\//)
      expect((await run(world, place.slice('/runs/'.length))).state).toBe('held')
    }))
})

describe.skipIf(!hasBrowser)('launching in a browser', () => {
  it('is a form and a button, with and without a script, light, dark and on a phone', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      await world.treeEnds(await world.push('calc/heat', { '.compops.yml': file }), ['success'])
      for (const mode of [{ script: false }, { dark: true }, { phone: true }]) {
        const { page, complaints } = await visit(mode)
        await signIn(page, world.url, 'alice', 'secret-alice')
        await page.goto(`${world.url}/projects/physics/heat`)
        await page.getByRole('link', { name: 'launch', exact: true }).click()
        await page.getByLabel('Branch').fill('calc/heat')
        await page.getByRole('button', { name: 'Show its form' }).click()
        await page.getByLabel('degree', { exact: true }).fill('7')
        await page.getByRole('button', { name: 'Preview' }).click()
        await page.getByText('degree (changed)').waitFor()
        await page.getByText('solve', { exact: true }).last().click()
        await page.getByRole('row', { name: /params\.degree 7 this form/ }).waitFor()
        if (!('script' in mode)) {
          expect(await accessibilityTroubles(page)).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await picture(page, ['launch', ...Object.keys(mode)].join('-'))
        }
        await page.getByRole('button', { name: 'Run it' }).click()
        await page.waitForURL(/\/runs\//)
        await page.getByText('is computed anew').waitFor()
        expect(complaints).toEqual([])
      }
      expect((await runsOf(world)).length).toBe(4)
    }))
})
