import { mkdir, mkdtemp, readdir, rm, stat, unlink } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Log } from '../src/log.ts'
import { listenOnSocket } from '../src/operator-socket.ts'
import { until } from './support/until.ts'

const log = { warn() {} } as unknown as Log
const named = (name: string) => new Hono().get('/', c => c.text(name))
let dataDir = ''

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'compops-socket-'))
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

/** Who answers there; null where nobody does. */
function whoAnswers(socketPath = join(dataDir, 'compops.sock')): Promise<string | null> {
  return new Promise(resolve => {
    const asked = request({ socketPath, path: '/', agent: false }, async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve(text)
    })
    asked.on('error', () => resolve(null))
    asked.end()
  })
}

describe('the operator socket', () => {
  it('lets nobody in but its owner, and leaves nothing behind', async () => {
    const socket = await listenOnSocket(dataDir, named('one'), log)
    expect((await stat(join(dataDir, 'compops.sock'))).mode & 0o777).toBe(0o600)
    expect(await readdir(dataDir)).toEqual(['compops.sock'])
    expect(await whoAnswers()).toBe('one')
    await socket.close()
    expect(await readdir(dataDir)).toEqual([])
  })

  it('is taken over when the one who had it has gone, and when somebody removed it', async () => {
    const one = await listenOnSocket(dataDir, named('one'), log, { lookEvery: 20 })
    const two = await listenOnSocket(dataDir, named('two'), log, { lookEvery: 20 })
    expect(await whoAnswers()).toBe('one')
    await one.close()
    await until('two to take over', async () => (await whoAnswers()) === 'two')
    await unlink(join(dataDir, 'compops.sock'))
    await until('two to be there again', async () => (await whoAnswers()) === 'two')
    await two.close()
  })

  it('works below a path that is longer than a socket may have', async () => {
    const long = join(dataDir, 'd'.repeat(100), 'data')
    await mkdir(long, { recursive: true })
    const socket = await listenOnSocket(long, named('far away'), log)
    process.chdir(long)
    expect(await whoAnswers('compops.sock')).toBe('far away')
    process.chdir('/')
    await socket.close()
    expect(await readdir(long)).toEqual([])
  })
})
