import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Stage } from './stage.ts'
import { setStage } from './stage.ts'

let stage: Stage
let sha: string
const EVIL = '<script>alert("x")</script>'

async function page(path: string): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${stage.sim.url}${path}`)
  return { status: response.status, text: await response.text(), headers: response.headers }
}

beforeAll(async () => {
  stage = await setStage()
  const { projectId, ids } = stage
  const files = {
    'README.md':
      '# Four dimensions\n\n[method](docs/method.md#how) ![plot](plots/a.png)\n\n```mermaid\ngraph TD\na --> b\n```\n',
    'docs/method.md': '**how**\n',
    '.compops.yml': 'jobs:\n  mesh: { script: ["<b>"] }\n',
    'plots/a.png': new Uint8Array([137, 80, 78, 71, 0]),
    [`${EVIL.replaceAll('/', '∕')}.txt`]: 'x',
  }
  sha = await stage.sim.commit({
    projectId,
    branch: 'calc/heat/4d',
    files,
    message: `finer ${EVIL}\n\nbody`,
    authorId: ids.alice,
  })
  await stage.sim.createMergeRequest({
    projectId,
    sourceBranch: 'calc/heat/4d',
    targetBranch: 'main',
    title: `Heat ${EVIL}`,
    description: `about ${EVIL} **it**`,
    authorId: ids.alice,
  })
  const bot = stage.as(stage.tokens.bot)
  const post = (name: string, state: string, description: string) =>
    bot('POST', `/projects/${projectId}/statuses/${sha}`, {
      name,
      state,
      description,
      target_url: 'http://127.0.0.1:1/runs/7',
    })
  await post('compops/mesh', 'success', 'falcon 4711')
  await post(`compops/${EVIL}`, 'running', EVIL)
  const note = await stage.sim.createNote({
    projectId,
    mrIid: 1,
    authorId: ids.alice,
    body: `**bold** ${EVIL}\n\n| a |\n|---|\n| 1 |`,
  })
  await bot('POST', `/projects/${projectId}/merge_requests/1/notes/${note.id}/award_emoji`, { name: 'eyes' })
})
afterAll(() => stage[Symbol.asyncDispose]())

const P = '/physics/sub/heat'

describe('pages', () => {
  it.each<[path: string, has: (string | RegExp)[]]>([
    ['/', ['physics/sub / ', '<strong>heat</strong>']],
    ['/physics', ['<strong>heat</strong>']],
    [P, ['calc/heat/4d', 'Open merge requests', '<h1 id="user-content-heat">Heat</h1>', '/physics/sub/heat.git']],
    [`${P}.git`, ['README.md']],
    [
      `${P}/-/tree/calc/heat/4d`,
      [
        'docs',
        '.compops.yml',
        `${P}/-/blob/calc/heat/4d/docs/method.md#how`,
        `${P}/-/raw/calc/heat/4d/plots/a.png`,
        '<svg class="mermaid"',
      ],
    ],
    [`${P}/-/tree/calc/heat/4d/docs`, ['method.md']],
    [`${P}/-/blob/calc/heat/4d/docs/method.md`, ['<p><strong>how</strong></p>']],
    [`${P}/-/blob/calc/heat/4d/.compops.yml`, ['<span class="hl-key">jobs</span>', '&#60;b&#62;', 'id="L2"']],
    [`${P}/-/commits/calc/heat/4d`, ['finer', 'Begin']],
    [`${P}/-/merge_requests`, ['!1', 'calc/heat/4d', '1 comment']],
    [
      `${P}/-/merge_requests/1`,
      [
        'compops/mesh',
        'falcon 4711',
        'href="http://127.0.0.1:1/runs/7"',
        '<strong>bold</strong>',
        '<table>',
        '👀',
        '<textarea name="body"',
        'id="note_1"',
      ],
    ],
    [`${P}/-/pipelines`, ['external', 'running']],
    [`${P}/-/pipelines/1`, ['compops/mesh']],
  ])('%s', async (path, has) => {
    const { status, text, headers } = await page(path)
    expect(status).toBe(200)
    for (const part of has)
      expect(text).toMatch(typeof part === 'string' ? new RegExp(part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : part)
    expect(text).not.toContain('<script>alert')
    expect(text.match(/<script/g)).toHaveLength(1)
    const nonce = /<script nonce="([^"]+)">/.exec(text)?.[1]
    expect(headers.get('content-security-policy')).toContain(`script-src 'nonce-${nonce}'`)
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  it('the commit, with its statuses and its changes', async () => {
    const { text } = await page(`${P}/-/commit/${sha}`)
    for (const part of ['compops/mesh', 'changed files', '<span class="hl-added">+', 'body'])
      expect(text).toContain(part)
    expect(text).not.toContain('<script>alert')
  })

  it('raw files are data and never pages', async () => {
    const image = await page(`${P}/-/raw/calc/heat/4d/plots/a.png`)
    expect(image.headers.get('content-type')).toBe('image/png')
    const text = await page(`${P}/-/raw/calc/heat/4d/.compops.yml`)
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(text.headers.get('x-content-type-options')).toBe('nosniff')
    expect(text.headers.get('content-security-policy')).toContain('sandbox')
  })

  it.each([
    '/nowhere',
    `${P}/-/merge_requests/99`,
    `${P}/-/tree/nowhere`,
    `${P}/-/blob/main/nothing`,
    `${P}/-/commit/%00`,
    '/%ff',
    `/${encodeURIComponent(EVIL)}`,
  ])('%s is not there', async path => {
    const { status, text } = await page(path)
    expect(status).toBe(404)
    expect(text).not.toContain('<script>alert')
  })
})

describe('the comment box', () => {
  const send = (fields: Record<string, string>, origin?: string) =>
    fetch(`${stage.sim.url}${P}/-/merge_requests/1/notes`, {
      method: 'POST',
      redirect: 'manual',
      headers: origin === undefined ? {} : { Origin: origin },
      body: new URLSearchParams(fields),
    })

  it('writes as the chosen person', async () => {
    const answer = await send({ user_id: String(stage.ids.reporter), body: '/compops status\r\nplease' }, stage.sim.url)
    expect(answer.status).toBe(303)
    const note = stage.sim.notes(stage.projectId, 1).at(-1)
    expect(note).toMatchObject({ authorId: stage.ids.reporter, body: '/compops status\nplease' })
    expect(answer.headers.get('location')).toBe(`${P}/-/merge_requests/1#note_${note?.id}`)
  })

  it.each([
    ['nobody', { user_id: '0', body: 'x' }, undefined, 400],
    ['an empty text', { user_id: '1', body: ' ' }, undefined, 400],
    ['a stranger', { user_id: '5', body: 'x' }, undefined, 400],
    ['another site', { user_id: '1', body: 'x' }, 'http://evil.example', 403],
  ] as const)('refuses %s', async (_who, fields, origin, status) => {
    const before = stage.sim.notes(stage.projectId, 1).length
    expect((await send(fields, origin)).status).toBe(status)
    expect(stage.sim.notes(stage.projectId, 1)).toHaveLength(before)
  })
})
