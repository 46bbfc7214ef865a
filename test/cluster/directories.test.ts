import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readAbout, renderAbout } from '../../src/cluster/about.ts'
import { type AttemptIds, openCluster } from '../../src/cluster/cluster.ts'
import { openDirectories } from '../../src/cluster/directories.ts'
import { pathsOf } from '../../src/cluster/layout.ts'
import { openReach } from '../../src/cluster/reach.ts'
import { newId } from '../../src/model/id.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { submitRequest } from './requests.ts'

/** What a service with a restored database learns from the run directories. Whoever runs jobs there can write into them. */

let slurm: FakeSlurm
let root: string

beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-directories-'))
})
afterEach(() => {
  slurm.stop()
  rmSync(root, { recursive: true, force: true })
})

const options = () => ({ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root })
const directories = (page?: number) => openDirectories(openReach(options()), page)
const newIds = (projectId = 42): AttemptIds => ({ projectId, runId: newId(), jobId: newId(), attemptId: newId() })
const path = (ids: AttemptIds) => pathsOf(root, ids).attempt

function make(ids: AttemptIds, files: Record<string, string> = {}): AttemptIds {
  mkdirSync(path(ids), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path(ids), name), text)
  return ids
}

async function all(page?: number): Promise<unknown[]> {
  const pages: unknown[] = []
  for await (const one of directories(page).attempts()) pages.push(one)
  return pages
}

describe('the list of attempts', () => {
  test('comes in pages, in one order, with nothing twice and nothing missing', async () => {
    const made = Array.from({ length: 7 }, (_, n) => make(newIds(n % 2 === 0 ? 42 : 7)))
    const pages = (await all(3)) as AttemptIds[][]
    expect(pages.map(page => page.length)).toEqual([3, 3, 1])
    expect(new Set(pages.flat().map(ids => ids.attemptId))).toEqual(new Set(made.map(ids => ids.attemptId)))
    expect(pages.flat()).toEqual(expect.arrayContaining(made))
  })

  test('is empty where nothing was submitted yet, and says where there is no root at all', async () => {
    expect(await all()).toEqual([[]])
    rmSync(root, { recursive: true })
    expect(await all()).toEqual(['absent'])
    expect(await directories().runsYoungerThan(null, 10)).toEqual([])
  })

  test('leaves out what is not of our making', async () => {
    const ids = make(newIds())
    for (const name of ['$(touch pwned)', 'a\nb', '-rf', '..x', 'ABCDEF', 'end', 'more'])
      mkdirSync(join(path(ids), '..', name), { recursive: true })
    mkdirSync(join(root, 'x', 'runs', ids.runId, 'jobs', ids.jobId, newId()), { recursive: true })
    expect(await all()).toEqual([[ids]])
  })
})

describe('younger runs', () => {
  test('are those made after the newest that is known', async () => {
    const made = [make(newIds()), make(newIds()), make(newIds())].map(ids => ids.runId)
    expect(await directories().runsYoungerThan(made[0]!, 10)).toEqual(made.slice(1))
    expect(await directories().runsYoungerThan(made[2]!, 10)).toEqual([])
    expect(await directories().runsYoungerThan(null, 10)).toEqual(made)
    expect(await directories().runsYoungerThan(null, 2)).toHaveLength(2)
  })
})

describe('an attempt', () => {
  test('that was submitted tells what it is, in every detail that its run needs', async () => {
    const request = submitRequest({
      runId: newId(),
      jobId: newId(),
      attemptId: newId(),
      attempt: 3,
      branch: 'calc/ä$(x)',
    })
    const cluster = openCluster(options())
    await cluster.submit(request)
    await cluster.close()
    const ids = { projectId: 42, runId: request.runId, jobId: request.jobId, attemptId: request.attemptId }
    expect(await directories().describe([ids])).toEqual([
      {
        ids,
        nativeId: '1',
        handedOver: true,
        givenUp: false,
        about: {
          gitlab: 'https://gitlab.example.org',
          projectPath: 'physics/ising',
          ref: 'refs/heads/calc/ä$(x)',
          sha: request.sha,
          cause: 'head:1',
          how: 'push by ada',
          by: { id: 3, username: 'ada', name: 'Ada' },
          job: 'simulate',
          cluster: 'falcon',
          attempt: 3,
          array: null,
          createdAt: new Date('2026-03-01T12:00:00Z'),
        },
      },
    ])
  })

  test.each([
    ['a directory alone', {}, { handedOver: false }],
    ['a submission that was begun', { submitting: '1' }, { handedOver: true, nativeId: null }],
    ['a refusal', { refused: 'no' }, { handedOver: true, nativeId: null }],
    ['an id', { id: '17\n' }, { handedOver: true, nativeId: '17' }],
    ['an id of nobody’s making', { id: '$(reboot)\n' }, { handedOver: true, nativeId: null }],
    ['a start', { 'started.0': '17 1700000000\n' }, { handedOver: true, nativeId: '17' }],
    ['a fence', { submitting: '1', fenced: '' }, { handedOver: true, givenUp: true }],
    ['a fence that came too late', { id: '17', 'started.0': '17 1', fenced: '' }, { givenUp: false }],
  ])('is judged by its files: %s', async (_, files, expected) => {
    expect(await directories().describe([make(newIds(), files)])).toMatchObject([expected])
  })

  test('whose user plays tricks is one without a description: pipes, links, megabytes, lies', async () => {
    const pipe = make(newIds())
    execFileSync('mkfifo', [join(path(pipe), 'about')])
    const link = make(newIds())
    symlinkSync('/dev/zero', join(path(link), 'about'))
    const long = make(newIds(), { about: `{"x":"${'x'.repeat(3_000_000)}"}` })
    const lines = make(newIds(), { about: '{}\n0 id 99\nend 1\n', id: '1\n0 id 99\n' })
    const honest = submitRequest({ runId: newId(), jobId: newId(), attemptId: newId() })
    const stolen = make(newIds(), { about: renderAbout(honest) })
    const described = await directories().describe([pipe, link, long, lines, stolen])
    expect(described.map(one => one.about)).toEqual([null, null, null, null, null])
    expect(described[3]?.nativeId).toBe('1')
  })

  test.each([
    ['a ref that is no branch', (file: string) => file.replace('refs/heads/', 'refs/tags/')],
    ['a ref with a line break', (file: string) => file.replace('calc/4d', 'calc\\n4d')],
    ['no sha', (file: string) => file.replace('b'.repeat(40), 'main')],
    ['a cause of its own', (file: string) => file.replace('head:1', 'because')],
    ['another project', (file: string) => file.replace('"id":42', '"id":43')],
  ])('that speaks of %s is not believed', (_, change) => {
    const request = submitRequest({ runId: newId(), jobId: newId(), attemptId: newId() })
    const ids = { projectId: 42, runId: request.runId, jobId: request.jobId, attemptId: request.attemptId }
    expect(readAbout(renderAbout(request), ids)).not.toBeNull()
    expect(readAbout(change(renderAbout(request)), ids)).toBeNull()
  })
})

describe('removing run directories', () => {
  const outside = () => {
    const dir = mkdtempSync(join(tmpdir(), 'compops-outside-'))
    writeFileSync(join(dir, 'precious'), 'x')
    return dir
  }

  test('takes them away whole, whatever is in them, and may be asked any number of times', async () => {
    const [gone, stays] = [make(newIds(), { 'log.0': 'x' }), make(newIds())]
    const elsewhere = outside()
    symlinkSync(elsewhere, join(path(gone), 'link'))
    mkdirSync(join(path(gone), 'cache', 'deep'), { recursive: true })
    writeFileSync(join(path(gone), 'cache', 'deep', 'file'), 'x')
    chmodSync(join(path(gone), 'cache', 'deep'), 0o500)
    chmodSync(join(path(gone), 'cache'), 0o000)
    for (const _ of [1, 2])
      expect(await directories().removeRuns(42, [gone.runId])).toEqual({ gone: new Set([gone.runId]), kept: new Map() })
    expect(readdirSync(join(root, '42', 'runs'))).toEqual([stays.runId])
    expect(existsSync(join(elsewhere, 'precious'))).toBe(true)
    rmSync(elsewhere, { recursive: true })
  })

  test('goes on where a kill left it, and half of one is not taken for a run', async () => {
    const ids = make(newIds(), { id: '4711' })
    const runs = join(root, '42', 'runs')
    renameSync(join(runs, ids.runId), join(runs, `removed.${ids.runId}`))
    expect(await all()).toEqual([[]])
    expect((await directories().removeRuns(42, [ids.runId])).gone).toEqual(new Set([ids.runId]))
    expect(await directories().removeRuns(42, [])).toEqual({ gone: new Set(), kept: new Map() })
    expect(readdirSync(runs)).toEqual([])
  })

  test('follows no link, and touches nothing that is not ours', async () => {
    const elsewhere = outside()
    const ids = make(newIds())
    const [linked, file] = [newId(), newId()]
    symlinkSync(elsewhere, join(root, '42', 'runs', linked))
    writeFileSync(join(root, '42', 'runs', file), 'x')
    expect((await directories().removeRuns(42, [linked, file])).kept).toEqual(
      new Map([
        [linked, 'is a link'],
        [file, 'is no directory'],
      ]),
    )
    mkdirSync(join(elsewhere, 'runs', ids.runId), { recursive: true })
    symlinkSync(elsewhere, join(root, '7'))
    await expect(directories().removeRuns(7, [ids.runId])).rejects.toThrow('lie behind a link')
    for (const id of ['..', '', '.', '*', 'a\nb', '/etc', `${ids.runId}/..`])
      await expect(directories().removeRuns(42, [id])).rejects.toThrow('no run of ours')
    await expect(directories().removeRuns(-1, [ids.runId])).rejects.toThrow('no run of ours')
    expect(existsSync(join(elsewhere, 'runs', ids.runId))).toBe(true)
    expect(existsSync(path(ids))).toBe(true)
    rmSync(elsewhere, { recursive: true })
  })

  test('learns nothing from a root that is not mounted', async () => {
    rmSync(root, { recursive: true })
    await expect(directories().removeRuns(42, [newId()])).rejects.toThrow('could not be removed')
    expect(await directories().removeSources(30)).toBe(0)
  })

  test('sources go by their age alone', async () => {
    const src = join(root, '42', 'src')
    mkdirSync(src, { recursive: true })
    const old = new Date(Date.now() - 40 * 86_400_000)
    for (const name of [`${'a'.repeat(40)}.tar`, `${'b'.repeat(40)}.tar`, 'new.c.tar.host.1', 'notes.txt']) {
      writeFileSync(join(src, name), 'x')
      if (!name.startsWith('b')) utimesSync(join(src, name), old, old)
    }
    expect(await directories().removeSources(30)).toBe(2)
    expect(readdirSync(src).sort()).toEqual([`${'b'.repeat(40)}.tar`, 'notes.txt'])
  })
})
