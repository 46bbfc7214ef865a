import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commitEvidence, type EvidenceCommit, formatMessage } from '../../src/git/evidence.ts'
import { fetchMirror, GitError, readCommit, readHead } from '../../src/git/mirror.ts'
import { commitFiles, runGit } from '../support/git-server.ts'
import { patience } from '../support/patience.ts'
import { openScene, type Scene } from './support.ts'

let scene: Scene
beforeAll(async () => {
  scene = await openScene()
})
afterAll(async () => {
  await scene.end()
})

const BRANCH = 'compops/evidence'
const REF = `refs/heads/${BRANCH}`

function evidence(files: Record<string, string | null>, more: Partial<EvidenceCommit> = {}): EvidenceCommit {
  return {
    branch: BRANCH,
    message: 'Evidence of run 1',
    trailers: { 'Compops-Run': '0190f3c2' },
    author: { name: 'compops', email: 'compops@noreply.example.org' },
    date: new Date('2026-11-20T12:49:58.123Z'),
    build: async () => new Map(Object.entries(files)),
    ...more,
  }
}

const show = (dir: string, path: string, ref = REF) => runGit(dir, ['show', `${ref}:${path}`])

describe('commits of evidence', () => {
  test('a branch without history at first, then forward; the same facts give the same commits; nothing new is no commit', async () => {
    const shas: string[][] = []
    for (const path of ['ev/one', 'ev/two']) {
      const { dir } = await scene.server.create(path)
      await commitFiles(dir, { code: '1' }, { ref: 'refs/heads/main' })
      const mirror = await scene.mirror(path)
      const first = await commitEvidence(mirror, evidence({ 'README.md': 'tree\n', 'runs/a.yml': 'a: 1\n' }))
      const second = await commitEvidence(mirror, evidence({ 'runs/b.yml': 'b: 2\n', 'runs/a.yml': null }))
      const third = await commitEvidence(mirror, evidence({ 'runs/b.yml': 'b: 2\n', 'runs/a.yml': null }))
      expect([first.pushed, second.pushed, third]).toEqual([
        true,
        true,
        { sha: second.sha, base: second.sha, pushed: false },
      ])
      expect(await runGit(dir, ['ls-tree', '-r', '--name-only', REF])).toBe('README.md\nruns/b.yml\n')
      expect(await runGit(dir, ['rev-list', REF])).toBe(`${second.sha}\n${first.sha}\n`)
      const commit = await readCommit(mirror, second.sha)
      expect({ ...commit, trailers: { ...commit.trailers } }).toEqual({
        sha: second.sha,
        parents: [first.sha],
        authorName: 'compops',
        authorEmail: 'compops@noreply.example.org',
        committerName: 'compops',
        committerEmail: 'compops@noreply.example.org',
        authoredAt: new Date('2026-11-20T12:49:58Z'),
        committedAt: new Date('2026-11-20T12:49:58Z'),
        subject: 'Evidence of run 1',
        message: 'Evidence of run 1\n\nCompops-Run: 0190f3c2\n',
        trailers: { 'Compops-Run': '0190f3c2' },
      })
      shas.push([first.sha, second.sha])
    }
    expect(shas[0]).toEqual(shas[1])
  })

  test('push options arrive, ci.skip always', async () => {
    const { dir } = await scene.server.create('ev/options', {
      preReceive: 'echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1" > options',
    })
    const mirror = await scene.mirror('ev/options')
    await commitEvidence(mirror, evidence({ a: '1' }, { pushOptions: ['integrations.skip_ci'] }))
    expect(await runGit(dir, ['hash-object', 'options'])).toBe(
      await runGit(dir, ['hash-object', '--stdin'], { input: '2 ci.skip integrations.skip_ci\n' }),
    )
  })

  test('no content and no branch is no commit', async () => {
    await scene.server.create('ev/none')
    const mirror = await scene.mirror('ev/none')
    expect(await commitEvidence(mirror, evidence({}))).toEqual({ sha: '0'.repeat(40), base: null, pushed: false })
    expect(await readHead(mirror, REF)).toBeNull()
  })

  test('somebody else was faster: built again on what is there now, and the index holds both', async () => {
    const { dir } = await scene.server.create('ev/faster')
    const mirror = await scene.mirror('ev/faster')
    const old = await commitFiles(dir, { index: 'theirs 0\n' }, { ref: REF })
    const seen: (string | null)[] = []
    let theirs = ''
    const result = await commitEvidence(
      mirror,
      evidence(
        {},
        {
          build: async read => {
            const before = await read('index')
            seen.push(before)
            if (seen.length === 1)
              theirs = await commitFiles(dir, { index: 'theirs 0\ntheirs 1\n' }, { ref: REF, parents: [old] })
            return new Map([['index', `${before}ours\n`]])
          },
        },
      ),
    )
    expect(seen).toEqual(['theirs 0\n', 'theirs 0\ntheirs 1\n'])
    expect(await show(dir, 'index')).toBe('theirs 0\ntheirs 1\nours\n')
    expect(await runGit(dir, ['rev-list', REF])).toBe(`${result.sha}\n${theirs}\n${old}\n`)
  })

  test(
    'two services, ten commits each at the same time: none is lost',
    async () => {
      const { dir } = await scene.server.create('ev/race')
      const mirrors = [await scene.mirror('ev/race'), await scene.mirror('ev/race')]
      const names: string[] = []
      await Promise.all(
        mirrors.map(async (mirror, writer) => {
          for (let i = 0; i < 10; i++) {
            const name = `${writer}-${i}`
            names.push(name)
            const build: EvidenceCommit['build'] = async read =>
              new Map([
                [`runs/${name}.yml`, name],
                ['index', `${(await read('index')) ?? ''}${name}\n`],
              ])
            for (;;) {
              try {
                await commitEvidence(mirror, evidence({}, { build }))
                break
              } catch (error) {
                // Unlucky six times in a row: the worker would come back, and so does the test.
                if (!(error instanceof GitError && error.transient && error.kind === 'rejected')) throw error
              }
            }
          }
        }),
      )
      expect((await show(dir, 'index')).trim().split('\n').sort()).toEqual(names.sort())
      expect((await runGit(dir, ['rev-list', '--count', REF])).trim()).toBe('20')
      expect((await runGit(dir, ['ls-tree', '-r', '--name-only', REF])).trim().split('\n')).toHaveLength(21)
    },
    60_000 * patience,
  )

  test('a branch that a person deleted goes on from where it was', async () => {
    const { dir } = await scene.server.create('ev/deleted')
    const mirror = await scene.mirror('ev/deleted')
    const first = await commitEvidence(mirror, evidence({ a: '1' }))
    await runGit(dir, ['update-ref', '-d', REF])
    await fetchMirror(mirror)
    expect(await commitEvidence(mirror, evidence({ a: '1' }))).toEqual({
      sha: first.sha,
      base: first.sha,
      pushed: true,
    })
    await runGit(dir, ['update-ref', '-d', REF])
    const second = await commitEvidence(mirror, evidence({ b: '2' }))
    expect(await runGit(dir, ['rev-list', REF])).toBe(`${second.sha}\n${first.sha}\n`)
    // A service that has never seen it begins anew.
    await runGit(dir, ['update-ref', '-d', REF])
    const anew = await commitEvidence(await scene.mirror('ev/deleted'), evidence({ c: '3' }))
    expect(await runGit(dir, ['rev-list', REF])).toBe(`${anew.sha}\n`)
  })

  test('a branch that a person rewrote is followed, not overwritten', async () => {
    const { dir } = await scene.server.create('ev/rewritten')
    const mirror = await scene.mirror('ev/rewritten')
    await commitEvidence(mirror, evidence({ a: '1', secret: 'x' }))
    const rewritten = await commitFiles(dir, { a: '1' }, { ref: REF })
    const next = await commitEvidence(mirror, evidence({ b: '2' }))
    expect(await runGit(dir, ['rev-list', REF])).toBe(`${next.sha}\n${rewritten}\n`)
    expect(await runGit(dir, ['ls-tree', '--name-only', REF])).toBe('a\nb\n')
  })

  test('the answer to a push was lost: it is an error, and found done the next time', async () => {
    const { dir } = await scene.server.create('ev/lost')
    const mirror = await scene.mirror('ev/lost')
    scene.server.loseAnswers(/POST .*git-receive-pack/)
    const error = await commitEvidence(mirror, evidence({ a: '1' })).catch(e => e)
    scene.server.loseAnswers(null)
    expect(error).toMatchObject({ kind: 'network', transient: true })
    const sha = (await runGit(dir, ['rev-parse', REF])).trim()
    expect(await commitEvidence(mirror, evidence({ a: '1' }))).toEqual({ sha, base: sha, pushed: false })
  })

  test('a refusal comes with the words of GitLab', async () => {
    const words = 'GitLab: You are not allowed to push code to protected branches on this project.'
    await scene.server.create('ev/protected', { preReceive: `echo "${words}" >&2\nexit 1` })
    const mirror = await scene.mirror('ev/protected')
    const before = scene.server.count(/POST .*ev\/protected.*receive-pack/)
    const error = await commitEvidence(mirror, evidence({ a: '1' })).catch(e => e)
    expect(error).toMatchObject({
      kind: 'rejected',
      transient: false,
      message: `GitLab refused the push to ${BRANCH}: ${words}`,
    })
    expect(scene.server.count(/POST .*ev\/protected.*receive-pack/) - before).toBe(1)
  })

  test('what the token may not do is an error of its own', async () => {
    await scene.server.create('ev/forbidden')
    const mirror = await scene.mirror('ev/forbidden')
    scene.server.intercept((request, response) => {
      if (!request.url?.includes('git-receive-pack')) return false
      response.writeHead(403)
      response.end('You are not allowed to push code to this project.')
      return true
    })
    const error = await commitEvidence(mirror, evidence({ a: '1' })).catch(e => e)
    scene.server.intercept(null)
    expect(error).toMatchObject({ kind: 'auth', transient: false })
  })

  test('paths that lead elsewhere are refused, odd ones are kept', async () => {
    const { dir } = await scene.server.create('ev/paths')
    const mirror = await scene.mirror('ev/paths')
    for (const path of ['', '/etc/x', '../x', 'a/../b', 'a//b', './a', 'a/', '.git/config', 'a/.GIT/x', 'a\0b']) {
      await expect(commitEvidence(mirror, evidence({ [path]: 'x' })), JSON.stringify(path)).rejects.toThrow(
        'is no place for evidence',
      )
      await expect(
        commitEvidence(mirror, evidence({}, { build: async read => new Map([['a', await read(path)]]) })),
      ).rejects.toThrow('is no place')
    }
    expect(await readHead(mirror, REF)).toBeNull()
    const odd = { '-rf': '1', 'a\nb "c"': '2', '$(id)': '3', '*': '4', 'ü🚀': '5' }
    await commitEvidence(mirror, evidence(odd))
    const listed = (await runGit(dir, ['ls-tree', '-r', '-z', '--name-only', REF])).split('\0').filter(Boolean)
    expect(listed.sort()).toEqual(Object.keys(odd).sort())
    await expect(commitEvidence(mirror, evidence({ 'x/y': '1', x: '2' }))).rejects.toThrow(
      'evidence at "x/y" would be both a file and a folder',
    )
    for (const branch of ['', 'a b', 'a..b', 'x:refs/heads/main', '*']) {
      await expect(commitEvidence(mirror, evidence({ a: '1' }, { branch })), branch).rejects.toThrow(
        'is not the name of a branch',
      )
    }
  })

  test('a file becomes a folder and back', async () => {
    const { dir } = await scene.server.create('ev/folder')
    const mirror = await scene.mirror('ev/folder')
    await commitEvidence(mirror, evidence({ x: '1' }))
    await commitEvidence(mirror, evidence({ 'x/y': '2', x: null }))
    expect(await show(dir, 'x/y')).toBe('2')
    await commitEvidence(mirror, evidence({ 'x/y': null, x: '3' }))
    expect(await show(dir, 'x')).toBe('3')
    await expect(commitEvidence(mirror, evidence({ 'x/z': '4' }))).rejects.toThrow('both a file and a folder')
  })

  test('an author that git would refuse', async () => {
    await scene.server.create('ev/author')
    const mirror = await scene.mirror('ev/author')
    const { sha } = await commitEvidence(
      mirror,
      evidence({ a: '1' }, { author: { name: ' <\n> ', email: 'a<b>\n c' } }),
    )
    expect(await readCommit(mirror, sha)).toMatchObject({ authorName: 'ComputationalOps', authorEmail: 'abc' })
  })
})

test.each([
  ['one line', { A: '1', 'B-c': 'two\nlines' }, 'one line\n\nA: 1\nB-c: two lines\n'],
  ['no trailers\n\n\n', {}, 'no trailers\n'],
  ['', { A: '1' }, 'Evidence\n\nA: 1\n'],
  ['a\0b\r\nc', {}, 'ab\nc\n'],
])('the message %j with %j', (message, trailers, expected) => {
  expect(formatMessage(message, trailers as Record<string, string>)).toBe(expected)
})

test('a trailer that could not be read back is refused', () => {
  for (const key of ['', 'a b', 'a:b', 'a\n', '__proto__x'])
    expect(() => formatMessage('x', { [key]: '1' })).toThrow('cannot be the name of a trailer')
})
