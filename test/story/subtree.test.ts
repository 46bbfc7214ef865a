import { afterAll, describe, expect, it, vi } from 'vitest'
import { loadTree } from '../../src/store/tree.ts'
import { accessibilityTroubles, closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { patience } from '../support/patience.ts'
import { hiddenFields, signedIn } from '../support/session.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What is stale is computed again from the page: the branch, and then what hangs below it.
vi.setConfig({ testTimeout: 240_000 * patience })
afterAll(closeBrowser)

const file = (text: string, parent: string | null = null) => ({
  '.compops.yml': `${parent === null ? '' : `parent: ${parent}\n`}jobs:\n  solve:\n    script: ["${text}"]\n`,
})

async function nodes(world: World) {
  return new Map((await loadTree(world.service.context.db, world.project.id)).map(node => [node.branch, node]))
}

/** `calc/heat`, `calc/fine` below it, `calc/finer` below that, and one aside; then the first has a newer result. */
async function staleTree(world: World) {
  await world.treeEnds(await world.push('calc/heat', file('echo 1')), ['success'])
  await world.treeEnds(await world.push('calc/fine', file('echo 2', 'calc/heat')), ['success'])
  await world.treeEnds(await world.push('calc/finer', file('echo 3', 'calc/fine')), ['success'])
  await world.treeEnds(await world.push('calc/aside', file('echo 4', 'calc/heat')), ['success'])
  await world.treeEnds(await world.push('calc/heat', file('echo 5')), ['success'])
  const before = await nodes(world)
  await until('the branches to be stale', async () => {
    const now = await nodes(world)
    return ['calc/fine', 'calc/finer', 'calc/aside'].every(name => now.get(name)?.stale != null)
  })
  return before
}

const followed = (world: World, before: Awaited<ReturnType<typeof nodes>>, branch: string) =>
  until(
    `${branch} to be computed again`,
    async () => {
      const now = (await nodes(world)).get(branch)
      return (
        now?.run != null &&
        now.run.id !== before.get(branch)?.run?.id &&
        now.run.state === 'completed' &&
        now.stale === null
      )
    },
    60,
  )

describe.concurrent('a stale subtree', () => {
  it('is computed again from where a person says, each branch once its parent has its result, and nothing aside', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const before = await staleTree(world)
      const jar = await signedIn(world, 'alice', 'secret-alice')
      const page = await jar.text('/projects/physics/heat')
      const run = before.get('calc/fine')!.run!.id
      expect(page).toContain(`/runs/${run}/act/rerun-subtree?`)
      const question = await jar.text(`/runs/${run}/act/rerun-subtree?back=/projects/physics/heat`)
      expect(question).toContain('then each branch below it')
      const answer = await jar.send(`/runs/${run}/act/rerun-subtree`, hiddenFields(question))
      expect(answer.headers.get('location')).toBe('/projects/physics/heat')
      expect(await jar.text('/projects/physics/heat')).toContain('One branch below it follows')
      await followed(world, before, 'calc/fine')
      await followed(world, before, 'calc/finer')
      const after = await nodes(world)
      expect(after.get('calc/aside')?.run?.id).toBe(before.get('calc/aside')?.run?.id)
      expect(after.get('calc/heat')?.run?.id).toBe(before.get('calc/heat')?.run?.id)

      // It follows once: the next result of its parent only marks it, as its file has it.
      await world.treeEnds(await world.push('calc/fine', file('echo 6', 'calc/heat')), ['success'])
      await until('it to be stale again', async () => (await nodes(world)).get('calc/finer')?.stale != null)
      expect((await nodes(world)).get('calc/finer')?.run?.id).toBe(after.get('calc/finer')?.run?.id)

      // Nothing that is not stale, and no Reporter, has the button.
      expect((await jar.ask(`/runs/${after.get('calc/heat')!.run!.id}/act/rerun-subtree`)).status).toBe(409)
      const rita = world.simulator.createUser({ username: 'rita', name: 'Rita', password: 'secret-rita' })
      world.simulator.addMember(world.project.id, rita.id, 20)
      expect(await (await signedIn(world, 'rita', 'secret-rita')).text('/projects/physics/heat')).not.toContain(
        'act/rerun',
      )
    }))
})

describe.skipIf(!hasBrowser)('the tree in a browser', () => {
  it('is a list and a picture, light, dark and on a phone, folds by the keyboard, and computes a subtree again', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const before = await staleTree(world)
      for (const mode of [{}, { dark: true }, { phone: true }]) {
        const { page, complaints } = await visit(mode)
        await signIn(page, world.url, 'alice', 'secret-alice')
        await page.goto(`${world.url}/projects/physics/heat`)
        await page.getByRole('link', { name: 'calc/finer', exact: true }).waitFor()
        expect(await accessibilityTroubles(page)).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
        await picture(page, ['tree', ...Object.keys(mode)].join('-'))
        await page.getByRole('button', { name: 'What is below calc/fine', exact: true }).focus()
        await page.keyboard.press('Enter')
        await page.getByRole('link', { name: 'calc/finer', exact: true }).waitFor({ state: 'hidden' })
        await page.getByRole('link', { name: 'as a picture' }).click()
        await page.getByRole('group', { name: /The tree: 4 branches/ }).waitFor()
        expect(await accessibilityTroubles(page)).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
        await picture(page, ['tree-picture', ...Object.keys(mode)].join('-'))
        await page.getByLabel('Search').fill('aside')
        await page.waitForURL(/search=aside/)
        await page.getByRole('group', { name: /The tree: 2 branches/ }).waitFor()
        expect(complaints).toEqual([])
      }
      const { page } = await visit()
      await signIn(page, world.url, 'alice', 'secret-alice')
      await page.goto(`${world.url}/projects/physics/heat`)
      await page.getByRole('link', { name: 'Rerun from here: calc/fine', exact: true }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Rerun from here' }).click()
      await page.getByText('One branch below it follows').waitFor()
      await followed(world, before, 'calc/finer')
    }))
})
