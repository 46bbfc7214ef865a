import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Config, readConfig } from '../../src/config/index.ts'
import { setUpProject } from '../../src/setup/setup.ts'
import type { ProtectedBranch } from '../../src/simulator/types.ts'
import { type Stage, setStage } from '../simulator/stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await setStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

const secret = 'webhook-secret-of-the-test'
const here = 'https://compops.example.org/webhooks/gitlab'
const evidence = 'compops/evidence'

function configured(rule = ''): Config {
  const read = readConfig(
    `public_url: https://compops.example.org
gitlab: { url: ${stage.sim.url}, token: "\${TOKEN}", webhook_secret: "\${SECRET}" }
clusters: { laptop: { scheduler: local, root: ${stage.directory}/cluster } }
projects: [{ path: group/*, clusters: [laptop]${rule} }]
`,
    'compops.config.yml',
    { TOKEN: stage.tokens.bot, SECRET: secret },
  )
  if ('mistakes' in read) throw new Error(read.mistakes.join('\n'))
  return read.config
}

let count = 0
/** A project of its own, with alice as its Maintainer and our bot as a Developer. */
async function project() {
  count += 1
  const { sim, ids, tokens } = stage
  const { id, fullPath } = sim.createProject({ path: `group/p${count}` })
  sim.addMember(id, ids.alice, 40)
  sim.addMember(id, ids.bot, 30)
  const author = { projectId: id, message: 'Begin', authorId: ids.alice }
  await sim.commit({ ...author, branch: 'main', files: { 'a.txt': 'a' } })
  const call = stage.as(tokens.alice)
  return {
    id,
    hooks: () => sim.hooks(id).map(({ url, token }) => ({ url, token })),
    addHook: (url: string) => sim.addHook(id, { url, token: 'of another', push: true }),
    protect: (rule: Partial<ProtectedBranch>, name = evidence) => sim.protectBranch(id, name, rule),
    rules: async () => (await call<{ name: string }[]>('GET', `/projects/${id}/protected_branches`)).body,
    changes: () =>
      sim
        .arrivals()
        .filter(({ method, path }) => method !== 'GET' && path.includes(`/projects/${id}/protected_branches`))
        .map(({ method }) => method),
    setUp: (replace: string | null = null, rule = '') =>
      setUpProject(configured(rule), fullPath, tokens.alice, { replace }),
  }
}
type Project = Awaited<ReturnType<typeof project>>
const branchOf = async (it: Project, ...args: Parameters<Project['setUp']>) => (await it.setUp(...args))[1]!
const webhookOf = async (it: Project, ...args: Parameters<Project['setUp']>) => (await it.setUp(...args))[0]!

test.each<[string, (bot: number) => Partial<ProtectedBranch>]>([
  ['whom it names', bot => ({ pushLevel: 0, pushUserIds: [bot] })],
  ['whose role may', () => ({ pushLevel: 30, mergeLevel: 40 })],
])('a rule that lets our user push is in order, and left alone: %s', async (_, rule) => {
  const it = await project()
  it.protect(rule(stage.ids.bot))
  const before = await it.rules()
  expect(await branchOf(it)).toMatchObject({ did: 'in order' })
  expect(it.changes()).toEqual([])
  expect(await it.rules()).toEqual(before)
})

test('a rule that shuts our user out names it besides, where GitLab is licensed for that; the rest of the rule stays', async () => {
  const it = await project()
  it.protect({ pushLevel: 0, pushUserIds: [stage.ids.alice], mergeLevel: 40 })
  stage.sim.settings.protectionForUsers = 'licensed'
  try {
    expect(await branchOf(it)).toMatchObject({
      did: 'mended',
      sentence: `The branch ${evidence} is protected: project_1_bot_1 may push to it.`,
    })
  } finally {
    stage.sim.settings.protectionForUsers = 'refused'
  }
  expect(it.changes()).toEqual(['PATCH'])
  expect((await it.rules()).find(({ name }) => name === evidence)).toMatchObject({
    push_access_levels: [{ access_level: 0, user_id: null }, { user_id: stage.ids.alice }, { user_id: stage.ids.bot }],
    merge_access_levels: [{ access_level: 40 }],
  })
})

test.each(['refused', 'ignored'] as const)('where that is %s the rule stays, and a person is told', async how => {
  const it = await project()
  it.protect({ pushLevel: 40 })
  const before = await it.rules()
  stage.sim.settings.protectionForUsers = how
  try {
    const said = await branchOf(it)
    expect(said.did).toBe('undone')
    expect(said.sentence).toContain('does not let project_1_bot_1 push, and GitLab does not let us name a user')
  } finally {
    stage.sim.settings.protectionForUsers = 'refused'
  }
  expect(await it.rules()).toEqual(before)
})

test('a GitLab that fails meanwhile leaves the branch protected', async () => {
  const it = await project()
  it.protect({ pushLevel: 0 })
  const before = await it.rules()
  const heal = stage.sim.faults.respond({ method: 'PATCH', path: /protected_branches/ }, { status: 502 })
  const [webhook, branch] = await it.setUp()
  heal()
  expect(branch).toMatchObject({ did: 'undone', sentence: expect.stringContaining('502') })
  expect(webhook).toMatchObject({ did: 'made' })
  expect(it.changes()).toEqual(['PATCH'])
  expect(await it.rules()).toEqual(before)
})

test('force pushes are switched off in place; those of a wildcard are told', async () => {
  const it = await project()
  it.protect({ pushLevel: 30, allowForcePush: true })
  expect(await branchOf(it)).toMatchObject({
    did: 'mended',
    sentence: expect.stringContaining('nobody may rewrite it'),
  })
  expect(it.changes()).toEqual(['PATCH'])
  it.protect({ pushLevel: 30, allowForcePush: true }, 'compops/*')
  expect(await branchOf(it)).toMatchObject({ did: 'undone', sentence: expect.stringContaining('for compops/*') })
  expect(it.changes()).toEqual(['PATCH'])
})

test('without a rule one is made; one for the default branch is not ours to touch', async () => {
  const it = await project()
  expect(await branchOf(it)).toMatchObject({ did: 'made' })
  expect(it.changes()).toEqual(['POST'])
  const other = await project()
  expect(await branchOf(other, null, ', evidence: { branch: main }')).toMatchObject({
    did: 'undone',
    sentence: expect.stringContaining('main is the default branch'),
  })
  expect(other.changes()).toEqual([])
})

test("another service's webhook stays, until its address is named", async () => {
  const it = await project()
  const there = 'https://staging.example.org/webhooks/gitlab'
  it.addHook('https://chat.example.org/hidden-key')
  it.addHook(there)
  const made = await webhookOf(it)
  expect(made.did).toBe('made')
  expect(made.sentence).toContain(`Left as it is: ${there}.`)
  expect(made.sentence).not.toContain('hidden-key')
  expect(it.hooks()).toEqual(
    expect.arrayContaining([
      { url: there, token: 'of another' },
      { url: here, token: secret },
    ]),
  )

  const moved = await project()
  moved.addHook(there)
  expect(await webhookOf(moved, 'https://typo.example.org/webhooks/gitlab')).toMatchObject({
    did: 'undone',
    sentence: expect.stringContaining(`lead to ${there}`),
  })
  expect(await webhookOf(moved, there)).toMatchObject({
    did: 'mended',
    sentence: expect.stringContaining(`it led to ${there}`),
  })
  expect(moved.hooks()).toEqual([{ url: here, token: secret }])
  expect(await webhookOf(moved, there)).toMatchObject({ did: 'in order' })
})

test('what GitLab repeats of our secrets is not said', async () => {
  const it = await project()
  const { tokens, sim } = stage
  const heal = sim.faults.respond(
    { method: 'POST', path: /\/hooks/ },
    {
      status: 422,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ error: `token ${secret} ${tokens.bot} ${tokens.alice} is no good` }),
    },
  )
  const { did, sentence } = await webhookOf(it)
  heal()
  expect(did).toBe('undone')
  expect(sentence).toContain('is no good')
  for (const value of [secret, tokens.bot, tokens.alice]) expect(sentence).not.toContain(value)
})
