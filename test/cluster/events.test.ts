import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCluster } from '../../src/cluster/cluster.ts'
import { type ClusterEvent, createEventReader } from '../../src/cluster/events.ts'
import { eventsProgram } from '../../src/cluster/events-program.ts'
import { compact } from '../../src/cluster/preamble.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest } from './requests.ts'

/** News of jobs: what the loop on the cluster tells, what it leaves alone, when it ends, and what it costs. */

const id = (n: number) => `0190f3c2-0000-7000-8000-00000000000${n}`
const places: string[] = []
const loops: ChildProcessWithoutNullStreams[] = []
let events: string

beforeEach(() => {
  const place = mkdtempSync(join(tmpdir(), 'compops-events-'))
  places.push(place)
  events = join(place, 'events')
  mkdirSync(events)
})
afterEach(() => {
  for (const loop of loops.splice(0)) loop.kill('SIGKILL')
})
afterAll(() => {
  for (const place of places) rmSync(place, { recursive: true, force: true })
})

/** As a job does it. */
function leave(name: string, text = ''): void {
  writeFileSync(join(events, '..', 'new'), text)
  renameSync(join(events, '..', 'new'), join(events, name))
}

function start(shell: readonly string[], { lifetime = 600, beats = 100, soon = 1, seldom = 2 } = {}) {
  const loop = spawn(shell[0]!, [...shell.slice(1), '-c', `trap : PIPE\n${compact(eventsProgram)}`], {
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    // Where it is /bin/sh that is its name; by its own it would read start files here.
    argv0: shell[0] === 'bash' ? 'sh' : shell[0]!,
  })
  loops.push(loop)
  let out = ''
  let err = ''
  loop.stdout.on('data', bytes => {
    out += bytes
  })
  loop.stderr.on('data', bytes => {
    err += bytes
  })
  loop.stdin.on('error', () => {})
  loop.stdin.write(`\n${events}\n${lifetime}\n${beats}\n${soon}\n${seldom}\n`)
  const ended = new Promise<number | null>(resolve => loop.once('exit', resolve))
  return {
    loop,
    ended,
    lines: () => out.split('\n').filter(line => line !== '' && line !== 'alive'),
    alive: () => out.includes('alive'),
    err: () => err,
  }
}

const shells = [['dash'], ['bash'], ['busybox', 'sh']].filter(([name]) => {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`])
    return true
  } catch {
    return false
  }
})

test('there is more than one shell to try', () => expect(shells.length).toBeGreaterThan(1))

describe.each(shells.map(shell => [shell.join(' '), shell] as const))('the loop in %s', (_, shell) => {
  test('tells each event once and removes it, old ones and new ones', async () => {
    leave(`${id(1)}.0.start`)
    const { lines } = start(shell)
    await until('the first', () => lines().length === 1)
    leave(`${id(1)}.0.progress`, '40 iteration 400\n')
    await until('the second', () => lines().length === 2)
    leave(`${id(2)}.17.end`)
    await until('the third', () => lines().length === 3)
    expect(lines()).toEqual([`${id(1)}.0.start`, `${id(1)}.0.progress 40 iteration 400`, `${id(2)}.17.end`])
    await until('an empty directory', () => readdirSync(events).length === 0)
  })

  test('what is torn, strange, huge or never ends says nothing, and holds up nobody', async () => {
    execFileSync('mkfifo', [join(events, `${id(1)}.0.progress`)])
    symlinkSync('/etc/passwd', join(events, `${id(2)}.0.progress`))
    leave(`${id(3)}.0.progress`, `1 ${'x'.repeat(5_000_000)}`)
    leave(`${id(4)}.0.progress`, '5 half a li')
    mkdirSync(join(events, `${id(5)}.0.end`))
    mkdirSync(join(events, 'a directory'))
    for (const name of [
      'x.start',
      `${id(6)}.start`,
      `${id(6)}.x.start`,
      `${id(6)}.12345678.end`,
      `$(id).0.end`,
      '-rf',
      '*',
    ])
      writeFileSync(join(events, name), '')
    writeFileSync(join(events, `${id(6)}.0.start\n${id(7)}.0.end`), '')
    writeFileSync(join(events, `${id(8).toUpperCase()}.0.end`), '')
    leave(`${id(9)}.0.end`)
    const { lines, err } = start(shell)
    await until('the good one', () => lines().length > 0)
    leave(`${id(9)}.0.start`)
    await until('the next good one', () => lines().length > 1)
    expect(lines()).toEqual([`${id(9)}.0.end`, `${id(9)}.0.start`])
    const left = () => readdirSync(events).sort()
    await until('the rest to be gone', () =>
      left().every(
        name =>
          name.startsWith(id(5)) ||
          name === 'a directory' ||
          /^(\$|x|0190f3c2-0000-7000-8000-000000000006)/.test(name) ||
          /[A-Z]/.test(name),
      ),
    )
    expect(err()).toBe('')
    expect(existsSync('/etc/passwd')).toBe(true)
  })

  test.each([
    ['its input ends', (loop: ChildProcessWithoutNullStreams) => loop.stdin.end()],
    [
      'nobody reads any more',
      (loop: ChildProcessWithoutNullStreams) => {
        loop.stdin.destroy()
        loop.stdout.destroy()
      },
    ],
  ])('ends when %s', async (_when, cut) => {
    const { loop, ended } = start(shell)
    leave(`${id(1)}.0.start`)
    await until('it to be at work', () => readdirSync(events).length === 0)
    cut(loop)
    expect(await ended).toBe(0)
  })

  test('shows that it lives, and ends with its time', async () => {
    const { ended, alive } = start(shell, { lifetime: 10, beats: 4 })
    expect(await ended).toBe(0)
    expect(alive()).toBe(true)
  })

  test('a directory that cannot be had is said', async () => {
    rmSync(events, { recursive: true })
    writeFileSync(events, '')
    const { ended, err } = start(shell)
    expect(await ended).toBe(96)
    expect(err()).toMatch(/events/)
  })
})

describe('what the loop prints', () => {
  const read = (...pieces: string[]) => {
    const reader = createEventReader()
    return pieces.flatMap(piece => reader(Buffer.from(piece)) ?? [])
  }

  test('comes in any pieces', () => {
    const text = `${id(1)}.0.start\nalive\n${id(1)}.3.progress 4 Größe\n${id(1)}.0.end\n`
    const whole = read(text)
    expect(whole).toEqual([
      { kind: 'start', attemptId: id(1), task: 0, text: '' },
      { kind: 'progress', attemptId: id(1), task: 3, text: '4 Größe' },
      { kind: 'end', attemptId: id(1), task: 0, text: '' },
    ])
    const bytes = Buffer.from(text)
    const reader = createEventReader()
    expect([...bytes].flatMap(byte => reader(Buffer.from([byte])) ?? [])).toEqual(whole)
  })

  test.each([
    ['an id that is none', `${id(1)}0.0.start`],
    ['a kind that is none', `${id(1)}.0.stop`],
    ['a task that is none', `${id(1)}.-1.start`],
    ['text where there is none', `${id(1)}.0.end now`],
    ['a line without an end', 'x'.repeat(10_000)],
    ['a long text', `${id(1)}.0.progress ${'x'.repeat(1_001)}`],
  ])('%s says nothing', (_, line) => {
    expect(read(`${line}\n`)).toEqual([])
  })
})

test('a job tells of its start, its progress and its end, in bash and in other languages', async () => {
  const cluster = openCluster({
    name: 'here',
    dialect: dialectOf('local'),
    remote: createLocalRemote(),
    root: join(events, '..'),
    events: true,
  })
  const heard: ClusterEvent[] = []
  const stop = new AbortController()
  try {
    const listening = cluster.listen({ signal: stop.signal, onEvents: some => heard.push(...some) })
    const request = submitRequest({
      source: makeSource({ tell: '#!/bin/sh\ncompops_progress 70% "from a program"\n' }),
      spec: {
        script: [
          'set -u',
          `compops_progress 40 "iteration 400"`,
          'for i in 1 2 3; do compops_progress $i too often; done',
          'until [ ! -e "$COMPOPS_PROGRESS_FILE" ]; do sleep 0.1; done',
          'sh ./tell',
          'until [ ! -e "$COMPOPS_PROGRESS_FILE" ]; do sleep 0.1; done',
          'sleep 1.1',
          `compops_progress "$(printf 'two\\nlines $(id) |')"`,
          'until [ ! -e "$COMPOPS_PROGRESS_FILE" ]; do sleep 0.1; done',
          'PATH=/nowhere; compops_progress 100',
        ],
      },
    })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted' })
    await until('its end', () => heard.some(event => event.kind === 'end'))
    const words = heard.map(({ kind, text }) => [kind, text])
    // Those of one look come in the order of their names.
    expect(words.filter(([kind]) => kind === 'start')).toHaveLength(1)
    expect(words.filter(([kind]) => kind !== 'start')).toEqual([
      ['progress', '40 iteration 400'],
      ['progress', '70 from a program'],
      ['progress', '- two lines $(id) |'],
      ['end', ''],
    ])
    expect(new Set(heard.map(event => event.attemptId))).toEqual(new Set([request.attemptId]))
    stop.abort()
    await listening
  } finally {
    stop.abort()
    await cluster.close()
  }
})
