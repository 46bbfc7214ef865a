import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { projectOf, readClone, readRemote } from '../../src/cli/person/clone.ts'
import { isPersons } from '../../src/cli/person/person.ts'
import { readSettings, tokenOfGlab } from '../../src/cli/person/settings.ts'
import { compops } from '../support/compops.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-person-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(path: string, text: string, mode = 0o600) {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
  await chmod(join(folder, path), mode)
  return join(folder, path)
}

describe('in a clone the project is known by its remote', () => {
  const place = (address: string) => {
    const remote = readRemote('origin', address)
    return remote === null ? null : `${remote.host} ${remote.path}`
  }

  test('however the address is written', () => {
    for (const address of [
      'git@gitlab.example.org:physics/heat.git',
      'gitlab.example.org:physics/heat',
      'ssh://git@gitlab.example.org:2222/physics/heat.git',
      'https://gitlab.example.org/physics/heat.git',
      'https://alice:secret@GitLab.example.org/physics/heat/',
    ])
      expect([address, place(address)]).toEqual([address, 'gitlab.example.org physics/heat'])
    for (const none of ['/srv/git/heat.git', '../heat', 'file:///srv/git/heat.git', '', 'C:/git/heat'])
      expect([none, place(none)]).toEqual([none, null])
  })

  test('also where GitLab lies below a folder, and where another remote comes first', () => {
    const remotes = ['https://github.example.com/a/b', 'https://example.org/gitlab/physics/heat.git'].map(
      (address, i) => readRemote(`r${i}`, address)!,
    )
    const clone = { remotes, branch: 'calc/heat', head: null, folder: '/' }
    expect(projectOf(clone, 'https://example.org/gitlab')).toBe('physics/heat')
    expect(projectOf(clone, 'https://gitlab.example.org')).toBeNull()
  })

  test('the branch is called as it is pushed, and one that was never pushed as it is here', async () => {
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: join(folder, 'clone') })
    execFileSync('git', ['init', '-q', '--bare', join(folder, 'origin.git')])
    execFileSync('git', ['clone', '-q', join(folder, 'origin.git'), join(folder, 'clone')], { stdio: 'ignore' })
    git('checkout', '-q', '-b', 'calc/heat')
    git('commit', '-q', '--allow-empty', '-m', 'one')
    expect((await readClone(join(folder, 'clone')))?.branch).toBe('calc/heat')
    git('push', '-q', 'origin', 'HEAD:calc/heat')
    git('checkout', '-q', '-b', 'mine', '--track', 'origin/calc/heat')
    git('config', 'push.default', 'upstream')
    git('remote', 'set-url', 'origin', 'git@gitlab.example.org:physics/heat.git')
    const clone = await readClone(join(folder, 'clone'))
    expect([clone?.branch, clone?.remotes[0]?.path, clone?.head?.length]).toEqual(['calc/heat', 'physics/heat', 40])
    git('checkout', '-q', '--detach')
    expect((await readClone(join(folder, 'clone')))?.branch).toBeNull()
    expect(await readClone(tmpdir())).toBeNull()
  })
})

describe('whose command it is', () => {
  test('an option says it, else the environment, else a configuration in the folder', async () => {
    expect(await isPersons(['--config', 'x.yml'], { COMPOPS_URL: 'https://c' })).toBe(false)
    expect(await isPersons(['--url=https://c'], { COMPOPS_CONFIG: 'x.yml' })).toBe(true)
    expect(await isPersons(['calc/heat'], { COMPOPS_CONFIG: 'x.yml' })).toBe(false)
    expect(await isPersons(['calc/heat'], { COMPOPS_URL: 'https://c' })).toBe(true)
    expect(await isPersons(['--', '--config'], {})).toBe(true)
    await expect(isPersons(['--config', 'x.yml', '--url', 'https://c'], {})).rejects.toThrow('which is meant?')
    await expect(isPersons([], { COMPOPS_CONFIG: 'x', COMPOPS_URL: 'y' })).rejects.toThrow('are both set')
    const operator = await mkdtemp(join(folder, 'operator-'))
    await writeFile(join(operator, 'compops.config.yml'), 'data_dir: ./data\n')
    expect((await compops(['logs', 'calc/heat'], {}, operator)).err).toContain('has the service ever run?')
  })
})

describe("a person's own file", () => {
  test('names the service, for each GitLab another where there are several', async () => {
    const token = await file('config/token', 'glpat-of-the-file\n')
    await file(
      'config/compops/config.yml',
      `url: https://compops.example.org\ntoken_file: ${token}\nservices:\n  gitlab.other.org: { url: https://compops.other.org, token: glpat-of-the-other }\n`,
    )
    const env = { HOME: folder, XDG_CONFIG_HOME: join(folder, 'config') }
    const usual = await readSettings(env, ['gitlab.example.org'])
    expect([usual.url, await usual.token()]).toEqual(['https://compops.example.org', 'glpat-of-the-file'])
    const other = await readSettings(env, ['gitlab.example.org', 'gitlab.other.org'])
    expect([other.url, await other.token()]).toEqual(['https://compops.other.org', 'glpat-of-the-other'])
  })

  test('with a token is read only where nobody else can read it', async () => {
    await file('open/compops/config.yml', 'url: https://c.example.org\ntoken: glpat-for-everybody\n', 0o644)
    const settings = await readSettings({ XDG_CONFIG_HOME: join(folder, 'open') }, [])
    await expect(settings.token()).rejects.toThrow('others may read it: chmod 600')
    await file('wrong/compops/config.yml', 'adress: https://c.example.org\n')
    await expect(readSettings({ XDG_CONFIG_HOME: join(folder, 'wrong') }, [])).rejects.toThrow('adress')
    expect((await readSettings({ XDG_CONFIG_HOME: join(folder, 'none') }, [])).url).toBeNull()
  })

  test('or the token is that of glab for the same GitLab', async () => {
    const path = await file(
      'glab/config.yml',
      'hosts:\n  gitlab.example.org:\n    token: !!null glpat-of-glab\n    api_protocol: https\n  gitlab.com: {}\n',
    )
    const env = { GLAB_CONFIG_DIR: dirname(path), HOME: folder }
    expect(await tokenOfGlab(env, 'gitlab.example.org')).toBe('glpat-of-glab')
    expect(await tokenOfGlab(env, 'gitlab.com')).toBeNull()
    expect(await tokenOfGlab({ HOME: join(folder, 'nobody') }, 'gitlab.example.org')).toBeNull()
  })
})

describe('exit codes', () => {
  let server: Server
  let url: string
  let gitlab = 'https://gitlab.example.org'
  let seen: IncomingMessage[] = []
  let answer: (request: IncomingMessage, response: ServerResponse) => void
  const say = (response: ServerResponse, status: number, body: unknown) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request)
      if (request.url === '/api/v1') say(response, 200, { name: 'compops', version: '1', gitlab, time_zone: 'UTC' })
      else answer(request, response)
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => server.close())

  const ask = (args: string[], env: Record<string, string> = {}) =>
    compops([...args], { HOME: folder, COMPOPS_URL: url, COMPOPS_TOKEN: 'glpat-of-alice', ...env }, folder)
  const status = ['status', 'calc/heat', '--project', 'physics/heat']

  test('3 for who may not, 5 for what is not there, 4 for a service that is away, each with the sentence', async () => {
    answer = (_, response) => say(response, 403, { error: 'GitLab does not let you' })
    expect(await ask(status)).toMatchObject({ code: 3, err: 'compops status: GitLab does not let you\n' })
    answer = (_, response) => say(response, 401, { error: 'GitLab does not take this token' })
    expect(await ask(status)).toMatchObject({ code: 3 })
    answer = (_, response) => say(response, 404, { error: 'no such project' })
    expect(await ask(['tree', '--project', 'a/b'])).toMatchObject({ code: 5, err: 'compops tree: no such project\n' })
    answer = (_, response) => say(response, 503, { error: 'GitLab does not answer' })
    expect(await ask(status)).toMatchObject({ code: 4 })
    answer = (_, response) => say(response, 200, { neither: 'this nor that' })
    expect(await ask(status)).toMatchObject({ code: 4, err: expect.stringContaining('cannot be read') })
    expect(await ask(status, { COMPOPS_URL: 'http://127.0.0.1:9' })).toMatchObject({ code: 4 })
  })

  test('2 for what is missing on the command line, with what to do', async () => {
    expect(await ask(['status'])).toMatchObject({ code: 2, err: expect.stringContaining('give --project group/name') })
    expect(await ask(status, { COMPOPS_URL: '' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('Set COMPOPS_URL'),
    })
    expect(await ask(status, { COMPOPS_URL: 'http://compops.example.org' })).toMatchObject({
      ...{ code: 2, err: expect.stringContaining('must not travel in the clear') },
    })
  })

  test('a token goes only where the person sends it', async () => {
    answer = (_, response) => say(response, 200, { runs: [], next: null })
    seen = []
    expect(await ask(['status', '--all', '--project', 'physics/heat'])).toMatchObject({ code: 0 })
    expect(seen.map(one => [one.url, one.headers.authorization])).toEqual([
      ['/api/v1', undefined],
      ['/api/v1/projects/physics%2Fheat/runs?limit=20', 'Bearer glpat-of-alice'],
    ])
    // A service that says it is of a GitLab where the person has a token does not get it.
    gitlab = 'https://gitlab.com'
    const path = await file('glab2/config.yml', 'hosts: { gitlab.com: { token: glpat-of-elsewhere } }\n')
    seen = []
    const no = await ask(['status', '--all', '--project', 'a/b'], { COMPOPS_TOKEN: '', GLAB_CONFIG_DIR: dirname(path) })
    expect([no.code, seen.length]).toEqual([3, 1])
    expect(no.err).toContain('a token of yours from https://gitlab.com is needed')
    gitlab = 'https://gitlab.example.org'
    answer = (_, response) => void response.writeHead(302, { location: 'https://elsewhere.example.org/' }).end()
    expect(await ask(status)).toMatchObject({ code: 4, err: expect.stringContaining('give that address') })
  })
})
