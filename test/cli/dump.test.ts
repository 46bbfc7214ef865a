import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { loadConfig } from '../../src/config/index.ts'
import { startService } from '../../src/main.ts'
import { openStore } from '../../src/store/open.ts'
import { saveProject } from '../../src/store/projects.ts'
import { rootMarkOf } from '../../src/store/root-mark.ts'
import { connections, projects } from '../../src/store/schema.ts'
import { emptyDatabase } from '../support/empty-database.ts'
import { quietPort } from '../support/quiet-port.ts'

let folder = ''
const mark = 'a'.repeat(32)
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-cli-dump-'))
  for (const name of ['old', 'new', 'none']) await cp(await emptyDatabase(), join(folder, name), { recursive: true })
  const store = await openStore({ databaseUrl: null, dataDir: join(folder, 'old') })
  await saveProject(store.db, { id: 7, path: 'physics/heat', defaultBranch: 'main' })
  await rootMarkOf(store.db, 'laptop').keep('/scratch', mark)
  await store.close()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function config(dataDir: string): Promise<string> {
  const file = join(folder, `${dataDir}.yml`)
  await writeFile(
    file,
    `listen: 127.0.0.1:${await quietPort()}
public_url: http://localhost
data_dir: ./${dataDir}
gitlab: { url: http://localhost, token: t0ken-t0ken, webhook_secret: secret-secret }
clusters: { laptop: { scheduler: local, root: ${folder}/root } }
projects: [{ path: physics/*, clusters: [laptop] }]
`,
  )
  return file
}

async function compops(...args: string[]) {
  const said = { code: 0, out: '', err: '' }
  said.code = await dispatch(args, {
    stdout: { write: text => (said.out += text) },
    stderr: { write: text => (said.err += text) },
    env: {},
  })
  return said
}

describe('compops dump and restore', () => {
  test('move a database through a compressed file that only its owner may read; the next start looks before it runs anything', async () => {
    const file = join(folder, 'backup.gz')
    expect(await compops('dump', '--config', await config('old'), file)).toMatchObject({ code: 0, out: '' })
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await readdir(folder)).filter(name => name.endsWith('.part'))).toEqual([])
    const restored = await compops('restore', '--config', await config('new'), file)
    expect(restored).toMatchObject({
      code: 0,
      err: expect.stringMatching(/projects +1\n[\s\S]*until then nothing is submitted/),
    })
    const store = await openStore({ databaseUrl: null, dataDir: join(folder, 'new') })
    expect(await store.db.select().from(projects)).toMatchObject([{ path: 'physics/heat', recovering: true }])
    expect(await store.db.select().from(connections)).toMatchObject([
      { name: 'laptop', recovering: true, rootMark: { root: '/scratch', word: mark } },
    ])
    await store.close()
    expect(await compops('restore', '--config', await config('new'), file)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^compops restore: the database is not empty/),
    })
  })

  test('the embedded database of a running service is read by the service', async () => {
    const file = await config('old')
    const service = await startService(await loadConfig(file, {}), { logTo: { write: () => true } })
    try {
      const { code, out, err } = await compops('dump', '--config', file)
      expect(code).toBe(0)
      expect(err).toMatch(/projects +1\n[\s\S]* of the running service written to standard output/)
      expect(out).toMatch(/^\{"compops":"dump"[^\n]*\n(\{[^\n]*\}\n)+\{"end":\{[^\n]*\}\}\n$/)
      expect((await readdir(service.context.config.dataDir)).filter(name => name.startsWith('dump.'))).toEqual([])
    } finally {
      await service.stop()
    }
  })

  test('a mistyped data directory is told, and becomes neither a directory nor an empty backup', async () => {
    const file = join(folder, 'typo.gz')
    expect(await compops('dump', '--config', await config('nowhere'), file)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/nowhere, the data directory of .*, does not exist/),
    })
    expect((await readdir(folder)).filter(name => /^nowhere$|^typo\.gz/.test(name))).toEqual([])
  })

  test('letters of several bytes arrive whole, wherever the service cuts what it sends', async () => {
    const file = await config('letters')
    await cp(await emptyDatabase(), join(folder, 'letters'), { recursive: true })
    const service = await startService(await loadConfig(file, {}), { logTo: { write: () => true } })
    try {
      const path = `physics/${'\u20ac'.repeat(1_000)}`
      for (let id = 1; id <= 150; id++)
        await saveProject(service.context.db, { id, path: path + id, defaultBranch: null })
      const { out } = await compops('dump', '--config', file)
      expect(out).not.toContain('\ufffd')
      expect(out.match(/\u20ac/g)).toHaveLength(150_000)
    } finally {
      await service.stop()
    }
  })

  test('write to standard output without a file', async () => {
    const { out } = await compops('dump', '--config', await config('old'))
    expect(out).toMatch(/^\{"compops":"dump"[^\n]*\n(\{[^\n]*\}\n)+\{"end":\{[^\n]*\}\}\n$/)
  })

  test('leave nothing half-written, and say what is wrong in one line', async () => {
    const old = await config('old')
    expect(await compops('dump', '--config', old, join(folder, 'nowhere', 'x'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^compops dump: .*nowhere\/x cannot be written: .*ENOENT/),
    })
    expect(await compops('restore', '--config', await config('none'), join(folder, 'missing.gz'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^compops restore: the dump cannot be read: .*ENOENT/),
    })
    expect(await compops('restore', '--config', old)).toMatchObject({
      code: 2,
      err: expect.stringContaining('which file?'),
    })
    expect(await compops('dump', '--config', old, 'a', 'b')).toMatchObject({ code: 2 })
  })
})
