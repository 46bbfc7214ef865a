import { afterAll, describe, expect, it, vi } from 'vitest'
import { CompareAnswer } from '../../src/model/api.ts'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { signedIn } from '../support/session.ts'
import { inWorld } from '../support/world.ts'

// Runs beside each other: which is better, what was asked differently, and what a sweep looks like.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const path = '/projects/physics/heat/-/compare'
const heat = (degree: number, rmse: number) => `jobs:
  solve:
    params: { degree: ${degree} }
    metrics: { file: m.json, better: { rmse: lower }, noise: 1% }
    script: ['echo "{\\"rmse\\": ${rmse}}" > m.json']
`
const sweep = `jobs:
  sweep:
    parallel: { matrix: [{ N: [1, 2, 4, 8] }] }
    metrics: m.json
    script: ['echo "{\\"error\\": 0.$N, \\"cells\\": $((N * 100))}" > m.json']
  many:
    array: 1-3
    metrics: m.json
    script: ['echo "{\\"energy\\": $COMPOPS_ARRAY_INDEX}" > "$COMPOPS_OUTPUT_DIR/m.json"']
`

describe.concurrent('comparing', () => {
  it('shows metrics of branches and runs against the first, and parameters that differ; a run of another project is not there', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      await world.treeEnds(await world.push('calc/base', { '.compops.yml': heat(4, 0.5) }), ['success'])
      await world.treeEnds(await world.push('calc/fine', { '.compops.yml': heat(8, 0.25) }), ['success'])
      await world.treeEnds(await world.push('calc/bad', { '.compops.yml': heat(2, 1) }), ['success'])
      const jar = await signedIn(world, 'alice', 'secret-alice')
      expect(await jar.text(path)).toContain('Choose what to compare')
      const html = await jar.text(`${path}?of=calc/base&of=calc/fine&of=calc/bad&of=calc/none`)
      expect(html).toMatch(/0\.25<span class="under v-better">better by 50 %/)
      expect(html).toMatch(/1<span class="under v-worse">worse by 100 %/)
      expect(html).toMatch(/solve: params\.degree.*>4<.*>8<.*>2</s)
      expect(html).toContain('Neither a run of this project nor a branch that has one: <bdi>calc/none</bdi>')
      expect(html).toMatch(/aria-label="rmse over degree, 3 points/)
      const upside = await jar.text(`${path}?of=calc/base&of=calc/fine&x=metrics.rmse&y=metrics.rmse`)
      expect(upside).toMatch(/aria-label="rmse over rmse, 2 points/)

      const token = world.simulator.createToken(world.alice.id, { scopes: ['read_api'] }).token
      const ask = (query: string) =>
        fetch(`${world.url}/api/v1/projects/physics%2Fheat/compare${query}`, {
          headers: { authorization: `Bearer ${token}` },
        })
      const told = CompareAnswer.parse(await (await ask('?of=calc/base&of=calc/fine')).json())
      expect(told.metrics).toEqual([
        {
          name: 'rmse',
          values: [
            { value: 0.5, against_first: null },
            { value: 0.25, against_first: 'better' },
          ],
        },
      ])
      expect(told.asked).toEqual([{ name: 'solve: params.degree', values: ['4', '8'] }])
      expect(told.points.map(one => one.values)).toMatchObject([
        { 'params.degree': 4, 'metrics.rmse': 0.5 },
        { 'params.degree': 8, 'metrics.rmse': 0.25 },
      ])
      expect((await ask('?of=calc/none')).status).toBe(404)
      expect((await ask('')).status).toBe(400)

      const other = world.simulator.createProject({ path: 'physics/wave' })
      world.simulator.addMember(other.id, world.alice.id, 40)
      expect((await jar.ask('/projects/physics/wave/-/compare?of=calc/base')).status).toBe(404)
      const sam = world.simulator.createUser({ username: 'sam', name: 'Sam', password: 'secret-sam' })
      expect(sam.id).toBeGreaterThan(0)
      expect((await (await signedIn(world, 'sam', 'secret-sam')).ask(`${path}?of=calc/base`)).status).toBe(404)
    }))
})

describe.skipIf(!hasBrowser)('a sweep in a browser', () => {
  it('is drawn by the server: with and without a script, light, dark, on a phone and on paper', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      await world.treeEnds(await world.push('calc/sweep', { '.compops.yml': sweep }), ['success'])
      for (const mode of [{ script: false }, {}, { dark: true }, { phone: true }]) {
        const { page, complaints } = await visit(mode)
        await signIn(page, world.url, 'alice', 'secret-alice')
        await page.goto(`${world.url}${path}`)
        await page.getByLabel('calc/sweep').check()
        await page.getByRole('button', { name: 'Compare' }).click()
        await page.getByLabel('Across').selectOption({ label: 'N' })
        await page.getByLabel('Up').selectOption({ label: 'error' })
        await page.getByRole('button', { name: 'Compare' }).click()
        await page.getByRole('img', { name: /error over N, 4 points: N from 1 to 8/ }).waitFor()
        expect(page.url()).toContain('x=params.N&y=metrics.error')
        await page.getByText('The points as a table').click()
        await page.getByRole('row', { name: /sweep-4 4 0\.4/ }).waitFor()
        if (!('script' in mode)) {
          expect(await accessibilityTroubles(page)).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await picture(page, ['compare', ...Object.keys(mode)].join('-'))
        } else {
          await page.emulateMedia({ media: 'print' })
          expect(await page.getByRole('button', { name: 'Compare' }).isVisible()).toBe(false)
          expect(await page.getByRole('img', { name: /error over N/ }).isVisible()).toBe(true)
          await picture(page, 'compare-printed')
        }
        await page.goto(`${world.url}${path}?of=calc/sweep&x=task&y=metrics.energy`)
        await page.getByRole('img', { name: /energy over task, 3 points/ }).waitFor()
        expect(complaints).toEqual([])
      }
    }))
})
