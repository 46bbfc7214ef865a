import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeTar } from '../../src/git/tar.ts'

const run = promisify(execFile)
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'compops-tar-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

test('tar reads back what was written: sizes around the block, long names, bytes that are no text, thousands of files', async () => {
  const source = join(dir, 'source')
  const long = `${'n'.repeat(99)}/${'m'.repeat(200)}`
  await mkdir(join(source, 'many'), { recursive: true })
  await mkdir(join(source, 'n'.repeat(99)))
  for (const size of [0, 1, 511, 512, 513, 65_536, 65_537, 1_048_576, 3_000_001]) {
    await writeFile(join(source, `size-${size}`), Buffer.alloc(size, `${size}`))
  }
  for (let i = 0; i < 300; i++) await writeFile(join(source, 'many', `${i}`), `${i}`)
  await writeFile(join(source, long), 'long')
  await writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x67, 0xfc, 0x6e])]), 'latin-1 name')
  await symlink('t'.repeat(150), join(source, 'long-link'))
  await symlink('t'.repeat(100), join(source, 'link-100'))
  await mkdir(join(source, 'd'.repeat(100)))
  await chmod(join(source, 'size-1'), 0o500)

  const tar = join(dir, 'a.tar')
  const written = await writeTar(source, tar, 1_700_000_000)
  const bytes = await readFile(tar)
  expect(written).toEqual({ size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
  expect(bytes.length % 10_240).toBe(0)
  const out = join(dir, 'out')
  await mkdir(out)
  await run('tar', ['-xf', tar, '-C', out])
  expect((await run('diff', ['-r', '--no-dereference', source, out])).stdout).toBe('')
  const modes = (await run('tar', ['-tvf', tar])).stdout
  expect(modes).toMatch(/^-rwxr-xr-x .* size-1$/m)
  expect(modes).toMatch(/^-rw-r--r-- .* size-0$/m)
  expect((await writeTar(out, join(dir, 'b.tar'), 1_700_000_000)).sha256).toBe(written.sha256)
})

test('nothing is written over', async () => {
  await writeFile(join(dir, 'there'), 'x')
  await expect(writeTar(dir, join(dir, 'there'), 0)).rejects.toThrow('EEXIST')
})

test('a pipe cannot be packed', async () => {
  const source = join(dir, 'pipes')
  await mkdir(source)
  await run('mkfifo', [join(source, 'p')])
  await expect(writeTar(source, join(dir, 'pipe.tar'), 0)).rejects.toThrow(
    'p: neither file, directory nor symbolic link',
  )
})
