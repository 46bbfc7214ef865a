import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeBrowser, hasBrowser, picture, signIn, visit } from '../support/browser.ts'
import { falconOn, type Lab, labDown, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { inWorld } from '../support/world.ts'

// The pages over a real Slurm: what a person sees of a job there, its log while it goes on, an act that the cluster answers, and what the cluster has.
let lab: Lab
beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)
afterAll(async () => {
  await closeBrowser()
  await labDown()
})

const file = (gate: string) => `jobs:
  solve:
    time: 5m
    script:
      - echo "step 40%"
      - until [ -e ${gate} ]; do sleep 0.2; done
      - echo the end
`

describe.skipIf(!hasBrowser)('the pages over a real Slurm', () => {
  it('show a job and its log as they go on, what the cluster has, and cancel on it', () =>
    inWorld(
      {
        dashboard: 'sign in',
        clusters: falconOn(lab, ['poll_interval: 5s', 'defaults: { partition: main, time: 5m }']),
        rule: '    clusters: [falcon]',
      },
      async world => {
        const { page, complaints } = await visit()
        await signIn(page, world.url, 'alice', 'secret-alice')
        const gate = join(lab.root, 'gate')
        const first = await world.push('calc/heat', { '.compops.yml': file(gate) })
        await page.goto(`${world.url}/jobs`)
        await page.getByRole('row', { name: /solve.*calc\/heat.*running/ }).waitFor()
        await page.getByRole('link', { name: 'solve', exact: true }).click()
        const log = page.getByLabel('Log', { exact: true })
        await log.getByText('step 40%').waitFor()
        await writeFile(gate, '')
        await log.getByText('the end').waitFor()
        await page.locator('.head .state', { hasText: 'completed' }).waitFor()
        await picture(page, 'slurm-job')
        await world.treeEnds(first, ['success'], 120)

        await page.goto(`${world.url}/clusters`)
        await page.getByText('main', { exact: true }).first().waitFor()
        await picture(page, 'slurm-clusters')

        const second = await world.push('calc/other', { '.compops.yml': file(join(lab.root, 'never')) })
        await page.goto(`${world.url}/jobs`)
        await page
          .getByRole('row', { name: /solve.*calc\/other.*running/ })
          .getByRole('link', { name: 'solve' })
          .click()
        await page.getByRole('link', { name: 'Cancel' }).click()
        await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
        await page.getByText('Cancelled: solve.').waitFor()
        await world.treeEnds(second, ['canceled'], 120)
        expect(complaints).toEqual([])
      },
    ))
})
