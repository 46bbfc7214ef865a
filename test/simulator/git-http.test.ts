import { spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Listener, Stage } from './stage.ts'
import { failure, listenToHooks, remote, setStage } from './stage.ts'

let stage: Stage
let hooks: Listener
const heat = (...args: string[]) => stage.git('-C', 'heat', ...args)
const change = async (message: string) => heat('commit', '--allow-empty', '-m', message)

beforeAll(async () => {
  stage = await setStage()
  hooks = await listenToHooks()
  await stage.git('clone', remote(stage, 'alice'), 'heat')
  stage.sim.addHook(stage.projectId, { url: hooks.url, push: true, tagPush: true })
})
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await hooks[Symbol.asyncDispose]()
})

describe('git over HTTP', () => {
  it('clones with a password and with any token, under protocol 0 and 2', async () => {
    for (const [name, secret] of [
      ['alice', 'secret'],
      ['oauth2', stage.tokens.reporter],
      ['x', stage.tokens.bot],
    ]) {
      for (const version of ['0', '2']) {
        const refs = await stage.git(
          '-c',
          `protocol.version=${version}`,
          'ls-remote',
          remote(stage, name ?? '', secret),
        )
        expect(refs).toContain('refs/heads/main')
      }
    }
  })

  it('tells a pusher where to look, and a deletion deletes', async () => {
    await heat('checkout', '-q', '-b', 'calc/heat/4d')
    await change('four dimensions')
    expect(await heat('push', 'origin', 'calc/heat/4d')).toContain(
      `remote:   ${stage.sim.url}/physics/sub/heat/-/tree/calc/heat/4d`,
    )
    await heat('push', 'origin', '--delete', 'calc/heat/4d')
    await stage.sim.idle()
    const [created, deleted] = hooks.received.slice(-2).map(r => r.body)
    expect(created).toMatchObject({ object_kind: 'push', ref: 'refs/heads/calc/heat/4d', before: '0'.repeat(40) })
    expect(created?.commits).toMatchObject([{ title: 'four dimensions', added: [], modified: [], removed: [] }])
    expect(deleted).toMatchObject({
      ref: 'refs/heads/calc/heat/4d',
      after: '0'.repeat(40),
      checkout_sha: null,
      commits: [],
    })
  })

  it('keeps hostile names as names', async () => {
    for (const name of ['$(touch${IFS}owned)', 'a;b', "q'uote", '"dq"', '-rf', 'ü/ß', 'x&y|z']) {
      await heat('push', '-q', 'origin', `HEAD:refs/heads/${name}`)
      await stage.sim.idle()
      expect(hooks.received.at(-1)?.body.ref).toBe(`refs/heads/${name}`)
      const one = await stage.as(stage.tokens.bot)(
        'GET',
        `/projects/${stage.projectId}/repository/branches/${encodeURIComponent(name)}`,
      )
      expect(one).toMatchObject({ status: 200, body: { name } })
      await heat('push', '-q', 'origin', `:refs/heads/${name}`)
    }
  })

  it('sends push options with the hook', async () => {
    await change('evidence')
    await heat('push', '-q', '-o', 'ci.skip', '-o', 'ci.variable=A=b', 'origin', 'HEAD:refs/heads/evidence')
    await stage.sim.idle()
    expect(hooks.received.at(-1)?.body.push_options).toEqual({ ci: { skip: true, variable: { 'A=b': 1 } } })
  })

  it('tells an annotated tag with the commit it stands for', async () => {
    await heat('tag', '-a', 'v1', '-m', 'first')
    await heat('push', '-q', 'origin', 'v1')
    await stage.sim.idle()
    const { headers, body } = hooks.received.at(-1) ?? {}
    expect(headers?.['x-gitlab-event']).toBe('Tag Push Hook')
    const commit = (await heat('rev-parse', 'HEAD')).trim()
    const tag = (await heat('rev-parse', 'v1')).trim()
    expect(body).toMatchObject({ object_kind: 'tag_push', ref: 'refs/tags/v1', after: tag, checkout_sha: commit })
  })

  it('sends no push hook for more than three branches at once', async () => {
    const before = hooks.received.length
    await heat('push', '-q', 'origin', ...['a', 'b', 'c', 'd'].map(name => `HEAD:refs/heads/four/${name}`))
    await stage.sim.idle()
    expect(hooks.received.length).toBe(before)
    await heat('push', '-q', 'origin', ...['a', 'b', 'c'].map(name => `:refs/heads/four/${name}`))
    await stage.sim.idle()
    expect(hooks.received.length).toBe(before + 3)
  })

  it('tells the last 20 commits of many, oldest first', async () => {
    for (let n = 1; n <= 23; n += 1) await change(`step ${n}`)
    await heat('push', '-q', 'origin', 'HEAD:refs/heads/many')
    await stage.sim.idle()
    const body = hooks.received.at(-1)?.body ?? { object_kind: 'nothing' }
    const titles = (body.commits as { title: string }[]).map(c => c.title)
    expect(titles).toHaveLength(20)
    expect([titles[0], titles.at(-1)]).toEqual(['step 4', 'step 23'])
    expect(body.total_commits_count).toBeGreaterThanOrEqual(23)
  })

  it('names the files a push touched, whatever they are called', async () => {
    await mkdir(join(stage.directory, 'heat/a b'), { recursive: true })
    for (const path of ['a b/ü.txt', 'new\nline', '"quoted"']) await writeFile(join(stage.directory, 'heat', path), 'x')
    await heat('add', '-A')
    await heat('commit', '-q', '-m', 'names')
    await heat('push', '-q', 'origin', 'HEAD:refs/heads/names')
    await stage.sim.idle()
    const commits = hooks.received.at(-1)?.body.commits as { title: string; added: string[] }[]
    expect(commits.at(-1)?.added.toSorted()).toEqual(['"quoted"', 'a b/ü.txt', 'new\nline'])
  })
})

describe('what git refuses', () => {
  const refusals: [who: string, what: string[], said: RegExp][] = [
    ['nobody', ['ls-remote', 'http'], /Authentication failed|could not read Username/],
    ['alice:wrong', ['ls-remote'], /Authentication failed/],
    ['stranger:secret', ['ls-remote'], /not found/],
    ['guest:secret', ['ls-remote'], /403/],
    ['reporter:secret', ['push', 'HEAD:refs/heads/x'], /403/],
    [
      'project_1_bot_1:secret',
      ['push', 'HEAD:refs/heads/main'],
      /GitLab: You are not allowed to push code to protected branches on this project\.[\s\S]*\[remote rejected\] HEAD -> main \(pre-receive hook declined\)/,
    ],
    ['alice:secret', ['push', ':refs/heads/main'], /GitLab: The default branch of a project cannot be deleted\./],
    [
      'alice:secret',
      ['push', '--force', 'HEAD~1:refs/heads/locked'],
      /GitLab: You are not allowed to force push code to a protected branch on this project\./,
    ],
    ['alice:secret', ['push', 'HEAD:refs/merge-requests/1/head'], /deny updating a hidden ref/],
  ]
  beforeAll(async () => {
    stage.sim.protectBranch(stage.projectId, 'lock*')
    await heat('push', '-q', 'origin', 'HEAD:refs/heads/locked')
  })

  it.each(refusals)('%s %j', async (who, [command = '', ...rest], said) => {
    const url =
      who === 'nobody'
        ? `${stage.sim.url}/physics/sub/heat.git`
        : remote(stage, ...(who.split(':') as [string, string]))
    const args =
      command === 'push'
        ? ['-C', 'heat', 'push', ...rest.filter(r => r.startsWith('--')), url, ...rest.filter(r => !r.startsWith('--'))]
        : ['ls-remote', url]
    expect(await failure(stage.git(...args))).toMatch(said)
  })

  it('a token without the right scope', async () => {
    const reader = stage.sim.createToken(stage.ids.bot, { scopes: ['read_repository'] }).token
    expect(await stage.git('ls-remote', remote(stage, 'x', reader))).toContain('refs/heads/main')
    expect(await failure(heat('push', remote(stage, 'x', reader), 'HEAD:refs/heads/y'))).toMatch(
      /Authentication failed/,
    )
    stage.sim.revokeToken(reader)
    expect(await failure(stage.git('ls-remote', remote(stage, 'x', reader)))).toMatch(/Authentication failed/)
  })

  it('but a protected branch may go forward, and another may be rewritten', async () => {
    await change('forward')
    expect(await heat('push', 'origin', 'HEAD:refs/heads/locked')).toContain('-> locked')
    await heat('push', '-q', 'origin', 'HEAD:refs/heads/free')
    expect(await heat('push', '--force', 'origin', 'HEAD~2:refs/heads/free')).toContain('(forced update)')
  })
})

describe.skipIf(spawnSync('git', ['lfs', 'version']).status !== 0)('git lfs', () => {
  it('uploads and downloads', async () => {
    const lfs = (...args: string[]) =>
      stage.git('-c', 'filter.lfs.process=git-lfs filter-process', '-c', 'filter.lfs.required=true', ...args)
    await heat('lfs', 'install', '--local')
    await writeFile(join(stage.directory, 'heat/.gitattributes'), '*.bin filter=lfs diff=lfs merge=lfs -text\n')
    await writeFile(join(stage.directory, 'heat/data.bin'), 'a large mesh')
    await heat('add', '-A')
    await heat('commit', '-q', '-m', 'lfs')
    await heat('push', '-q', 'origin', 'HEAD:refs/heads/lfs')
    expect(await stage.sim.readFile(stage.projectId, 'lfs', 'data.bin')).toContain(
      'version https://git-lfs.github.com/spec/v1',
    )
    await lfs('clone', '-q', '--branch', 'lfs', remote(stage, 'oauth2', stage.tokens.reporter), 'again')
    expect(await readFile(join(stage.directory, 'again/data.bin'), 'utf8')).toBe('a large mesh')
  })
})
