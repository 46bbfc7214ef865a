import { spawn } from 'node:child_process'
import { mkdir, readFile as readBytes, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ensureCommit,
  fetchMirror,
  GitError,
  isAncestor,
  listFiles,
  listHeads,
  type Mirror,
  mergeBase,
  openMirror,
  readCommit,
  readFile,
  readHead,
} from '../../src/git/mirror.ts'
import { parseCommit } from '../../src/git/read.ts'
import { commitFiles, runGit } from '../support/git-server.ts'
import { openScene, type Scene } from './support.ts'

let scene: Scene
beforeAll(async () => {
  scene = await openScene()
})
afterAll(() => scene.end())

const HOSTILE = [
  'a;touch${IFS}pwn',
  '$(id)',
  '`id`',
  "a'b",
  'a"b',
  'a|b&c',
  'a>b',
  'a<b',
  '-rf',
  '--upload-pack=touch${IFS}pwn',
  '-',
  '{a,b}',
  'a!b',
  '%0a',
  '%2e%2e/etc',
  '🚀',
  'größe/Ünï',
  'refs/heads/main',
  'HEAD',
  'FETCH_HEAD',
  'deep/er/and/deeper/still',
  'a#b',
  'a,b=c',
  '(x)',
  'a@b',
  '@/x',
  'heads/x',
  '__proto__',
  'constructor',
  '1234567890123456789012345678901234567890',
  '=cmd|calc',
  '</script><img>',
]

describe('heads', () => {
  test('32 hostile names are listed, read, fetched and pinned, and nothing of them is run', async () => {
    const { dir } = await scene.server.create('hostile/refs')
    const expected = new Map<string, string>()
    for (const [index, name] of HOSTILE.entries()) {
      const ref = `refs/heads/${name}`
      const sha = await commitFiles(dir, { 'name.txt': `${index}` })
      await runGit(dir, ['update-ref', '--stdin'], { input: `create "${ref.replace(/["]/g, '\\$&')}" ${sha}\n` })
      expected.set(ref, sha)
    }
    const mirror = await scene.mirror('hostile/refs')
    const heads = await listHeads(mirror)
    expect(new Map([...heads].sort())).toEqual(new Map([...expected].sort()))
    await fetchMirror(mirror)
    for (const [ref, sha] of expected) {
      expect(await readHead(mirror, ref), ref).toBe(sha)
    }
    for (const [index, sha] of [...expected.values()].entries()) {
      expect(await ensureCommit(mirror, sha)).toBe(true)
      expect(await readFile(mirror, sha, 'name.txt', { maxBytes: 10 })).toMatchObject({ text: `${index}` })
    }
    expect(await readdir(mirror.dir)).not.toContain('pwn')
  })

  test('a name is read exactly: not by its end, not as a pattern', async () => {
    const { dir } = await scene.server.create('exact')
    await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/x/refs/heads/main' })
    await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/other' })
    const mirror = await scene.mirror('exact')
    const names = [
      'refs/heads/main',
      'refs/heads/*',
      'refs/heads/oth?r',
      'refs/heads/[o]ther',
      'main',
      '--heads',
      '',
      'refs/heads/a\nb',
      'refs/heads/a\0b',
    ]
    for (const name of names) expect(await readHead(mirror, name), JSON.stringify(name)).toBeNull()
  })

  test('an empty project has no heads; an empty answer of something else is no listing', async () => {
    await scene.server.create('empty')
    const mirror = await scene.mirror('empty')
    expect(await listHeads(mirror)).toEqual(new Map())
    for (const body of ['', '<html>sign in</html>', '\n']) {
      scene.server.intercept((_, response) => {
        response.writeHead(200, { 'Content-Type': 'text/html' })
        response.end(body)
        return true
      })
      const error = await listHeads(mirror).catch(e => e)
      const single = await readHead(mirror, 'refs/heads/main').catch(e => e)
      scene.server.intercept(null)
      expect(error).toBeInstanceOf(GitError)
      expect(single).toBeInstanceOf(GitError)
      expect(error).toMatchObject({ kind: 'network', transient: true })
    }
  })

  test('a listing that was cut off is an error', async () => {
    const { dir } = await scene.server.create('cut')
    for (let i = 0; i < 20; i++) await commitFiles(dir, { i: `${i}` }, { ref: `refs/heads/b${i}` })
    const mirror = await scene.mirror('cut')
    expect((await listHeads(mirror)).size).toBe(20)
    scene.server.intercept((request, response) => {
      if (!request.url?.endsWith('/git-upload-pack')) return false
      const sha = '1'.repeat(40)
      const line = `${sha} refs/heads/b0\n`
      response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-result' })
      response.end((line.length + 4).toString(16).padStart(4, '0') + line)
      return true
    })
    const error = await listHeads(mirror).catch(e => e)
    scene.server.intercept(null)
    expect(error).toBeInstanceOf(GitError)
  })
})

describe('errors', () => {
  const cases: [number, string, boolean][] = [
    [401, 'auth', false],
    [403, 'auth', false],
    [404, 'not found', false],
    [302, 'not found', false],
    [429, 'network', true],
    [500, 'network', true],
    [503, 'network', true],
  ]
  test.each(cases)('%i is "%s", transient %s, and the token is nowhere', async (status, kind, transient) => {
    const mirror = await scene.mirror('whatever')
    let followed = 0
    scene.server.intercept((request, response) => {
      if (request.url?.startsWith('/elsewhere')) followed++
      response.writeHead(status, { Location: `${scene.server.url}/elsewhere.git/info/refs?service=git-upload-pack` })
      response.end('no')
      return true
    })
    for (const call of [listHeads, fetchMirror]) {
      const error = await (call as (m: Mirror) => Promise<unknown>)(mirror).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(GitError)
      expect(error).toMatchObject({ kind, transient })
      expect(JSON.stringify([String(error), (error as GitError).stack])).not.toContain(scene.server.token)
      expect((error as Error).message).toContain(mirror.url)
    }
    scene.server.intercept(null)
    expect(followed).toBe(0)
  })

  test('nobody listens', async () => {
    const mirror = await scene.mirror('x', { url: 'http://127.0.0.1:1/x.git', gitlabUrl: 'http://127.0.0.1:1' })
    await expect(listHeads(mirror)).rejects.toMatchObject({ kind: 'network', transient: true })
  })

  test('a server that says nothing is given up after the deadline, with all its processes', async () => {
    const mirror = await scene.mirror('silent', { deadline: 300 })
    scene.server.intercept(() => true)
    const error = await listHeads(mirror).catch(e => e)
    scene.server.intercept(null)
    expect(error).toMatchObject({ kind: 'network', transient: true })
    expect(error.message).toContain('no sign of life')
    expect(await commandLines(mirror.url)).toEqual([])
  })

  test('a wrong token, then the right one: it is asked for each time', async () => {
    const { dir } = await scene.server.create('token')
    await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    let token = 'wrong'
    const mirror = await scene.mirror('token', { token: () => token })
    await expect(listHeads(mirror)).rejects.toMatchObject({ kind: 'auth', transient: false })
    token = scene.server.token
    expect((await listHeads(mirror)).size).toBe(1)
  })

  test.each([
    ['https://user:secret@127.0.0.1/x.git', 'https://127.0.0.1'],
    ['https://evil.example/x.git', 'https://gitlab.example'],
    ['https://gitlab.example.evil/x.git', 'https://gitlab.example'],
    ['https://gitlab.example/other/x.git', 'https://gitlab.example/gitlab'],
    ['ext::sh -c id', 'https://gitlab.example'],
    ['/etc', 'https://gitlab.example'],
  ])('the address %s below %s is refused', async (url, gitlabUrl) => {
    const error = await openMirror({ dir: join(scene.dir, 'refused'), url, gitlabUrl, token: () => 't' }).catch(e => e)
    expect(error).toBeInstanceOf(Error)
    expect(error.message).not.toContain('secret')
  })
})

describe('the token', () => {
  test('is in no command line and in no file', async () => {
    const { dir } = await scene.server.create('secret')
    await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    const mirror = await scene.mirror('secret')
    const seen: string[] = []
    let answers: (() => void)[] = []
    scene.server.intercept((request, response) => {
      if (!request.url?.includes('info/refs')) return false
      // While git waits here, all its processes are alive and can be looked at.
      answers.push(() => {
        response.writeHead(503)
        response.end()
      })
      void commandLines('').then(lines => {
        seen.push(...lines)
        for (const answer of answers) answer()
        answers = []
      })
      return true
    })
    await expect(fetchMirror(mirror)).rejects.toMatchObject({ kind: 'network' })
    scene.server.intercept(null)
    expect(seen.some(line => line.includes(mirror.url))).toBe(true)
    await fetchMirror(mirror)
    const secrets = [scene.server.token, Buffer.from(`oauth2:${scene.server.token}`).toString('base64')]
    for (const secret of secrets) {
      expect(seen.filter(line => line.includes(secret))).toEqual([])
      for (const entry of await readdir(mirror.dir, { recursive: true, withFileTypes: true })) {
        if (entry.isFile())
          expect((await readBytes(join(entry.parentPath, entry.name))).includes(secret), entry.name).toBe(false)
      }
    }
  })
})

describe('fetching', () => {
  test('follows forced, deleted and nested branches, and keeps what was pinned', async () => {
    const { dir } = await scene.server.create('moves')
    const first = await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/a' })
    const mirror = await scene.mirror('moves')
    expect(await ensureCommit(mirror, first)).toBe(true)
    const second = await commitFiles(dir, { a: '2' })
    await runGit(dir, ['update-ref', '-d', 'refs/heads/a'])
    await runGit(dir, ['update-ref', 'refs/heads/a/b', second])
    await fetchMirror(mirror)
    expect(await runGit(mirror.dir, ['for-each-ref', '--format=%(refname)'])).toBe(
      `refs/compops/keep/${first}\nrefs/heads/a/b\n`,
    )
    await runGit(mirror.dir, ['gc', '--prune=now', '--quiet'])
    expect(await readFile(mirror, first, 'a', { maxBytes: 9 })).toMatchObject({ text: '1' })
  })

  test('merge request refs stay away', async () => {
    const { dir } = await scene.server.create('mr')
    await commitFiles(dir, { a: '1' }, { ref: 'refs/merge-requests/1/head' })
    await commitFiles(dir, { a: '2' }, { ref: 'refs/heads/main' })
    const mirror = await scene.mirror('mr')
    await fetchMirror(mirror)
    expect(await runGit(mirror.dir, ['for-each-ref', '--format=%(refname)'])).toBe('refs/heads/main\n')
  })

  test('a commit that no branch has (any more) is fetched by its id; one that GitLab does not know is not there', async () => {
    const { dir } = await scene.server.create('by-id')
    await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    const loose = await commitFiles(dir, { a: 'orphan' })
    const mirror = await scene.mirror('by-id')
    expect(await ensureCommit(mirror, loose)).toBe(true)
    expect(await ensureCommit(mirror, 'f'.repeat(40))).toBe(false)
    for (const text of ['HEAD', '-rf', '$(id)', 'f'.repeat(39), '']) {
      await expect(ensureCommit(mirror, text)).rejects.toThrow('full id of a commit')
    }
  })

  test('a commit that is here asks nobody', async () => {
    const { dir } = await scene.server.create('here')
    const sha = await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    const mirror = await scene.mirror('here')
    await ensureCommit(mirror, sha)
    const before = scene.server.requests.length
    expect(await ensureCommit(mirror, sha)).toBe(true)
    expect(scene.server.requests.length).toBe(before)
  })

  test('a commit without its files is not taken for whole', async () => {
    const { dir } = await scene.server.create('torn')
    const sha = await commitFiles(dir, { a: 'content' }, { ref: 'refs/heads/main' })
    const mirror = await scene.mirror('torn')
    const raw = await runGit(dir, ['cat-file', 'commit', sha])
    await runGit(mirror.dir, ['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], { input: raw })
    expect(await ensureCommit(mirror, sha)).toBe(true)
    expect(await readFile(mirror, sha, 'a', { maxBytes: 99 })).toMatchObject({ text: 'content' })
  })

  test('ten writers at once wait for each other', async () => {
    const { dir } = await scene.server.create('many')
    const sha = await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    const mirrors = await Promise.all([1, 2, 3].map(() => scene.mirror('many', { place: 'many.git' })))
    await Promise.all(mirrors.flatMap(mirror => [fetchMirror(mirror), ensureCommit(mirror, sha), fetchMirror(mirror)]))
    expect((await listHeads(mirrors[0]!)).size).toBe(1)
  })
})

describe('opening', () => {
  test('what is no repository is made anew', async () => {
    const { dir } = await scene.server.create('anew')
    const sha = await commitFiles(dir, { a: '1' }, { ref: 'refs/heads/main' })
    const place = join(scene.dir, 'mirrors', 'anew.git')
    const breaks: ((place: string) => Promise<unknown>)[] = [
      async at => mkdir(join(at, 'objects'), { recursive: true }),
      async at => writeFile(join(at, 'HEAD'), ''),
      async at => writeFile(join(at, 'config'), ''),
      async at => writeFile(join(at, 'config'), '[core\n'),
      async at => rm(join(at, 'objects'), { recursive: true }),
      async at => rm(at, { recursive: true }),
      async at => {
        await rm(at, { recursive: true })
        await writeFile(at, 'a file')
      },
    ]
    for (const damage of breaks) {
      await damage(place)
      const mirror = await scene.mirror('anew', { place: 'anew.git' })
      expect(await ensureCommit(mirror, sha), String(damage)).toBe(true)
    }
  })

  test('one in which git meets something broken is made anew when it is opened again, and until then nothing is given up', async () => {
    const { dir } = await scene.server.create('broken')
    const breaks: ((place: string, sha: string) => Promise<unknown>)[] = [
      // As a power cut leaves them.
      (at, sha) => writeFile(join(at, 'refs/compops/keep', sha), ''),
      at => writeFile(join(at, 'packed-refs'), 'garbage\n'),
      async (at, sha) => {
        const packs = join(at, 'objects/pack')
        const pack = (await readdir(packs)).find(name => name.endsWith('.pack'))!
        const input = await readBytes(join(packs, pack))
        await rm(packs, { recursive: true })
        await runGit(at, ['unpack-objects', '-q'], { input })
        const blob = (await runGit(dir, ['rev-parse', `${sha}:a`])).trim()
        await rm(join(at, 'objects', blob.slice(0, 2), blob.slice(2)))
      },
    ]
    for (const [n, damage] of breaks.entries()) {
      const place = `broken-${n}.git`
      const old = await commitFiles(dir, { a: `${n}` }, { ref: 'refs/heads/main' })
      const mirror = await scene.mirror('broken', { place })
      expect(await ensureCommit(mirror, old)).toBe(true)
      await damage(mirror.dir, old)
      const sha = await commitFiles(dir, { a: `${n}`, b: '1' }, { ref: 'refs/heads/main', parents: [old] })
      const look = async () => (await ensureCommit(mirror, sha)) && readFile(mirror, sha, 'a', { maxBytes: 10 })
      await expect(look(), String(damage)).rejects.toMatchObject({ kind: 'git', transient: true })
      await scene.mirror('broken', { place })
      expect(await look(), String(damage)).toMatchObject({ text: `${n}` })
      expect(await ensureCommit(mirror, old)).toBe(true)
    }
  })

  test('after a kill in mid-fetch the next process fetches as if nothing had been', async () => {
    const { dir } = await scene.server.create('killed')
    const big = Buffer.from(Array.from({ length: 400_000 }, (_, i) => (i * 7919) % 251))
    const sha = await commitFiles(dir, { big, small: '1' }, { ref: 'refs/heads/main' })
    const place = join(scene.dir, 'mirrors', 'killed.git')
    await scene.mirror('killed', { place: 'killed.git' })
    // A process of its own, as the service would be, which is killed while the pack stands still half way.
    let stopped: () => void = () => {}
    const halfway = new Promise<void>(resolve => {
      stopped = resolve
    })
    scene.server.intercept((request, response) => {
      if (request.method !== 'POST' || request.headers['content-length'] === undefined) return false
      let body = ''
      request.on('data', chunk => {
        body += chunk
      })
      request.on('end', () => {
        if (!body.includes('command=fetch')) {
          const line = `${sha} refs/heads/main\n`
          response.end(`${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`)
          return
        }
        const start = Buffer.concat([Buffer.from('\x01PACK'), Buffer.from([0, 0, 0, 2, 0, 0, 0, 3])])
        response.write(
          Buffer.concat([
            Buffer.from('000dpackfile\n'),
            Buffer.from((start.length + 4).toString(16).padStart(4, '0')),
            start,
          ]),
        )
        stopped()
      })
      if (request.url?.endsWith('git-upload-pack')) {
        response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-result' })
        return true
      }
      return false
    })
    const source = `
      import { openMirror, fetchMirror } from ${JSON.stringify(join(import.meta.dirname, '../../src/git/mirror.ts'))}
      const url = ${JSON.stringify(scene.server.url)}
      const mirror = await openMirror({ dir: ${JSON.stringify(place)}, url: url + '/killed.git', gitlabUrl: url, token: () => ${JSON.stringify(scene.server.token)} })
      await fetchMirror(mirror)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' })
    await halfway
    const ended = new Promise(resolve => child.on('close', resolve))
    child.kill('SIGKILL')
    await ended
    scene.server.intercept(null)
    await writeFile(join(place, 'packed-refs.lock'), '')
    await mkdir(join(place, 'refs/heads'), { recursive: true })
    await writeFile(join(place, 'refs/heads/main.lock'), '')
    const again = `${source}\nconst { readCommit } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/git/mirror.ts'))})
      process.stdout.write((await readCommit(mirror, ${JSON.stringify(sha)})).subject)`
    const second = spawn(process.execPath, ['--input-type=module', '-e', again], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    second.stdout.on('data', chunk => {
      out += chunk
    })
    expect(await new Promise(resolve => second.on('close', resolve))).toBe(0)
    expect(out).toBe('a commit')
    expect((await readdir(join(place, 'objects/pack'))).filter(name => name.startsWith('tmp_'))).toEqual([])
    await expect(stat(join(place, 'packed-refs.lock'))).rejects.toThrow('ENOENT')
  })
})

describe('reading', () => {
  test('files: only files, only inside, only as big as asked', async () => {
    const { dir } = await scene.server.create('read')
    const other = await commitFiles(dir, { a: '1' })
    const sha = await commitFiles(
      dir,
      {
        '.compops.yml': 'jobs: {}\n',
        'a dir/$(id)\n"x".txt': 'odd',
        '-rf': 'dash',
        '*': 'star',
        ':(top)x': 'magic',
        link: { link: '/etc/passwd' },
        module: { submodule: other },
        script: { run: '#!/bin/sh\n' },
        empty: '',
        bytes: Buffer.from([0xff, 0x00, 0x41]),
      },
      { ref: 'refs/heads/main' },
    )
    const mirror = await scene.mirror('read')
    await ensureCommit(mirror, sha)
    const read = (path: string, maxBytes = 100) => readFile(mirror, sha, path, { maxBytes })
    expect(await read('.compops.yml')).toEqual({
      text: 'jobs: {}\n',
      blob: (await runGit(dir, ['rev-parse', `${sha}:.compops.yml`])).trim(),
    })
    const texts: Record<string, string> = {
      'a dir/$(id)\n"x".txt': 'odd',
      '-rf': 'dash',
      '*': 'star',
      ':(top)x': 'magic',
      script: '#!/bin/sh\n',
      empty: '',
      bytes: '\ufffd\0A',
    }
    for (const [path, text] of Object.entries(texts)) expect(await read(path), path).toMatchObject({ text })
    expect(await read('.compops.yml', 8)).toBe('too large')
    expect(await read('.compops.yml', 9)).toMatchObject({ text: 'jobs: {}\n' })
    for (const path of ['link', 'module', 'a dir']) expect(await read(path), path).toBe('not a file')
    for (const path of [
      '',
      '/',
      '../x',
      'a dir/../-rf',
      './-rf',
      '/etc/passwd',
      'link/x',
      'a\0b',
      'no',
      '.git/config',
    ]) {
      expect(await read(path), JSON.stringify(path)).toBe('absent')
    }
    expect((await listFiles(mirror, sha)).sort()).toEqual([...Object.keys(texts), '.compops.yml', 'link'].sort())
    await expect(readFile(mirror, 'e'.repeat(40), 'x', { maxBytes: 1 })).rejects.toBeInstanceOf(GitError)
  })

  test('commits: people, dates, trailers', async () => {
    const { dir } = await scene.server.create('commits')
    const parent = await commitFiles(dir, { a: '1' })
    const sha = await commitFiles(
      dir,
      { a: '2' },
      {
        ref: 'refs/heads/main',
        parents: [parent],
        message:
          'finer\nmesh\n\nNote: not a trailer\n\n---\nbody\n\nRun: 1\nRun: 2\nconstructor: x\nFixes: long\n  line\n',
        env: {
          GIT_AUTHOR_NAME: 'Jörg "J" Müller',
          GIT_AUTHOR_EMAIL: 'j@example.org',
          GIT_AUTHOR_DATE: '@1600000000 +0530',
          GIT_COMMITTER_DATE: '@1700000001 -0800',
        },
      },
    )
    const mirror = await scene.mirror('commits')
    await ensureCommit(mirror, sha)
    const commit = await readCommit(mirror, sha)
    expect({ ...commit, trailers: { ...commit.trailers } }).toEqual({
      sha,
      parents: [parent],
      authorName: 'Jörg "J" Müller',
      authorEmail: 'j@example.org',
      committerName: 'Alice',
      committerEmail: 'alice@example.org',
      authoredAt: new Date(1_600_000_000_000),
      committedAt: new Date(1_700_000_001_000),
      subject: 'finer mesh',
      message:
        'finer\nmesh\n\nNote: not a trailer\n\n---\nbody\n\nRun: 1\nRun: 2\nconstructor: x\nFixes: long\n  line\n',
      trailers: { Run: '1\n2', constructor: 'x', Fixes: 'long line' },
    })
  })

  test.each([
    ['blanks in its name', `A${' '.repeat(1_000_000)}B <a@b> 1 +0000`, `A${' '.repeat(1_000_000)}B`, 1000],
    ['an address that never ends', `A ${'<'.repeat(1_000_000)} 1 +0000`, '', 0],
    ['a date that goes on', `A <a@b> ${'1'.repeat(1_000_000)} x`, '', 0],
  ])('a commit whose author has %s is read in no time', (_, author, name, at) => {
    const begun = performance.now()
    const commit = parseCommit('0'.repeat(40), Buffer.from(`tree x\nauthor ${author}\n\nx\n`))
    expect(commit.authorName === name).toBe(true)
    expect(commit.authoredAt).toEqual(new Date(at))
    expect(performance.now() - begun).toBeLessThan(2_000)
  })

  test.each([
    ['latin-1', ['encoding ISO-8859-1', '', Buffer.from([0x67, 0xfc, 0x6e])], 'gün'],
    ['no encoding, no UTF-8', ['', Buffer.from([0x67, 0xfc, 0x6e])], 'g\ufffdn'],
    ['a zero byte', ['', Buffer.from('a\0b')], 'a\ufffdb'],
    ['an unknown encoding', ['encoding klingon', '', Buffer.from('x')], 'x'],
    ['a signature that looks like headers', ['gpgsig -----', ' author Eve <e> 1 +0000', '', Buffer.from('x')], 'x'],
    ['no message', ['', Buffer.from('')], ''],
  ] as [string, (string | Buffer)[], string][])('a commit with %s', async (_, lines, subject) => {
    const { dir } = await scene.server.create(`raw/${Math.random().toString(36).slice(2)}`)
    const tree = (await runGit(dir, ['hash-object', '-t', 'tree', '-w', '--stdin'], { input: '' })).trim()
    const head = [`tree ${tree}`, 'author Al <al@x> 99999999999999999 +0000', 'committer Bo <> 5 +0000']
    const raw = Buffer.concat(
      [...head, ...lines].flatMap((line, i, all) => [Buffer.from(line), Buffer.from(i < all.length - 1 ? '\n' : '')]),
    )
    const sha = (
      await runGit(dir, ['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], { input: raw })
    ).trim()
    const mirror: Mirror = { ...(await scene.mirror('raw')), dir }
    expect(await readCommit(mirror, sha)).toMatchObject({
      subject,
      authorName: 'Al',
      authoredAt: new Date(0),
      committerName: 'Bo',
      committedAt: new Date(5000),
    })
  })

  test('ancestry', async () => {
    const { dir } = await scene.server.create('ancestry')
    const root = await commitFiles(dir, { a: '1' })
    const left = await commitFiles(dir, { a: '2' }, { parents: [root] })
    const right = await commitFiles(dir, { a: '3' }, { parents: [root] })
    const alien = await commitFiles(dir, { b: '1' })
    const mirror: Mirror = { ...(await scene.mirror('ancestry')), dir }
    expect(await mergeBase(mirror, left, right)).toBe(root)
    expect(await mergeBase(mirror, left, alien)).toBeNull()
    expect(await isAncestor(mirror, root, left)).toBe(true)
    expect(await isAncestor(mirror, left, left)).toBe(true)
    expect(await isAncestor(mirror, left, right)).toBe(false)
    await expect(isAncestor(mirror, 'e'.repeat(40), left)).rejects.toBeInstanceOf(GitError)
    await expect(mergeBase(mirror, '--all', left)).rejects.toThrow('full id')
  })
})

/** Command lines of all processes that contain a text, as `ps` shows them. */
async function commandLines(text: string): Promise<string[]> {
  const lines: string[] = []
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const line = await readBytes(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line !== '' && line.includes(text)) lines.push(line.replaceAll('\0', ' '))
  }
  return lines
}
