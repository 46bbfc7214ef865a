import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { openCluster } from '../../src/cluster/cluster.ts'
import { readConfig } from '../../src/config/index.ts'
import { examine } from '../../src/doctor/doctor.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type Stage, setStage } from '../simulator/stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await setStage()
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    stage.sim.addMember(stage.sim.createProject({ path: `group/${name}` }).id, stage.ids.bot, 30)
})
afterAll(() => stage[Symbol.asyncDispose]())

const text = () => `public_url: https://compops.example.org
gitlab: { url: ${stage.sim.url}, token: "\${TOKEN}", webhook_secret: webhook-secret-of-the-test }
clusters: { laptop: { scheduler: local, root: ${stage.directory}/cluster } }
projects:
  - { path: physics/sub/heat, clusters: [laptop] }
  - { path: group/*, clusters: [laptop] }
`
const env = () => ({ ...process.env, TOKEN: stage.tokens.bot })

async function look(patience: number) {
  const read = readConfig(text(), 'compops.config.yml', env())
  if ('mistakes' in read) throw new Error(read.mistakes.join('\n'))
  return examine(read.config, { only: null, maintainerToken: null, now: () => new Date(), patience })
}

test('a project that hangs is told by itself, and the others are seen', async () => {
  const heal = stage.sim.faults.respond({ path: /\/projects\/group%2Fb(\?|$)/i }, { hang: true })
  try {
    const findings = await look(8_000)
    expect(findings.filter(({ about }) => about === 'group/b')).toEqual([
      expect.objectContaining({ level: 'error', check: 'project', sentence: 'No answer within 8 s.' }),
    ])
    for (const path of ['group/a', 'group/c', 'group/f', 'physics/sub/heat'])
      expect(findings).toContainEqual(expect.objectContaining({ about: path, level: 'ok', check: 'role' }))
  } finally {
    heal()
  }
})

test('how long a login shell takes to come up is seen, since each job begins with one', async () => {
  const home = join(stage.directory, 'slow-home')
  await mkdir(home)
  await writeFile(join(home, '.bash_profile'), 'sleep 2\n')
  const remote = createLocalRemote({ env: { PATH: process.env.PATH, HOME: home } })
  const cluster = openCluster({ name: 'here', dialect: dialectOf('local'), remote, root: join(home, 'root') })
  try {
    const { place } = await cluster.examine({ defaults: {}, sessions: false })
    expect(place?.loginSeconds).toBeGreaterThanOrEqual(2)
  } finally {
    await cluster.close()
  }
})

test('projects that cannot be listed are an error, those that are named are seen, and no token is said', async () => {
  const heal = stage.sim.faults.respond(
    { method: 'GET', path: /\/projects\?/ },
    {
      status: 403,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: `no list for ${stage.tokens.bot} and webhook-secret-of-the-test` }),
    },
  )
  const configFile = join(stage.directory, 'compops.config.yml')
  await writeFile(configFile, text())
  let said = ''
  const write = (words: string) => (said += words)
  try {
    const io = { stdout: { write }, stderr: { write }, env: env() }
    expect(await dispatch(['doctor', '--json', '--config', configFile], io)).toBe(1)
  } finally {
    heal()
  }
  const findings: unknown = JSON.parse(said)
  expect(findings).toContainEqual(
    expect.objectContaining({
      ...{ level: 'error', about: 'GitLab', check: 'projects' },
      sentence: expect.stringMatching(
        /^The projects of group\/\* cannot be listed: .*no list for \[token\] and \[token\]/,
      ),
    }),
  )
  expect(findings).toContainEqual(expect.objectContaining({ about: 'physics/sub/heat', check: 'role' }))
  expect(said).not.toContain(stage.tokens.bot)
  expect(said).not.toContain('webhook-secret-of-the-test')
})
