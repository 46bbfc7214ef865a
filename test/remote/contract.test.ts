import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLocalRemote } from '../../src/remote/local.ts'
import { createOpensshRemote } from '../../src/remote/openssh.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { patience } from '../support/patience.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'

/** Every way to a cluster keeps the same contract: one suite for all. */

let sshd: Sshd
let dir: string
let remote: Remote

beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(async () => {
  await sshd?.stop()
})

/** Waits for a state, at most ten seconds. */
async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(holds()).toBe(true), { timeout: 10_000 * patience, interval: 10 })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe.each([
  ['ssh2', () => createSsh2Remote(sshd)],
  [
    'openssh',
    () =>
      createOpensshRemote({
        ...sshd,
        configFile: '/dev/null',
        controlDir: join(sshd.dir, 'control'),
        cluster: 'falcon',
        renew: 'sign in',
      }),
  ],
  ['local', () => createLocalRemote()],
])('%s', (_way, create) => {
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'remote-'))
    remote = create()
  })
  afterEach(async () => {
    await remote.close()
    await rm(dir, { recursive: true, force: true })
  })

  describe('the answer', () => {
    test('is what the program printed, on which stream, and its exit code', async () => {
      const program = 'echo "one  two"; printf three; echo warning >&2; exit 3'
      expect(await remote.run({ program })).toEqual({ rc: 3, stdout: 'one  two\nthree', stderr: 'warning\n' })
    })

    test.each([
      ['true', 0],
      ['false', 1],
      ['exit 255', 255],
      ['no-such-command-here', 127],
      ['kill -9 $(sh -c "echo \\$PPID")', 137],
      ['exec sh -c "exit 9"', 9],
      ['set -e; false; echo not reached', 1],
    ])('of `%s` is code %i', async (program, rc) => {
      expect(await remote.run({ program })).toMatchObject({ rc, stdout: '' })
    })

    test('keeps UTF-8', async () => {
      expect((await remote.run({ program: 'cat', input: 'Größe 測試 🚀' })).stdout).toBe('Größe 測試 🚀')
    })

    test('may be large', async () => {
      const { stdout } = await remote.run({ program: 'head -c 20000000 /dev/zero | tr "\\0" x' })
      expect(stdout.length).toBe(20_000_000)
    })

    test('is an error when larger than allowed, never shortened', async () => {
      const answer = remote.run({ program: 'head -c 1000001 /dev/zero', maxStdout: 1_000_000 })
      await expect(answer).rejects.toMatchObject({ kind: 'cut', maybeRan: true, transient: true })
      expect((await remote.run({ program: 'head -c 1000000 /dev/zero', maxStdout: 1_000_000 })).rc).toBe(0)
    })

    test('has the first 64 KiB of standard error, and more does not hold the program up', async () => {
      const { stderr, stdout } = await remote.run({ program: 'head -c 5000000 /dev/zero | tr "\\0" e >&2; echo done' })
      expect(stderr).toBe('e'.repeat(65_536))
      expect(stdout).toBe('done\n')
    })

    test('does not wait for children left in the background', async () => {
      const { stdout } = await remote.run({ program: '(trap "" TERM; sleep 30) & echo $!', deadline: 10_000 })
      process.kill(Number(stdout), 'SIGKILL')
    })
  })

  test('the program meets UTC, the C locale, private files, and the size of its input', async () => {
    const { stdout } = await remote.run({ program: 'echo "$TZ $LC_ALL $(umask) $input_bytes"', input: 'Größe' })
    expect(stdout).toBe('UTC C 0077 7\n')
  })

  describe('the input', () => {
    test.each([
      '',
      'no newline',
      '\n\n\n',
      '$(touch hacked) `touch hacked` ${IFS} ; touch hacked',
      `'"'"' \\' \\\\ !! !$ %s \\n`,
      '-rf --help',
      "EOF\nexit 1\n'",
      '\u0000\u0001\u001b[31m\r\n',
      '__proto__',
      '{a,b} *  ~ # é 🚀',
    ])('%j arrives as it is and is never read as shell text', async input => {
      const { rc, stdout } = await remote.run({ program: `cd '${dir}' && cat`, input })
      expect({ rc, stdout }).toEqual({ rc: 0, stdout: input })
      expect(await readdir(dir)).toEqual([])
    })

    test('of 5 MB random bytes arrives whole', async () => {
      const input = randomBytes(5_000_000)
      const { stdout } = await remote.run({ program: 'sha256sum', input })
      expect(stdout).toBe(`${createHash('sha256').update(input).digest('hex')}  -\n`)
    })

    test('may be a stream, read no faster than the program reads', async () => {
      const block = randomBytes(1_000_000)
      let read = 0
      async function* blocks() {
        for (; read < 30; read++) yield block
      }
      const answer = remote.run({
        program: `while [ -d '${dir}' ] && ! [ -e '${dir}/go' ]; do sleep 0.02; done; echo "<$input_bytes>"; sha256sum`,
        input: Readable.from(blocks()),
      })
      // Some is under way; nearly all waits here.
      await until(() => read > 0)
      await remote.run({ program: 'true', lane: 'urgent' })
      expect(read).toBeLessThan(20)
      await writeFile(join(dir, 'go'), '')
      const hash = createHash('sha256')
      for (let i = 0; i < 30; i++) hash.update(block)
      expect((await answer).stdout).toBe(`<>\n${hash.digest('hex')}  -\n`)
    })

    test('that fails half way is an error, and the program does not take it for the whole', async () => {
      async function* broken() {
        yield 'first half'
        await until(() => existsSync(join(dir, 'begun')))
        throw new Error('the mirror is gone')
      }
      const answer = remote.run({
        program: `touch '${dir}/begun'; cat >'${dir}/part'; touch '${dir}/whole'`,
        input: Readable.from(broken()),
      })
      await expect(answer).rejects.toThrow('could not be read: the mirror is gone')
      await expect(answer).rejects.toMatchObject({ kind: 'cut', maybeRan: true })
      await until(() => remote.stats().openChannels === 0)
      expect(existsSync(join(dir, 'whole'))).toBe(false)
    })

    test('need not be read', async () => {
      const stream = Readable.from(
        (async function* () {
          for (;;) yield randomBytes(100_000)
        })(),
      )
      expect((await remote.run({ program: 'echo enough', input: stream })).stdout).toBe('enough\n')
      expect(stream.destroyed).toBe(true)
      expect((await remote.run({ program: 'echo enough', input: randomBytes(10_000_000) })).stdout).toBe('enough\n')
    })
  })

  describe('the deadline', () => {
    test('ends the program and all it started, also what ignores a polite request', async () => {
      const rude = `sh -c 'trap "" TERM; echo $$ >rude; sleep 300; sleep 300'`
      const program = `cd '${dir}'; sh -c 'echo $$ >polite; exec sleep 300' & ${rude}; echo never`
      const answer = remote.run({ program, deadline: 3_000 })
      await expect(answer).rejects.toMatchObject({ kind: 'timeout', transient: true, maybeRan: true })
      await expect(answer).rejects.toThrow(/^no answer from .+ within 3 s \(running\)$/)
      for (const name of ['polite', 'rude']) {
        const pid = Number(await readFile(join(dir, name), 'utf8'))
        await until(() => !isAlive(pid))
      }
      await until(() => remote.stats().openChannels === 0)
    })

    test('counts the time spent waiting for a channel', async () => {
      const busy = Array.from({ length: 3 }, () =>
        remote.run({ program: `while [ -d '${dir}' ] && ! [ -e '${dir}/go' ]; do sleep 0.02; done` }),
      )
      const late = remote.run({ program: `touch '${dir}/ran'`, deadline: 200 })
      await expect(late).rejects.toMatchObject({ kind: 'timeout', maybeRan: false })
      await expect(late).rejects.toThrow('(waiting for a free channel)')
      await writeFile(join(dir, 'go'), '')
      await Promise.all(busy)
      expect(existsSync(join(dir, 'ran'))).toBe(false)
    })
  })

  describe('channels', () => {
    test('fifty commands at once all answer, never more than three of them run', async () => {
      const program = `read -r n; mkdir '${dir}/'$n; ls '${dir}' | wc -l; sleep 0.02; rmdir '${dir}/'$n; echo $n`
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => remote.run({ program, input: `${n}\n` })))
      expect(answers.map(answer => answer.stdout.split('\n')[1])).toEqual(answers.map((_, n) => String(n)))
      expect(Math.max(...answers.map(answer => Number(answer.stdout.split('\n')[0])))).toBeLessThanOrEqual(3)
      await until(() => remote.stats().openChannels === 0)
      expect(remote.stats().commands).toBe(50)
    })

    test('one is kept free for what is urgent', async () => {
      const busy = Array.from({ length: 5 }, () =>
        remote.run({ program: `while [ -d '${dir}' ] && ! [ -e '${dir}/go' ]; do sleep 0.02; done` }),
      )
      expect((await remote.run({ program: 'echo 4711', lane: 'urgent' })).stdout).toBe('4711\n')
      await writeFile(join(dir, 'go'), '')
      await Promise.all(busy)
    })
  })

  test('a shell that is killed gives no answer', async () => {
    const answer = remote.run({ program: 'echo half of the jobs; kill -9 $$' })
    await expect(answer).rejects.toMatchObject({ kind: 'cut', transient: true, maybeRan: true })
    expect((await remote.run({ program: 'echo still here' })).stdout).toBe('still here\n')
  })

  test('close lets go at once; what runs is finished, what waits never runs', async () => {
    const program = `read -r n; touch '${dir}/begun.'$n; while [ -d '${dir}' ] && ! [ -e '${dir}/go' ]; do sleep 0.02; done; touch '${dir}/done.'$n; echo $n`
    const answers = Array.from({ length: 5 }, (_, n) => remote.run({ program, input: `${n}\n` }))
    const ends = Promise.allSettled(answers)
    await vi.waitFor(async () => expect(await readdir(dir)).toHaveLength(3), {
      timeout: 10_000 * patience,
      interval: 10,
    })
    await remote.close()
    for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: { kind: 'closed' } })
    const reasons = (await ends).map(end => (end.status === 'rejected' ? end.reason.maybeRan : undefined))
    expect(reasons).toEqual([true, true, true, false, false])
    await writeFile(join(dir, 'go'), '')
    await until(() => [0, 1, 2].every(n => existsSync(join(dir, `done.${n}`))))
    expect(existsSync(join(dir, 'begun.3'))).toBe(false)
    await expect(remote.run({ program: 'true' })).rejects.toMatchObject({ kind: 'closed', maybeRan: false })
    await remote.close()
  })
})
