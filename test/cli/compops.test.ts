import { spawn, spawnSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const bin = fileURLToPath(new URL('../../src/cli/compops.mjs', import.meta.url))
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-bin-'))
  // Claims to be an old Node to compops.mjs, which a test cannot count on to find: same program, other version.
  await writeFile(join(folder, 'old.mjs'), "Object.defineProperty(process.versions, 'node', { value: '18.20.4' })\n")
  await script('too-old', 'echo v20.1.0')
  await script('new-enough', 'if [ "$1" = --version ]; then echo v24.1.0; else echo "ran $#"; exit 7; fi')
  await script('ends-by-signal', 'if [ "$1" = --version ]; then echo v24.1.0; else kill -TERM $$; fi')
  await script(
    'waits',
    'if [ "$1" = --version ]; then echo v24.1.0; else trap "echo got TERM; exit 3" TERM; echo ready; while :; do sleep 0.05; done; fi',
  )
})

afterAll(() => rm(folder, { recursive: true }))

async function script(name: string, body: string) {
  await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`)
  await chmod(join(folder, name), 0o755)
}

const asOld = () => ['--import', join(folder, 'old.mjs'), bin]

function run(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, CACHE_DIRECTORY: folder, ...env },
  })
}

describe('compops.mjs', () => {
  test('runs the command line in a Node that fits', () => {
    expect(run([bin, '--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect(run([bin, 'nonsense'])).toMatchObject({ status: 2 })
  })

  test('in a Node that is too old finds another, passes arguments and exit code', () => {
    expect(run([...asOld(), 'a', 'b'], { COMPOPS_NODE: join(folder, 'new-enough') })).toMatchObject({
      status: 7,
      stdout: expect.stringMatching(/^ran \d\n$/),
    })
  })

  test('says so when the Node it was given is too old', () => {
    expect(run(asOld(), { COMPOPS_NODE: join(folder, 'too-old') })).toMatchObject({
      status: 1,
      stderr: `COMPOPS_NODE is ${join(folder, 'too-old')}, which is no Node 24 or later.\n`,
    })
  })

  test('ends by the signal that ended the child', () => {
    expect(run(asOld(), { COMPOPS_NODE: join(folder, 'ends-by-signal') })).toMatchObject({
      status: null,
      signal: 'SIGTERM',
    })
  })

  test('passes signals on', async () => {
    const child = spawn(process.execPath, asOld(), {
      env: { PATH: process.env.PATH, COMPOPS_NODE: join(folder, 'waits') },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const out: string[] = []
    const code = await new Promise(resolve => {
      child.stdout.on('data', data => {
        out.push(String(data))
        if (String(data).includes('ready')) child.kill('SIGTERM')
      })
      child.on('exit', resolve)
    })
    expect([code, out.join('')]).toEqual([3, 'ready\ngot TERM\n'])
  })
})
