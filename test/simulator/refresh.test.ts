import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { expect, it } from 'vitest'
import { setStage } from './stage.ts'

const BROWSER = '/usr/bin/chromium'

it.skipIf(!existsSync(BROWSER))('a merge request page takes news without losing what the reader is doing', async () => {
  await using stage = await setStage()
  const { sim, projectId, ids } = stage
  await sim.commit({ projectId, branch: 'b', files: { b: 'x' }, message: 'b', authorId: ids.alice })
  await sim.createMergeRequest({ projectId, sourceBranch: 'b', targetBranch: 'main', title: 'B', authorId: ids.alice })
  const body = 'first\n\n<details><summary>log</summary>\n\nthe last lines\n\n</details>\n'
  const note = await sim.createNote({ projectId, mrIid: 1, authorId: ids.bot, body })

  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] })
  try {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    await page.goto(`${sim.url}/physics/sub/heat/-/merge_requests/1`)
    await page.getByText('log', { exact: true }).click()
    await page.getByLabel('comment').fill('half a sentence')
    sim.editNote({ projectId, mrIid: 1, noteId: note.id, userId: ids.bot, body: body.replace('first', 'second') })
    await page.getByText('second', { exact: true }).waitFor()
    expect(await page.getByText('the last lines').isVisible()).toBe(true)
    expect(await page.getByLabel('comment').inputValue()).toBe('half a sentence')
    await page.getByRole('button', { name: 'Comment' }).click()
    await page.getByText('half a sentence').waitFor()
    expect(sim.notes(projectId, 1).at(-1)).toMatchObject({ authorId: ids.alice, body: 'half a sentence' })
    expect(complaints).toEqual([])
  } finally {
    await browser.close()
  }
})
