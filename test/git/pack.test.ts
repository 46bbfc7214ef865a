import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchMirror, GitError } from '../../src/git/mirror.ts'
import { packSource } from '../../src/git/pack.ts'
import { resolveSubmodule } from '../../src/git/submodules.ts'
import { commitFiles, runGit, type TreeFile } from '../support/git-server.ts'
import { openScene, type Scene } from './support.ts'

const run = promisify(execFile)

let scene: Scene
let count = 0
beforeAll(async () => {
  scene = await openScene()
})
afterAll(() => scene.end())

/** A project with one commit on main, its mirror, and the unpacked pack. */
async function pack(path: string, files: Record<string, TreeFile>, options: { tag?: string; parent?: boolean } = {}) {
  const { dir } = await scene.server.create(path)
  const parents = options.parent ? [await commitFiles(dir, { before: 'x' })] : []
  const sha = await commitFiles(dir, files, { ref: 'refs/heads/main', parents })
  if (options.tag !== undefined) await runGit(dir, ['tag', '-m', 'a tag', options.tag, sha])
  const mirror = await scene.mirror(path)
  const into = join(scene.dir, 'packs', `${++count}.tar`)
  return { dir, sha, mirror, into }
}

async function unpack(tar: string): Promise<string> {
  const out = join(scene.dir, 'out', `${++count}`)
  await mkdir(out, { recursive: true })
  await run('tar', ['-xf', tar, '-C', out])
  return out
}

/** Every path below with what it is, without `.git`. */
async function describeTree(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(root, { recursive: true })).sort()) {
    if (name.split('/').includes('.git')) continue
    const path = join(root, name)
    const stats = await lstat(path)
    if (stats.isSymbolicLink()) found[name] = `-> ${await readlink(path)}`
    else if (stats.isDirectory()) found[name] = 'directory'
    else found[name] = `${stats.mode & 0o100 ? 'x ' : ''}${(await readFile(path)).toString('latin1')}`
  }
  return found
}

describe('what is in a pack', () => {
  test('the same as a checkout: attributes, modes, links, odd names, deep paths', async () => {
    const deep = `${'a-rather-long-directory-name/'.repeat(30)}file`
    const files: Record<string, TreeFile> = {
      '.gitattributes':
        'crlf.txt text eol=crlf\nhidden export-ignore\nsubst export-subst\nid ident\nutf16.txt text working-tree-encoding=UTF-16LE\n',
      'crlf.txt': 'a\nb\n',
      hidden: 'not left out',
      subst: '$Format:%H$',
      id: '$Id$',
      'utf16.txt': 'wide\n',
      'run.sh': { run: '#!/bin/sh\n' },
      link: { link: '/etc/passwd' },
      'link-long': { link: 'x/'.repeat(80) },
      '-rf': 'dash',
      'new\nline "quote" \\ $(id)': 'odd',
      'größe 🚀': 'ü',
      [deep]: 'deep',
      empty: '',
      big: Buffer.alloc(200_000, 'x'),
    }
    const { dir, sha, mirror, into } = await pack('all', files, { tag: 'v1.0', parent: true })
    const packed = await packSource(mirror, sha, into)
    expect(packed).toEqual({
      path: into,
      size: (await stat(into)).size,
      sha256: createHash('sha256')
        .update(await readFile(into))
        .digest('hex'),
      files: Object.keys(files).length,
    })
    const out = await unpack(into)
    const clone = join(scene.dir, 'clone-all')
    await runGit(scene.dir, ['clone', '--quiet', dir, clone])
    const tree = await describeTree(out)
    expect(tree).toEqual(await describeTree(clone))
    expect(tree).toMatchObject({
      'crlf.txt': 'a\r\nb\r\n',
      hidden: 'not left out',
      'run.sh': 'x #!/bin/sh\n',
      link: '-> /etc/passwd',
    })

    expect(await runGit(out, ['status', '--porcelain'])).toBe('')
    expect((await runGit(out, ['rev-parse', 'HEAD'])).trim()).toBe(sha)
    expect((await runGit(out, ['describe', '--tags', '--dirty'])).trim()).toBe('v1.0')
    expect((await runGit(out, ['log', '--format=%H'])).trim()).toBe(sha)
    expect(await runGit(out, ['remote'])).toBe('')
    expect(await runGit(out, ['fsck', '--strict', '--no-dangling'])).toBe('')
    expect((await readdir(join(out, '.git'))).sort()).toEqual([
      'HEAD',
      'config',
      'index',
      'objects',
      'packed-refs',
      'refs',
      'shallow',
    ])
    expect(await run('grep', ['-rlF', scene.server.token, out]).catch(e => e.stdout)).toBe('')
    expect(await run('grep', ['-rlF', '127.0.0.1', join(out, '.git')]).catch(e => e.stdout)).toBe('')
  })

  test('two packs of a commit are the same bytes, also from another mirror with another past', async () => {
    const { dir, sha, mirror, into } = await pack(
      'same',
      { a: 'one\n'.repeat(500), 'b/c': 'two', d: { link: 'a' } },
      { tag: 'v2', parent: true },
    )
    const first = await packSource(mirror, sha, into)
    for (let i = 0; i < 5; i++) await commitFiles(dir, { a: `one\n`.repeat(500) + i }, { ref: `refs/heads/b${i}` })
    await runGit(dir, ['gc', '--quiet'])
    await fetchMirror(mirror)
    await runGit(mirror.dir, ['gc', '--quiet'])
    const second = await packSource(mirror, sha, `${into}.2`)
    const third = await packSource(await scene.mirror('same'), sha, `${into}.3`)
    expect([second.sha256, third.sha256]).toEqual([first.sha256, first.sha256])
    const listing = (await run('tar', ['-tvf', into, '--numeric-owner', '--full-time'])).stdout.trim().split('\n')
    for (const line of listing) expect(line).toMatch(/^\S+ 0\/0 +\d+ 2023-11-1\d \d\d:\d\d:\d\d /)
    const names = (await run('tar', ['-tf', into])).stdout
      .trim()
      .split('\n')
      .filter(name => !name.startsWith('.git/'))
    expect(names).toEqual(['a', 'b/', 'b/c', 'd'])
  })

  test('a first commit without a tag, and one without files', async () => {
    const { dir, sha, mirror, into } = await pack('root', { a: '1' })
    await packSource(mirror, sha, into)
    const out = await unpack(into)
    expect(await runGit(out, ['status', '--porcelain'])).toBe('')
    expect(await readdir(join(out, '.git'))).not.toContain('shallow')
    const empty = await commitFiles(dir, {}, { ref: 'refs/heads/empty' })
    expect((await packSource(mirror, empty, `${into}.empty`)).files).toBe(0)
  })

  test('an old file at the place stays whole until the new one is; a failure leaves nothing behind', async () => {
    const { dir, mirror, into } = await pack('fail', { a: '1' })
    await mkdir(join(scene.dir, 'packs'), { recursive: true })
    await writeFile(into, 'old')
    const bad = await commitFiles(dir, { lib: { submodule: 'a'.repeat(40) } }, { ref: 'refs/heads/bad' })
    await expect(packSource(mirror, bad, into)).rejects.toThrow('submodule lib: .gitmodules has no address for it')
    await expect(packSource(mirror, 'a'.repeat(40), into)).rejects.toMatchObject({ kind: 'not found' })
    expect(await readFile(into, 'utf8')).toBe('old')
    expect((await readdir(join(scene.dir, 'packs'))).filter(name => name.includes('.part'))).toEqual([])
    expect(await readdir(join(mirror.dir, 'compops-scratch'))).toEqual([])
  })

  test.each(['.git', '.GIT', 'git~1', '..', '.', '.git\u200c'])(
    'a tree with an entry called %j is refused',
    async name => {
      const { dir } = await scene.server.create(`evil/${++count}`)
      const blob = (
        await runGit(dir, ['hash-object', '-w', '--stdin'], { input: '[core]\nfsmonitor = touch pwn\n' })
      ).trim()
      const inner = (await runGit(dir, ['mktree'], { input: `100644 blob ${blob}\tconfig\n` })).trim()
      const raw = Buffer.concat([Buffer.from(`40000 ${name}\0`), Buffer.from(inner, 'hex')])
      const tree = (
        await runGit(dir, ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { input: raw })
      ).trim()
      const sha = (await runGit(dir, ['commit-tree', tree], { input: 'evil' })).trim()
      await runGit(dir, ['update-ref', 'refs/heads/main', sha])
      const mirror = await scene.mirror(`evil/${count}`)
      await expect(packSource(mirror, sha, join(scene.dir, 'packs', 'evil.tar'))).rejects.toBeInstanceOf(GitError)
    },
  )
})

describe('submodules', () => {
  test('inside each other, by relative address and by one on the same GitLab, each with a repository of its own', async () => {
    const inner = await scene.server.create('group/inner')
    const innerSha = await commitFiles(inner.dir, { 'inner.txt': 'inner' }, { ref: 'refs/heads/main' })
    const outer = await scene.server.create('group/sub/outer')
    const modules = (url: string, path: string) => `[submodule "x"]\n\tpath = ${path}\n\turl = ${url}\n`
    const outerSha = await commitFiles(
      outer.dir,
      {
        '.gitmodules': modules('../../inner.git', 'deps/inner'),
        'deps/inner': { submodule: innerSha },
        'outer.txt': 'outer',
      },
      { ref: 'refs/heads/main' },
    )
    const host = new URL(scene.server.url).host
    const { sha, mirror, into } = await pack('group/project', {
      '.gitmodules': modules(`https://other:secret@${host}/group/sub/outer.git`, 'lib'),
      lib: { submodule: outerSha },
      main: 'main',
    })
    const packed = await packSource(mirror, sha, into)
    expect(packed.files).toBe(5)
    const out = await unpack(into)
    expect(await describeTree(out)).toMatchObject({
      'lib/outer.txt': 'outer',
      'lib/deps/inner/inner.txt': 'inner',
      main: 'main',
    })
    expect(await runGit(out, ['status', '--porcelain'])).toBe('')
    expect((await runGit(join(out, 'lib'), ['rev-parse', 'HEAD'])).trim()).toBe(outerSha)
    expect((await runGit(join(out, 'lib/deps/inner'), ['rev-parse', 'HEAD'])).trim()).toBe(innerSha)
    expect((await packSource(mirror, sha, `${into}.2`)).sha256).toBe(packed.sha256)
  })

  test('a commit that was never pushed, in a module of a module, is named with its whole path', async () => {
    const inner = await scene.server.create('lost/inner')
    await commitFiles(inner.dir, { a: '1' }, { ref: 'refs/heads/main' })
    const outer = await scene.server.create('lost/outer')
    const text = (name: string) => `[submodule "x"]\n\tpath = ${name}\n\turl = ../${name}.git\n`
    const outerSha = await commitFiles(
      outer.dir,
      { '.gitmodules': text('inner'), inner: { submodule: 'b'.repeat(40) } },
      { ref: 'refs/heads/main' },
    )
    const { sha, mirror, into } = await pack('lost/project', {
      '.gitmodules': text('outer'),
      outer: { submodule: outerSha },
    })
    await expect(packSource(mirror, sha, into)).rejects.toThrow(
      /^submodule outer\/inner: commit b{40} is not in .*inner\.git; was it pushed\?/,
    )
  })

  test('another host is refused by name; update = none stays empty; a link in the way is refused', async () => {
    const { dir, mirror, into } = await pack('refuse', { a: '1' })
    const module = { submodule: 'c'.repeat(40) }
    const github = await commitFiles(
      dir,
      { '.gitmodules': '[submodule "x"]\n\tpath = lib\n\turl = https://github.com/a/b.git\n', lib: module },
      { ref: 'refs/heads/github' },
    )
    await expect(packSource(mirror, github, into)).rejects.toThrow('submodule lib: its repository is on github.com')
    const none = await commitFiles(
      dir,
      {
        '.gitmodules': '[submodule "x"]\n\tpath = lib\n\turl = https://github.com/a/b.git\n\tupdate = none\n',
        lib: module,
      },
      { ref: 'refs/heads/none' },
    )
    await packSource(mirror, none, into)
    expect(await describeTree(await unpack(into))).toMatchObject({ lib: 'directory' })
    const linked = await commitFiles(
      dir,
      { '.gitmodules': { link: '/etc/passwd' }, lib: module },
      { ref: 'refs/heads/linked' },
    )
    await expect(packSource(mirror, linked, into)).rejects.toThrow('submodule lib: .gitmodules has no address')
  })

  const at = { url: 'https://gitlab.example.org/physics/heat.git', gitlabUrl: 'https://gitlab.example.org' }
  test.each([
    ['../lib.git', 'https://gitlab.example.org/physics/lib.git'],
    ['../../maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
    ['https://gitlab.example.org/maths/lib', 'https://gitlab.example.org/maths/lib'],
    ['http://gitlab.example.org/maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
    ['https://oauth2:x@gitlab.example.org/maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
    ['git@gitlab.example.org:maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
    ['ssh://git@gitlab.example.org/maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
    ['ssh://git@gitlab.example.org:2222/maths/lib.git', 'https://gitlab.example.org/maths/lib.git'],
  ])('%s is %s', (url, expected) => {
    expect(resolveSubmodule(at, 'lib', url)).toBe(expected)
  })

  test.each([
    ['https://github.com/a/b.git', 'github.com'],
    ['https://gitlab.example.org:8443/a/b.git', 'gitlab.example.org:8443'],
    ['https://gitlab.example.org.evil.com/a.git', 'gitlab.example.org.evil.com'],
    ['https://gitlab.example.org@evil.com/a.git', 'evil.com'],
    ['git@evil.com:a/b.git', 'evil.com'],
    ['ssh://-oProxyCommand=id/x', ''],
    ['ext::sh -c id', ''],
    ['file:///etc', ''],
    ['/etc', ''],
    ['--upload-pack=id', ''],
    ['..', ''],
    ['', ''],
  ])('%s is refused', (url, host) => {
    expect(() => resolveSubmodule(at, 'the lib', url)).toThrow(/^submodule the lib: its repository is on /)
    expect(() => resolveSubmodule(at, 'the lib', url)).toThrow(host)
  })

  test('below a relative root nothing leads out of it', () => {
    const rooted = { url: 'https://x.org/gitlab/a/b.git', gitlabUrl: 'https://x.org/gitlab/' }
    expect(resolveSubmodule(rooted, 'm', '../c.git')).toBe('https://x.org/gitlab/a/c.git')
    expect(resolveSubmodule(rooted, 'm', 'git@x.org:a/c.git')).toBe('https://x.org/gitlab/a/c.git')
    for (const url of [
      '../../../c.git',
      'https://x.org/c.git',
      'https://x.org/gitlab/../c.git',
      'https://x.org/gitlab/%2e%2e/c.git',
      'git@x.org:../c.git',
    ]) {
      expect(() => resolveSubmodule(rooted, 'm', url), url).toThrow('only x.org is allowed')
    }
  })
})

// Needs the program git-lfs (a package of that name): without it these tests fail, since a part of the promise would be unproven.
describe('Git LFS', () => {
  const attributes = '*.bin filter=lfs diff=lfs merge=lfs -text\n'

  test('content in place of pointers, fetched once, from the project itself whatever .lfsconfig says', async () => {
    const content = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 253))
    const { pointer } = scene.server.addLfs(content)
    const second = scene.server.addLfs(Buffer.from('second'))
    const { sha, mirror, into } = await pack('lfs/ok', {
      '.gitattributes': attributes,
      '.lfsconfig': '[lfs]\n\turl = http://127.0.0.1:1/evil\n[remote "origin"]\n\tlfsurl = http://127.0.0.1:1/evil\n',
      'data/a b.bin': pointer,
      'same.bin': pointer,
      'second.bin': second.pointer,
      'plain.bin': 'committed without lfs',
      'pointer.txt': pointer,
    })
    const packed = await packSource(mirror, sha, into)
    const out = await unpack(into)
    const tree = await describeTree(out)
    expect(tree['data/a b.bin']).toBe(content.toString('latin1'))
    expect(tree['same.bin']).toBe(content.toString('latin1'))
    expect(tree).toMatchObject({ 'second.bin': 'second', 'plain.bin': 'committed without lfs', 'pointer.txt': pointer })
    expect(await runGit(out, ['status', '--porcelain'])).toBe('')
    const downloads = scene.server.count(/gitlab-lfs/)
    expect(downloads).toBe(2)
    expect((await packSource(mirror, sha, `${into}.2`)).sha256).toBe(packed.sha256)
    expect(scene.server.count(/gitlab-lfs/)).toBe(downloads)
    expect(await run('grep', ['-rlF', scene.server.token, mirror.dir, out]).catch(e => e.stdout)).toBe('')
  })

  test('a missing object is an error that names the file', async () => {
    const { oid, pointer } = scene.server.addLfs(Buffer.from('gone'))
    scene.server.lfs.delete(oid)
    const { sha, mirror, into } = await pack('lfs/missing', { '.gitattributes': attributes, 'data/gone.bin': pointer })
    const error = await packSource(mirror, sha, into).catch(e => e)
    expect(error).toMatchObject({ kind: 'not found', transient: false })
    expect(error.message).toContain('data/gone.bin is stored with Git LFS, and its content is missing on GitLab')
    expect(error.message).not.toContain(scene.server.token)
  })

  test('a commit without pointers does not need git-lfs; one with them says which file does', async () => {
    const { pointer } = scene.server.addLfs(Buffer.from('needed'))
    const { dir, sha, mirror, into } = await pack('lfs/absent', { '.gitattributes': attributes, 'x.bin': pointer })
    const plain = await commitFiles(
      dir,
      { '.gitattributes': attributes, 'x.bin': 'plain' },
      { ref: 'refs/heads/plain' },
    )
    // A PATH that has git and not git-lfs.
    const bin = join(scene.dir, 'bin')
    await mkdir(bin, { recursive: true })
    const git = (await run('sh', ['-c', 'command -v git'])).stdout.trim()
    await writeFile(join(bin, 'git'), `#!/bin/sh\nPATH=${bin} exec ${git} "$@"\n`, { mode: 0o755 })
    const path = process.env.PATH
    process.env.PATH = bin
    try {
      await packSource(mirror, plain, into)
      await expect(packSource(mirror, sha, into)).rejects.toThrow(
        'x.bin is stored with Git LFS, and git-lfs is not installed',
      )
    } finally {
      process.env.PATH = path
    }
  })
})
