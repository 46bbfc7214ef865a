import { expect, test } from 'vitest'
import { mention, renderReply } from '../../src/render/reply.ts'
import { hostileTexts } from './hostile.ts'
import { at, completed, job, mesh, publicUrl, run, sweep } from './sample.ts'

const alice = { id: 31, username: 'alice', name: 'Alice Example' }
const noteUrl = 'https://gitlab.example.org/physics/heat/-/merge_requests/7#note_91244'

test('completed: one line', () => {
  expect(renderReply({ run: completed, person: alice, publicUrl, noteUrl })).toBe(
    '@alice **● 2 of 2 jobs completed** on falcon · `calc/heat/4d` at `1adad2a7` · took 1 h 10 m · 69 core-h · [details](https://gitlab.example.org/physics/heat/-/merge_requests/7#note_91244)\n',
  )
})

test('failed: what to try', () => {
  const failed = run([mesh, sweep], { endedAt: at('14:33:02') })
  expect(renderReply({ run: failed, person: alice, publicUrl })).toBe(
    `@alice **✕ sweep failed: out of memory** on falcon · \`calc/heat/4d\` at \`1adad2a7\` · took 8 m 02 s · 0.3 core-h · [details](${publicUrl}/runs/${failed.id})

**Try:** \`mem: 3G\` (asked 2 G; its largest task was seen at 2 G)
`,
  )
})

test('nothing was run: why', () => {
  const text = renderReply({ run: run([], { problem: 'submodule `lib` cannot be fetched' }), person: null, publicUrl })
  expect(text).toBe(
    `**✕ nothing was run** · \`calc/heat/4d\` at \`1adad2a7\` · [details](${publicUrl}/runs/0190f3c2-7d00-7abc-8def-0123456789ab)

submodule \`lib\` cannot be fetched
`,
  )
})

test.each([
  ['alice', '@alice'],
  ['a.b-c_d', '@a.b-c_d'],
  ['_x', '@_x'],
  ['all', 'all'],
  ['ALL', 'ALL'],
  ['physics/heat', 'physics/heat'],
  ['-x', '\u200b-x'],
  ['x.', 'x.'],
  ['alice @bob', 'alice @\u200bbob'],
  ['alice\n/close', 'alice /close'],
  ['', 'Alice Example'],
])('%j is mentioned as %j', (username, text) => {
  expect(mention({ ...alice, username })).toBe(text)
})

test.each(hostileTexts)('one person at most, no action, one paragraph: %j', text => {
  const failed = run([job(text, 'failed', { reason: 'exit', message: text, cluster: text })], { branch: text })
  const reply = renderReply({ run: failed, person: { id: 1, username: text, name: text }, publicUrl })
  expect(reply).not.toMatch(/^\s*\/[a-z_]+(\s|$)/im)
  // The first is the person, where the name is one.
  expect(reply.slice(1).replace(/`+.*?`+/g, '')).not.toMatch(/@\w/)
  expect(reply.trim().split('\n')).toHaveLength(1)
  expect(reply.length).toBeLessThan(3000)
})
