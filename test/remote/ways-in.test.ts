import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { createOpensshRemote, type OpensshOptions } from '../../src/remote/openssh.ts'
import type { Remote, RemoteEvent } from '../../src/remote/remote.ts'
import { createSsh2Remote, type Ssh2Options, type Station } from '../../src/remote/ssh2.ts'
import { patience } from '../support/patience.ts'
import { freePort } from '../support/proxy.ts'
import { type Sshd, type SshdOptions, startSshd } from '../support/sshd.ts'

/** Ways that lead to a cluster over more than one machine, or by the system's ssh. Every machine is a real sshd on this one. */

let login: Sshd
let dir: string
const open: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  login = await startSshd()
})
afterAll(() => login?.stop())
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ways-'))
})
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
  await rm(dir, { recursive: true, force: true })
})

async function serve(options: SshdOptions = {}): Promise<Sshd> {
  const own = await startSshd(options)
  open.push({ close: () => own.stop() })
  return own
}

/** Knows the host keys of all of them. */
async function knownHosts(...servers: Sshd[]): Promise<string> {
  const file = join(dir, 'known_hosts')
  await writeFile(file, (await Promise.all(servers.map(one => readFile(one.knownHostsFile)))).join(''))
  return file
}

function connect(options: Ssh2Options): Remote {
  const remote = createSsh2Remote({ backOff: { first: 50, max: 50 }, ...options })
  open.push(remote)
  return remote
}

function connectByOpenssh(options: Partial<OpensshOptions>): Remote {
  const remote = createOpensshRemote({
    host: '127.0.0.1',
    configFile: '/dev/null',
    controlDir: join(dir, 'control'),
    cluster: 'falcon',
    renew: '`compops connect falcon`',
    backOff: { first: 50, max: 50 },
    ...options,
  })
  open.push(remote)
  return remote
}

const stationOf = ({ host, port, user, identityFile, knownHostsFile }: Sshd): Station => ({
  ...{ host, port, user, identityFile, knownHostsFile },
})

/** Beside the sockets lies the ssh_config for them. */
async function socketsIn(controlDir: string): Promise<string[]> {
  return (await readdir(controlDir)).filter(name => !name.endsWith('.conf'))
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 15_000 * patience, interval: 20 })
}

const hello = { program: 'echo "hello $(cat)"', input: 'falcon' }

describe('jump hosts', () => {
  test('two in ProxyJump order, each signed in to with its own key, one connection each', async () => {
    const [first, second] = [await serve(), await serve()]
    const before = login.connections()
    const remote = connect({ ...stationOf(login), jump: [stationOf(first), stationOf(second)] })
    expect((await remote.run(hello)).stdout).toBe('hello falcon\n')
    expect((await remote.run({ program: 'wc -c', input: Buffer.alloc(3_000_000) })).stdout.trim()).toBe('3000000')
    expect([first.connections(), second.connections(), login.connections() - before]).toEqual([1, 1, 1])
    // The way there dies: noticed, and made anew.
    await second.halt()
    await until(() => remote.stats().connectedSince === null)
    await second.start()
    await until(() =>
      remote.run(hello).then(
        answer => answer.rc === 0,
        () => false,
      ),
    )
    await remote.close()
  })

  test('each failure names its machine', async () => {
    const [first, second] = [await serve(), await serve({ config: ['AllowTcpForwarding no'] })]
    const failureOf = async (jump: Station[], target: Station = stationOf(login)): Promise<string> => {
      const error = await connect({ ...target, jump })
        .run(hello)
        .catch(thrown => thrown)
      expect(error).toMatchObject({ kind: 'unreachable', maybeRan: false })
      return error.message
    }
    const empty = join(dir, 'empty')
    await writeFile(empty, '')
    const at = (one: { user: string; host: string; port: number }) => `${one.user}@${one.host}:${one.port}`
    expect(await failureOf([{ ...stationOf(first), knownHostsFile: empty }])).toMatch(
      new RegExp(
        `^the jump host ${at(first)}: host key ssh-ed25519 SHA256:\\S+ of \\[127.0.0.1\\]:${first.port} is not in`,
      ),
    )
    expect(await failureOf([stationOf(first), { ...stationOf(second), identityFile: login.identityFile }])).toMatch(
      new RegExp(`^jump host 2 of 2, ${at(second)}: ${at(second)} refuses the key`),
    )
    const nobody = await freePort()
    expect(await failureOf([{ ...stationOf(first), port: nobody, knownHostsFile: first.knownHostsFile }])).toMatch(
      new RegExp(`^the jump host ${first.user}@127.0.0.1:${nobody}: cannot connect to .+ECONNREFUSED`),
    )
    expect(await failureOf([stationOf(second)])).toMatch(
      new RegExp(`^${at(second)} does not lead on to 127.0.0.1:${login.port}: .*AllowTcpForwarding`),
    )
    expect(await failureOf([stationOf(first)], { ...stationOf(login), port: nobody })).toMatch(
      new RegExp(`^${at(first)} does not lead on to 127.0.0.1:${nobody}: `),
    )
    // The host key of what lies behind is checked as well, and looked for from there.
    expect(await failureOf([stationOf(first)], { ...stationOf(login), knownHostsFile: empty })).toContain(
      `ssh-keyscan -p ${login.port} 127.0.0.1, run on ${at(first)}`,
    )
  })
})

describe('several login nodes', () => {
  test('one is used; when it is away the next, and when that goes the first again', async () => {
    const [one, two] = [login, await serve({ identityFile: login.identityFile })]
    const nobody = await freePort()
    const events: RemoteEvent[] = []
    const remote = connect({
      ...stationOf(one),
      port: nobody,
      fallbacks: [
        { host: two.host, port: two.port },
        { host: one.host, port: one.port },
      ],
      knownHostsFile: await knownHosts(one, two),
      onEvent: event => events.push(event),
    })
    const before = one.connections()
    await Promise.all([remote.run(hello), remote.run(hello), remote.run(hello)])
    expect([two.connections(), one.connections() - before]).toEqual([1, 0])
    expect(events).toMatchObject([{ type: 'error', error: { kind: 'unreachable' } }, { type: 'connected' }])
    await two.halt()
    await until(() => remote.stats().connectedSince === null)
    expect((await remote.run(hello)).rc).toBe(0)
    expect(one.connections() - before).toBe(1)
    expect(remote.stats()).toMatchObject({ connects: 2, unreachableSince: null })
  })

  test.each(['ssh2', 'openssh'])('one that does not do is left for the next, by %s', async way => {
    const one = await serve()
    const two = await serve({ identityFile: one.identityFile })
    const config = join(dir, 'nodes')
    const entry = (name: string, { host, port, user, identityFile, knownHostsFile }: Sshd) =>
      `Host ${name}\n  HostName ${host}\n  Port ${port}\n  User ${user}\n  IdentityFile ${identityFile}\n  UserKnownHostsFile ${knownHostsFile}\n`
    await writeFile(config, entry('one', one) + entry('two', two))
    const remote =
      way === 'openssh'
        ? connectByOpenssh({ host: 'one', fallbacks: ['two'], configFile: config })
        : connect({ ...stationOf(one), fallbacks: [two], knownHostsFile: await knownHosts(one, two) })
    await remote.run(hello)
    expect([one.connections(), two.connections()]).toEqual([1, 0])
    remote.passOver?.(new Error('it sees another root'))
    expect(remote.stats().connectedSince).toBe(null)
    await until(() =>
      remote.run(hello).then(
        answer => answer.rc === 0,
        () => false,
      ),
    )
    expect([one.connections(), two.connections()]).toEqual([1, 1])
  })

  test('all away: one error that names them all', async () => {
    const [a, b] = [await freePort(), await freePort()]
    const remote = connect({
      ...stationOf(login),
      port: a,
      fallbacks: [{ host: '127.0.0.1', port: b }],
    })
    await expect(remote.run(hello)).rejects.toThrow(
      new RegExp(`^none of the 2 login nodes can be used: cannot connect to .+:${a}: .+; cannot connect to .+:${b}: `),
    )
  })
})

describe.each(['ssh2', 'openssh'])('a server with MaxSessions 1, by %s', way => {
  test('answers ten at once, takes a stream, and has its programs ended at the deadline', async () => {
    const own = await serve({ maxSessions: 1 })
    const remote = way === 'ssh2' ? connect(stationOf(own)) : connectByOpenssh(stationOf(own))
    const asked = Array.from({ length: 10 }, (_, n) =>
      remote.run({ program: 'cat', input: n % 2 === 0 ? String(n) : Readable.from([String(n)]) }),
    )
    expect((await Promise.all(asked)).map(answer => answer.stdout)).toEqual(asked.map((_, n) => String(n)))
    const program = `echo $$ >'${dir}/pid'; while [ -d '${dir}' ]; do sleep 0.05; done`
    const late = remote.run({ program, deadline: 4_000 })
    await expect(late).rejects.toMatchObject({ kind: 'timeout', maybeRan: true })
    const pid = Number(await readFile(join(dir, 'pid'), 'utf8'))
    await until(() => !existsSync(`/proc/${pid}`))
    expect((await remote.run(hello)).rc).toBe(0)
  })
})

describe('by the system’s ssh', () => {
  /** An alias, with what people have in their ssh_config besides. */
  async function writeSshConfig(sshd: Sshd, more = ''): Promise<string> {
    const file = join(dir, 'ssh_config')
    await writeFile(
      file,
      `Host falcon
  HostName ${sshd.host}
  Port ${sshd.port}
  User ${sshd.user}
  IdentityFile ${sshd.identityFile}
  UserKnownHostsFile ${sshd.knownHostsFile}
  RemoteCommand htop
  RequestTTY force
  LocalForward 127.0.0.1:${await freePort()} 127.0.0.1:80
  StrictHostKeyChecking no
  ControlPath ${dir}/theirs
${more}`,
    )
    return file
  }

  test('an alias of ssh_config is enough; one connection, whose socket is ours alone, however long its path', async () => {
    const own = await serve()
    const controlDir = join(dir, 'a-long-name-'.repeat(8), 'ssh')
    const remote = connectByOpenssh({ host: 'falcon', configFile: await writeSshConfig(own), controlDir })
    await Promise.all(Array.from({ length: 6 }, () => remote.run(hello)))
    expect((await remote.run(hello)).stdout).toBe('hello falcon\n')
    expect(own.connections()).toBe(1)
    expect(remote.stats()).toMatchObject({ connects: 1, commands: 7, connectedSince: expect.any(Date) })
    expect((await stat(controlDir)).mode & 0o777).toBe(0o700)
    const [socket = ''] = await socketsIn(controlDir)
    expect((await stat(join(controlDir, socket))).mode & 0o077).toBe(0)
    await remote.close()
    await until(async () => (await socketsIn(controlDir)).length === 0)
  })

  test('nor that of a hop: what holds for the last machine holds on the way there', async () => {
    const hop = await serve()
    const empty = join(dir, 'empty')
    await writeFile(empty, '')
    const gate = (known: string) => `Host gate
  HostName ${hop.host}
  Port ${hop.port}
  User ${hop.user}
  IdentityFile ${hop.identityFile}
  UserKnownHostsFile ${known}
  StrictHostKeyChecking no
  BatchMode no
`
    // A path that Include would take for a pattern of several.
    const folder = join(dir, 'a [b]* c')
    await mkdir(folder)
    const configFile = join(folder, 'ssh config')
    const settle = async (known: string) =>
      writeFile(configFile, await readFile(await writeSshConfig(login, `  ProxyJump gate\n${gate(known)}`)))
    await settle(empty)
    const remote = connectByOpenssh({ host: 'falcon', configFile, controlDir: join(folder, 'control') })
    await expect(remote.run(hello)).rejects.toThrow('the host key of falcon is not known: refused')
    expect(await readFile(empty, 'utf8')).toBe('')
    expect(hop.connections()).toBe(1)
    await settle(hop.knownHostsFile)
    await until(() =>
      remote.run(hello).then(
        answer => answer.stdout === 'hello falcon\n',
        () => false,
      ),
    )
    const written = (await readdir(join(folder, 'control'))).filter(name => name.endsWith('.conf'))
    expect(written).toHaveLength(1)
    expect((await stat(join(folder, 'control', written[0]!))).mode & 0o777).toBe(0o600)
  })

  test('a config_file that is not there is told', async () => {
    const remote = connectByOpenssh({ host: 'falcon', configFile: join(dir, 'nowhere') })
    await expect(remote.run(hello)).rejects.toThrow(/the ssh_config for the connection: .*nowhere/)
  })

  test('a connection that dies is noticed and made anew', async () => {
    const own = await serve()
    const remote = connectByOpenssh(stationOf(own))
    await remote.run(hello)
    await own.halt()
    await until(() => remote.stats().connectedSince === null)
    await expect(remote.run(hello)).rejects.toMatchObject({ kind: 'unreachable', maybeRan: false })
    await own.start()
    await until(() =>
      remote.run(hello).then(
        answer => answer.rc === 0,
        () => false,
      ),
    )
    expect(remote.stats()).toMatchObject({ connects: 2, unreachableSince: null })
  })

  test('while a program runs: the answer is cut, and the program may have run', async () => {
    const own = await serve()
    const remote = connectByOpenssh(stationOf(own))
    const answer = remote.run({ program: `touch '${dir}/begun'; while [ -d '${dir}' ]; do sleep 0.05; done` })
    const cut = expect(answer).rejects.toMatchObject({ kind: 'cut', maybeRan: true, transient: true })
    await until(() => existsSync(join(dir, 'begun')))
    await own.halt()
    await cut
  })

  test('ends with the service, even where that is killed', async () => {
    const own = await serve()
    const way = {
      ...stationOf(own),
      configFile: '/dev/null',
      controlDir: join(dir, 'control'),
      cluster: 'falcon',
      renew: '',
    }
    const program = `
      import { createOpensshRemote } from '${import.meta.resolve('../../src/remote/openssh.ts')}'
      await createOpensshRemote(${JSON.stringify(way)}).run({ program: 'true' })
      console.log('connected')
      setInterval(() => {}, 1000)`
    const service = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(service.stdout, 'data')
    expect(await socketsIn(way.controlDir)).toHaveLength(1)
    service.kill('SIGKILL')
    await until(async () => (await socketsIn(way.controlDir)).length === 0)
  })

  test('the next login node is taken where the first is away', async () => {
    const own = await serve()
    const config = await writeSshConfig(own, `Host away\n  HostName 127.0.0.1\n  Port ${await freePort()}\n`)
    const remote = connectByOpenssh({ host: 'away', fallbacks: ['falcon'], configFile: config })
    expect((await remote.run(hello)).rc).toBe(0)
  })

  test('a host key is never taken on first sight, whatever ssh_config says', async () => {
    const config = await writeSshConfig(login)
    const empty = join(dir, 'empty')
    await writeFile(empty, '')
    const remote = connectByOpenssh({ host: 'falcon', configFile: config, knownHostsFile: empty })
    const answer = remote.run(hello)
    await expect(answer).rejects.toMatchObject({ kind: 'unreachable', transient: false, maybeRan: false })
    await expect(answer).rejects.toThrow('the host key of falcon is not known: refused')
    expect(await readFile(empty, 'utf8')).toBe('')
  })
})

describe('a session that a person opens', () => {
  /** A person's answer to whatever ssh asks (ssh(1), SSH_ASKPASS). */
  async function typeIn(answer: string): Promise<void> {
    const file = join(dir, 'askpass')
    await writeFile(file, `#!/bin/sh\necho "$1" >>'${dir}/asked'\necho '${answer}'\n`)
    await chmod(file, 0o700)
    vi.stubEnv('SSH_ASKPASS', file)
    vi.stubEnv('SSH_ASKPASS_REQUIRE', 'force')
  }
  afterEach(() => void vi.unstubAllEnvs())

  async function compops(...args: string[]) {
    const out: string[] = []
    const err: string[] = []
    const code = await dispatch(args, {
      stdout: { write: (text: string) => out.push(text) },
      stderr: { write: (text: string) => err.push(text) },
      env: {},
    })
    return { code, out: out.join(''), err: err.join('') }
  }

  async function site(sshd: Sshd, more: string): Promise<string> {
    await mkdir(join(dir, 'data'), { recursive: true })
    const file = join(dir, 'compops.config.yml')
    await writeFile(join(dir, 'none'), '')
    await writeFile(
      file,
      `data_dir: data
gitlab: { url: https://gitlab.example.org, token: "\${NOT_IN_THIS_SHELL}" }
clusters:
  falcon:
    scheduler: slurm
    transport: openssh
    ssh: { host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${sshd.knownHostsFile}, config_file: ${join(dir, 'none')}${more} }
    root: /scratch/compops
  here: { scheduler: local, root: /srv/compops }
projects: []
`,
    )
    return file
  }
  const asService = (sshd: Sshd, more: Partial<OpensshOptions> = {}) =>
    connectByOpenssh({
      ...stationOf(sshd),
      configFile: join(dir, 'none'),
      controlDir: join(dir, 'data', 'ssh'),
      ...more,
    })

  test('with a passphrase at the keyboard; the service uses it, and says when a new one is needed', async () => {
    const own = await serve({ passphrase: 'correct horse' })
    const config = await site(own, '')
    const remote = asService(own)
    // No key works without a person: not tried again and again, and said so.
    const denied = remote.run(hello)
    await expect(denied).rejects.toThrow(/^falcon needs a new session: `compops connect falcon` \(.*Permission denied/)
    expect(await remote.needsSession?.()).toMatch(/^falcon needs a new session/)

    await typeIn('wrong')
    expect(await compops('connect', 'falcon', '--config', config)).toMatchObject({ code: 1, out: '' })
    await typeIn('correct horse')
    const opened = await compops('connect', 'falcon', '--config', config)
    expect(opened).toMatchObject({ code: 0, err: '' })
    expect(opened.out).toContain(`falcon: signed in as ${own.user}@127.0.0.1:${own.port}. The session lasts until`)
    expect(await readFile(join(dir, 'asked'), 'utf8')).toContain('Enter passphrase for key')
    expect(await remote.needsSession?.()).toBe(null)
    expect((await remote.run(hello)).stdout).toBe('hello falcon\n')
    expect((await compops('connect', 'falcon', '--config', config)).out).toContain('stands')

    // It outlives the service, and ends when it is told to.
    await remote.close()
    const next = asService(own)
    expect((await next.run(hello)).rc).toBe(0)
    expect((await compops('connect', 'falcon', '--end', '--config', config)).out).toContain('the session is ended')
    await until(() => next.stats().connectedSince === null)
    await expect(next.run(hello)).rejects.toThrow('falcon needs a new session')
  })

  test('session: required never signs in by itself, and notices at once when the site ends the session', async () => {
    const own = await serve()
    const config = await site(own, ', session: required')
    const remote = asService(own, { sessionRequired: true })
    await expect(remote.run(hello)).rejects.toMatchObject({ kind: 'unreachable', transient: false, maybeRan: false })
    await expect(remote.run(hello)).rejects.toThrow(/^falcon needs a new session: `compops connect falcon`$/)
    expect(own.connections()).toBe(0)
    expect((await compops('connect', 'falcon', '--config', config)).code).toBe(0)
    expect((await remote.run(hello)).rc).toBe(0)
    expect(own.connections()).toBe(1)
    await own.halt()
    await until(async () => (await remote.needsSession?.()) !== null)
    await expect(remote.run(hello)).rejects.toThrow(/^falcon needs a new session/)
  })

  test('a program over its deadline makes nobody sign in, also where there is no second channel to end it', async () => {
    const own = await serve({ maxSessions: 1 })
    const config = await site(own, ', session: required')
    const remote = asService(own, { sessionRequired: true })
    expect((await compops('connect', 'falcon', '--config', config)).code).toBe(0)
    const program = `touch '${dir}/begun'; while [ -e '${dir}/begun' ]; do sleep 0.05; done`
    await expect(remote.run({ program, deadline: 4_000 })).rejects.toMatchObject({ kind: 'timeout', maybeRan: true })
    await rm(join(dir, 'begun'))
    await until(() =>
      remote.run(hello).then(
        answer => answer.rc === 0,
        () => false,
      ),
    )
    expect(own.connections()).toBe(1)
  })

  test('is for clusters that need one', async () => {
    const config = await site(login, '')
    expect((await compops('connect', 'here', '--config', config)).err).toContain('here needs no session')
    expect((await compops('connect', 'falcn', '--config', config)).err).toContain('Did you mean falcon?')
    expect((await compops('connect', '--config', config)).code).toBe(2)
    await appendFile(config, 'clusters: twice\n')
    expect((await compops('connect', 'falcon', '--config', config)).code).toBe(1)
  })
})
