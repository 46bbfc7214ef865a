import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type Piece, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { pieceBytes, readPieces } from '../../src/cluster/files.ts'
import { readProgram } from '../../src/cluster/read-program.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { dialectOf } from '../../src/scheduler/index.ts'

/** Files of jobs, read piece by piece by a real shell from directories that their user filled. */

let root: string
let work: string
let own: string
let cluster: Cluster
const attempt: WatchedAttempt = {
  projectId: 42,
  runId: randomUUID(),
  jobId: randomUUID(),
  id: randomUUID(),
  nativeId: null,
}
const all = { offset: 0, bytes: 1_000_000 }

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'compops-files-'))
  work = join(root, '42', 'runs', attempt.runId, 'work')
  own = join(root, '42', 'runs', attempt.runId, 'jobs', attempt.jobId, attempt.id)
  mkdirSync(join(work, 'out', 'a b'), { recursive: true })
  mkdirSync(join(own, 'output'), { recursive: true })
  cluster = openCluster({ name: 'here', dialect: dialectOf('local'), remote: createLocalRemote(), root })
})
afterAll(async () => {
  await cluster.close()
  rmSync(root, { recursive: true, force: true })
})

const read = async (...paths: string[]) =>
  (
    await cluster.files.read(
      attempt,
      paths.map(path => ({ in: 'checkout', path, ...all })),
    )
  ).map(said)
const said = (piece: Piece) => ('problem' in piece ? piece.problem : piece.bytes.toString())

describe('what a job left behind, piece by piece', () => {
  test('bytes as they are, by offset, also from the end, with the size of the whole', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256))
    writeFileSync(join(work, 'out', 'a b', "it's $(id) 1.bin"), bytes)
    const path = "out/a b/it's $(id) 1.bin"
    const ask = async (offset: number, count: number) =>
      (await cluster.files.read(attempt, [{ in: 'checkout', path, offset, bytes: count }]))[0]
    expect(await ask(0, 100_000)).toEqual({ offset: 0, size: 70_000, bytes })
    expect(await ask(69_990, 5)).toEqual({ offset: 69_990, size: 70_000, bytes: bytes.subarray(69_990, 69_995) })
    expect(await ask(-3, 100)).toEqual({ offset: 69_997, size: 70_000, bytes: bytes.subarray(-3) })
    expect(await ask(80_000, 100)).toEqual({ offset: 80_000, size: 70_000, bytes: Buffer.alloc(0) })
  })

  test('many in few commands, in the order they were asked for', async () => {
    for (let i = 0; i < 60; i++) writeFileSync(join(work, 'out', `${i}.txt`), `text ${i}\n`)
    writeFileSync(join(own, 'output', 'x'), 'of the output directory')
    const before = cluster.stats().commands
    const pieces = await cluster.files.read(attempt, [
      ...Array.from({ length: 60 }, (_, i) => ({
        in: 'checkout' as const,
        path: `out/${i}.txt`,
        offset: 0,
        bytes: 100,
      })),
      { in: 'output', path: 'x', ...all },
    ])
    expect(pieces.map(said)).toEqual([
      ...Array.from({ length: 60 }, (_, i) => `text ${i}\n`),
      'of the output directory',
    ])
    expect(cluster.stats().commands - before).toBe(2)
    expect(pieceBytes).toBeLessThan(64 * 1024 * 1024)
  })

  test('nothing outside, nothing behind a link, nothing that is no file', async () => {
    symlinkSync('/etc/passwd', join(work, 'link'))
    symlinkSync('/etc', join(work, 'up'))
    symlinkSync('out', join(work, 'inner'))
    execFileSync('mkfifo', [join(work, 'pipe')])
    execFileSync('ln', [join(work, 'out', '0.txt'), join(work, 'hard')])
    expect(
      await read(
        'link',
        'up/passwd',
        'inner/0.txt',
        'pipe',
        'out',
        '../work/out/0.txt',
        '/etc/passwd',
        'out/./0.txt',
        'a\nb',
        'gone',
        'no/where',
        'hard',
      ),
    ).toEqual([
      'is a link',
      'lies behind a link',
      'lies behind a link',
      'is no file',
      'is no file',
      ...Array(4).fill('has a name that cannot be asked for'),
      'is not there any more',
      'is not there any more',
      'text 0\n',
    ])
  })

  test('a run directory that is a link, or gone', async () => {
    const other = { ...attempt, runId: randomUUID() }
    const ask = (one: WatchedAttempt) => cluster.files.read(one, [{ in: 'checkout', path: 'out/0.txt', ...all }])
    expect(await ask(other)).toEqual([{ problem: 'is not there any more' }])
    symlinkSync(join(root, '42', 'runs', attempt.runId), join(root, '42', 'runs', other.runId))
    expect(await ask(other)).toEqual([{ problem: 'is not there any more' }])
  })

  test('a sparse giant costs nothing', async () => {
    writeFileSync(join(work, 'giant'), 'begin')
    truncateSync(join(work, 'giant'), 1e12)
    const [piece] = await cluster.files.read(attempt, [{ in: 'checkout', path: 'giant', offset: -4, bytes: 100 }])
    expect(piece).toEqual({ offset: 1e12 - 4, size: 1e12, bytes: Buffer.alloc(4) })
  })

  test('the log, or what the scheduler said instead', async () => {
    expect(await cluster.files.log(attempt, all)).toEqual({ problem: 'is not there any more' })
    writeFileSync(join(own, 'scheduler.log'), 'slurmstepd: no\n')
    expect(said(await cluster.files.log(attempt, all))).toBe('slurmstepd: no\n')
    writeFileSync(join(own, 'log.0'), 'one\ntwo\n')
    expect(said(await cluster.files.log(attempt, { offset: 4, bytes: 100 }))).toBe('two\n')
    writeFileSync(join(own, 'log.7'), 'of task 7\n')
    writeFileSync(join(own, 'scheduler.log.8'), 'of task 8\n')
    expect(said(await cluster.files.log(attempt, { ...all, task: 7 }))).toBe('of task 7\n')
    expect(said(await cluster.files.log(attempt, { ...all, task: 8 }))).toBe('of task 8\n')
    // The scheduler names its logs by its own numbers.
    expect(said(await cluster.files.log(attempt, { ...all, task: 5000, native: 8 }))).toBe('of task 8\n')
    expect(await cluster.files.log(attempt, { ...all, task: 9 })).toEqual({ problem: 'is not there any more' })
  })

  test('without base64 on the cluster, in hex', async () => {
    const bin = join(root, 'bin')
    mkdirSync(bin)
    for (const name of ['od', 'tail', 'head', 'stat', 'wc', 'cat', 'sh'])
      symlinkSync(`/usr/bin/${name}`, join(bin, name))
    const out = execFileSync('/bin/sh', ['-c', `PATH=${bin}\n${readProgram}`], {
      input: `\n${root}\n42/runs/${attempt.runId}/work\n0 100 out/0.txt\n`,
    }).toString()
    expect(out).toMatch(/^piece 0 7 hex\n/)
    expect(readPieces(out, 1)).toEqual([{ offset: 0, size: 7, bytes: Buffer.from('text 0\n') }])
  })

  test('an answer that is cut is none', () => {
    const whole = 'piece 0 7 base64\ndGV4dCAwCg==\n\n.\nno is a link\nend 2\n'
    expect(readPieces(whole, 2)).toHaveLength(2)
    for (let cut = 0; cut < whole.length; cut++) expect(readPieces(whole.slice(0, cut), 2)).toBeNull()
    expect(readPieces(whole, 3)).toBeNull()
  })
})
