import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { LOADER } from '../../src/remote/loader.ts'
import type { Remote, RemoteEvent } from '../../src/remote/remote.ts'
import { createSsh2Remote, type Ssh2Options } from '../../src/remote/ssh2.ts'
import { patience } from '../support/patience.ts'
import { freePort, startProxy, type TcpProxy } from '../support/proxy.ts'
import { type Sshd, type SshdOptions, startSshd } from '../support/sshd.ts'

/** What only an SSH connection can do: be refused, break, freeze, come back. */

const run = promisify(execFile)
let sshd: Sshd
let dir: string
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ['ed25519', 'ecdsa', 'rsa'] })
})
afterAll(async () => {
  await sshd?.stop()
})
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ssh2-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(each => each.close()))
  await rm(dir, { recursive: true, force: true })
})

function connect(options: Partial<Ssh2Options> = {}): Remote {
  const remote = createSsh2Remote({ ...sshd, backOff: { first: 50, max: 50 }, ...options })
  open.push(remote)
  return remote
}

async function connectThroughProxy(options: Partial<Ssh2Options> = {}): Promise<{ remote: Remote; proxy: TcpProxy }> {
  const proxy = await startProxy(sshd)
  const knownHostsFile = await sshd.knownHostsFor(proxy.port)
  const remote = connect({ port: proxy.port, knownHostsFile, ...options })
  open.push({ close: () => proxy.stop() })
  return { remote, proxy }
}

async function serve(options: SshdOptions): Promise<Sshd> {
  const own = await startSshd(options)
  open.push({ close: () => own.stop() })
  return own
}

/** Waits for a state, at most ten seconds. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 10_000 * patience, interval: 10 })
}

const waitForGo = () => `touch '${dir}/begun'; while [ -d '${dir}' ] && ! [ -e '${dir}/go' ]; do sleep 0.02; done`

describe('the connection', () => {
  test('is one for all commands, made when first needed', async () => {
    const before = sshd.connections()
    const remote = connect()
    expect(remote.stats()).toMatchObject({ connects: 0, connectedSince: null })
    await Promise.all(Array.from({ length: 10 }, () => remote.run({ program: 'true' })))
    await remote.run({ program: 'true' })
    expect(sshd.connections() - before).toBe(1)
    expect(remote.stats()).toMatchObject({ connects: 1, commands: 11, connectedSince: expect.any(Date) })
  })

  test('with MaxSessions 4 fifty commands at once all answer', async () => {
    const own = await serve({ maxSessions: 4 })
    const remote = createSsh2Remote(own)
    open.push(remote)
    const requests = Array.from({ length: 50 }, (_, n) =>
      remote.run({ program: 'cat', input: String(n), ...(n % 5 === 0 ? { lane: 'urgent' as const } : {}) }),
    )
    expect((await Promise.all(requests)).map(answer => answer.stdout)).toEqual(requests.map((_, n) => String(n)))
    expect(own.connections()).toBe(1)
  })
})

describe('the account', () => {
  test('is sent the same command whatever is asked', async () => {
    const own = await serve({
      forceCommand: `printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>'${dir}/seen'; eval "$SSH_ORIGINAL_COMMAND"`,
    })
    const remote = createSsh2Remote(own)
    open.push(remote)
    expect((await remote.run({ program: 'cat', input: '$(id)' })).stdout).toBe('$(id)')
    expect((await remote.run({ program: 'echo two' })).stdout).toBe('two\n')
    expect(await readFile(join(dir, 'seen'), 'utf8')).toBe(`${LOADER}\n${LOADER}\n`)
  })

  test('may print what it likes before', async () => {
    const noise = `echo "compops-begin 0 1"; printf 'no newline'; echo 'stty: not a terminal' >&2`
    const remote = createSsh2Remote(await serve({ forceCommand: `${noise}; eval "$SSH_ORIGINAL_COMMAND"` }))
    open.push(remote)
    expect(await remote.run({ program: 'echo answer; echo warning >&2' })).toEqual({
      rc: 0,
      stdout: 'answer\n',
      stderr: 'warning\n',
    })
  })

  test('that gives no shell is told from a program that was cut', async () => {
    const remote = createSsh2Remote(
      await serve({ forceCommand: `echo 'This account is currently not available.'; exit 1` }),
    )
    open.push(remote)
    const answer = remote.run({ program: `touch '${dir}/ran'` })
    await expect(answer).rejects.toMatchObject({ kind: 'cut', maybeRan: false })
    await expect(answer).rejects.toThrow(
      '(exit code 1) without starting our program; it said: This account is currently not available.',
    )
  })
})

describe('a link that breaks', () => {
  test('while a program runs: an error, the program is finished, the next request connects anew', async () => {
    const events: RemoteEvent['type'][] = []
    const { remote, proxy } = await connectThroughProxy({ onEvent: event => events.push(event.type) })
    await remote.run({ program: 'true' })
    const submission = remote.run({ program: `${waitForGo()}; echo submitted; touch '${dir}/id'; echo 4711` })
    await until(() => existsSync(join(dir, 'begun')))
    proxy.cut()
    await expect(submission).rejects.toMatchObject({ kind: 'cut', transient: true, maybeRan: true })
    expect(existsSync(join(dir, 'id'))).toBe(false)
    await writeFile(join(dir, 'go'), '')
    await until(() => existsSync(join(dir, 'id')))
    expect((await remote.run({ program: 'echo again' })).stdout).toBe('again\n')
    expect(remote.stats()).toMatchObject({ connects: 2, unreachableSince: null })
    expect(events).toEqual(['connected', 'disconnected', 'connected'])
  })

  test('while idle costs nothing', async () => {
    const { remote, proxy } = await connectThroughProxy()
    await remote.run({ program: 'true' })
    proxy.cut()
    expect((await remote.run({ program: 'echo again' })).stdout).toBe('again\n')
    expect(proxy.connections()).toBe(2)
  })

  test('while requests wait for their channel: they are sent over the next one, once', async () => {
    const { remote, proxy } = await connectThroughProxy()
    await remote.run({ program: 'true' })
    proxy.freeze()
    const requests = Array.from({ length: 8 }, (_, n) =>
      remote.run({ program: `read -r n; echo $n >>'${dir}/ran'; echo $n`, input: `${n}\n` }),
    )
    await until(() => remote.stats().openChannels === 3)
    proxy.thaw()
    proxy.cut()
    const answers = await Promise.allSettled(requests)
    const ran = existsSync(join(dir, 'ran'))
      ? (await readFile(join(dir, 'ran'), 'utf8')).split('\n').filter(Boolean)
      : []
    expect(new Set(ran).size).toBe(ran.length)
    for (const [n, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') expect(answer.value.stdout).toBe(`${n}\n`)
      else expect(answer.reason).toMatchObject({ kind: 'cut', maybeRan: true })
    }
    expect(answers.slice(3).every(answer => answer.status === 'fulfilled')).toBe(true)
  })

  test('in the middle of a stream: the program can tell by what it expects', async () => {
    const { remote, proxy } = await connectThroughProxy()
    async function* endless() {
      for (;;) {
        yield randomBytes(50_000)
        if (existsSync(join(dir, 'begun'))) proxy.cut()
      }
    }
    const program = `touch '${dir}/begun'; tail -c 4 >'${dir}/tail'; [ "$(cat '${dir}/tail')" = done ] && touch '${dir}/whole'; touch '${dir}/end'`
    await expect(remote.run({ program, input: Readable.from(endless()) })).rejects.toMatchObject({ kind: 'cut' })
    await until(() => existsSync(join(dir, 'end')))
    expect(existsSync(join(dir, 'whole'))).toBe(false)
  })
})

describe('a link that freezes', () => {
  test('costs a request its deadline and the connection its life', async () => {
    const { remote, proxy } = await connectThroughProxy({ keepalive: { interval: 100, count: 2 } })
    await remote.run({ program: 'true' })
    proxy.freeze()
    await expect(remote.run({ program: 'true', deadline: 100 })).rejects.toMatchObject({
      kind: 'timeout',
      maybeRan: false,
    })
    await until(() => remote.stats().connectedSince === null)
    proxy.thaw()
    expect((await remote.run({ program: 'echo again' })).stdout).toBe('again\n')
    expect(remote.stats().connects).toBe(2)
  })

  test('while a program runs is found out by keepalive, long before the deadline', async () => {
    const { remote, proxy } = await connectThroughProxy({ keepalive: { interval: 100, count: 2 } })
    const answer = remote.run({ program: waitForGo() })
    await until(() => existsSync(join(dir, 'begun')))
    proxy.freeze('down')
    await expect(answer).rejects.toMatchObject({ kind: 'cut', maybeRan: true })
    await writeFile(join(dir, 'go'), '')
  })

  test('does not hold up the end', async () => {
    const { remote, proxy } = await connectThroughProxy()
    const answer = remote.run({ program: waitForGo() })
    await until(() => existsSync(join(dir, 'begun')))
    proxy.freeze()
    const refused = expect(answer).rejects.toMatchObject({ kind: 'closed', maybeRan: true })
    await remote.close()
    await refused
    await writeFile(join(dir, 'go'), '')
  })

  test('before the handshake: the deadline holds, then the time for connecting', async () => {
    const server = createServer(() => {})
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    open.push({ close: async () => void server.close() })
    const remote = connect({ port, connectTimeout: 400 })
    const hasty = expect(remote.run({ program: 'true', deadline: 50 })).rejects.toMatchObject({
      kind: 'timeout',
      maybeRan: false,
    })
    const patient = expect(remote.run({ program: 'true' })).rejects.toMatchObject({
      kind: 'unreachable',
      transient: true,
    })
    await hasty
    await patient
    expect(remote.stats().lastError).toBe(`cannot connect to ${remote.description}: no SSH handshake within 0.4 s`)
  })
})

describe('a host that is away', () => {
  test('is found again when it is back', async () => {
    const own = await serve({})
    const remote = createSsh2Remote({ ...own, backOff: { first: 100, max: 100 } })
    open.push(remote)
    await remote.run({ program: 'true' })
    await own.halt()
    await until(() => remote.stats().connectedSince === null)
    const refused = { kind: 'unreachable', transient: true, maybeRan: false }
    await expect(remote.run({ program: 'true' })).rejects.toMatchObject(refused)
    await expect(remote.run({ program: 'true' })).rejects.toMatchObject(refused)
    expect(remote.stats()).toMatchObject({
      unreachableSince: expect.any(Date),
      lastError: expect.stringContaining('ECONNREFUSED'),
    })
    await own.start()
    await until(() =>
      remote.run({ program: 'true' }).then(
        () => true,
        () => false,
      ),
    )
    expect(remote.stats()).toMatchObject({ connects: 2, unreachableSince: null })
  })

  test.each([
    ['nobody listens', async () => ({ host: '127.0.0.1', port: await freePort() }), 'ECONNREFUSED'],
    ['no such name', async () => ({ host: 'no-such-host.invalid', port: 22 }), 'no-such-host.invalid'],
  ])('%s', async (_what, target, message) => {
    const answer = connect(await target()).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject({ kind: 'unreachable', transient: true, maybeRan: false })
    await expect(answer).rejects.toThrow(message)
  })

  test('or accepts and hangs up is not hammered', async () => {
    const { remote, proxy } = await connectThroughProxy({ backOff: { first: 60_000, max: 60_000 } })
    proxy.accept(false)
    await expect(remote.run({ program: 'true' })).rejects.toMatchObject({ kind: 'unreachable' })
    await expect(remote.run({ program: 'true' })).rejects.toThrow(/is unreachable \(1 try, the next in \d+ s\)/)
    expect(proxy.connections()).toBe(1)
  })
})

describe('the host key', () => {
  const known = () => join(dir, 'known_hosts')
  const refused = { kind: 'unreachable', transient: false, maybeRan: false }

  test('that is unknown is refused, with its fingerprint and how to add it', async () => {
    const { stdout } = await run('ssh-keygen', ['-lf', join(sshd.dir, 'host_ed25519.pub')])
    const fingerprint = stdout.split(' ')[1]
    const answer = connect({ knownHostsFile: known() }).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject(refused)
    await expect(answer).rejects.toThrow(
      `host key ssh-ed25519 ${fingerprint} of [127.0.0.1]:${sshd.port} is not in ${known()}: refused. ` +
        `Compare the fingerprint with the one your site publishes, then add it: ssh-keyscan -p ${sshd.port} 127.0.0.1 >> ${known()}`,
    )
  })

  test('is accepted once it was added as the message says', async () => {
    await appendFile(known(), (await run('ssh-keyscan', ['-p', String(sshd.port), '127.0.0.1'])).stdout)
    expect((await connect({ knownHostsFile: known() }).run({ program: 'true' })).rc).toBe(0)
  })

  test('that has changed is refused, naming the line', async () => {
    const own = await serve({})
    await own.halt()
    await own.start({ newHostKeys: true })
    await writeFile(known(), `# our cluster\n${await readFile(own.knownHostsFile, 'utf8')}`)
    const answer = connect({ ...own, knownHostsFile: known() }).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject(refused)
    await expect(answer).rejects.toThrow(
      /has changed: it shows ssh-ed25519 SHA256:\S+, .*known_hosts line 2 holds another\. Refused/,
    )
    await expect(answer).rejects.toThrow(`ssh-keygen -R '[127.0.0.1]:${own.port}'`)
  })

  test('is found under a hashed name', async () => {
    await copyFile(sshd.knownHostsFile, known())
    await run('ssh-keygen', ['-H', '-f', known()])
    expect(await readFile(known(), 'utf8')).toMatch(/^\|1\|/)
    expect((await connect({ knownHostsFile: known() }).run({ program: 'true' })).rc).toBe(0)
  })

  test.each(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])('of the one known type is asked for: %s', async type => {
    const lines = (await readFile(sshd.knownHostsFile, 'utf8')).split('\n')
    await writeFile(known(), lines.filter(line => line.includes(` ${type} `)).join('\n'))
    expect((await connect({ knownHostsFile: known() }).run({ program: 'true' })).rc).toBe(0)
  })

  test('of a type that the host no longer has is not replaced by another', async () => {
    const own = await serve({ hostKeyTypes: ['ed25519'] })
    const line = (await readFile(sshd.knownHostsFile, 'utf8')).split('\n').find(text => text.includes(' ssh-rsa '))
    await writeFile(known(), `${line?.replace(`:${sshd.port} `, `:${own.port} `)}\n`)
    const answer = connect({ ...own, knownHostsFile: known() }).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject(refused)
    await expect(answer).rejects.toThrow(
      /has no host key of a type that .* line 1 knows and that is still accepted \(ssh-rsa\): refused/,
    )
  })

  test('that is revoked is refused', async () => {
    const text = await readFile(sshd.knownHostsFile, 'utf8')
    await writeFile(known(), text + text.replace(/^\S+/gm, '@revoked *'))
    const answer = connect({ knownHostsFile: known() }).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject(refused)
    await expect(answer).rejects.toThrow('is marked @revoked')
  })
})

describe('the user key', () => {
  const refused = { kind: 'unreachable', transient: false, maybeRan: false }

  test('may be encrypted', async () => {
    const own = await serve({ passphrase: 'open sesame' })
    expect((await connect({ ...own, passphrase: 'open sesame' }).run({ program: 'true' })).rc).toBe(0)
    const wrong = connect({ ...own, passphrase: 'open barley' }).run({ program: 'true' })
    await expect(wrong).rejects.toMatchObject(refused)
    await expect(wrong).rejects.toThrow(`identity file ${own.identityFile}: the configured passphrase does not open it`)
    const missing = connect(own).run({ program: 'true' })
    await expect(missing).rejects.toMatchObject(refused)
    await expect(missing).rejects.toThrow('is encrypted, and no passphrase is configured')
  })

  test.each([
    ['is missing', async () => join(dir, 'nothing'), /identity file .*nothing: cannot be read \(ENOENT/],
    ['is the public one', async () => `${sshd.identityFile}.pub`, /holds a public key; name the private one/],
    ['is something else', async () => sshd.knownHostsFile, /is not a private key in a known format/],
    [
      'is not one of the account',
      async () => {
        await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'other')])
        return join(dir, 'other')
      },
      /refuses the key .*other \(SHA256:\S+\): its public part must stand in ~\/\.ssh\/authorized_keys/,
    ],
  ])('that %s', async (_what, file, message) => {
    const answer = connect({ identityFile: await file() }).run({ program: 'true' })
    await expect(answer).rejects.toMatchObject(refused)
    await expect(answer).rejects.toThrow(message)
  })

  test('is read again at each connect', async () => {
    const identityFile = join(dir, 'key')
    const remote = connect({ identityFile })
    await expect(remote.run({ program: 'true' })).rejects.toMatchObject(refused)
    await copyFile(sshd.identityFile, identityFile)
    await until(() =>
      remote.run({ program: 'true' }).then(
        () => true,
        () => false,
      ),
    )
  })
})
