import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AttemptIds, openCluster, type ReuseRequest } from '../../src/cluster/cluster.ts'
import { pathsOf } from '../../src/cluster/layout.ts'
import { newId } from '../../src/model/id.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { makeSource } from './requests.ts'

/** The result of a finished job is put where that of another would have been. */

let slurm: FakeSlurm
let root: string
beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-reuse-'))
})
afterEach(() => {
  slurm.stop()
  rmSync(root, { recursive: true, force: true })
})

const cluster = () => openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root })
const newIds = (): AttemptIds => ({ projectId: 42, runId: newId(), jobId: newId(), attemptId: newId() })
const write = (path: string, text: string) => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
const odd = "grid/ü '$(id)' -n.msh"

/** A finished job with three outputs, one of them in its own directory. */
function finished(ids = newIds()): ReuseRequest {
  const paths = pathsOf(root, ids)
  const outputs = [
    { place: paths.work, path: 'grid/mesh.msh', text: '12 cells\n' },
    { place: paths.work, path: odd, text: 'odd\n' },
    { place: paths.output, path: 'log/deep.txt', text: 'deep\n' },
  ].map(({ place, path, text }) => {
    write(join(place, path), text)
    return {
      ...{ path, size: text.length, at: `${place}/${path}` },
      sha256: createHash('sha256').update(text).digest('hex'),
    }
  })
  for (const [name, text] of Object.entries({
    'outputs.0': 'listed\n',
    'metrics.0': '{"cells": 12}',
    'log.0': 'said\n',
  }))
    write(join(paths.attempt, name), text)
  return { ...newIds(), source: makeSource({ 'README.md': 'fresh\n' }), from: ids, outputs }
}
const place = (request: ReuseRequest) => pathsOf(root, request)
const from = (request: ReuseRequest) => pathsOf(root, { projectId: 42, ...request.from })

describe('the result of a finished job', () => {
  test('is copied into a fresh checkout with all that is fetched of it, however often that is asked for; nothing is handed over', async () => {
    const request = finished()
    for (const _ of [1, 2]) expect(await cluster().reuse(request)).toEqual({ kind: 'reused' })
    const { work, output, attempt } = place(request)
    expect(readFileSync(join(work, 'README.md'), 'utf8')).toBe('fresh\n')
    expect(readFileSync(join(work, 'grid/mesh.msh'), 'utf8')).toBe('12 cells\n')
    expect(readFileSync(join(work, odd), 'utf8')).toBe('odd\n')
    expect(readFileSync(join(output, 'log/deep.txt'), 'utf8')).toBe('deep\n')
    expect(readFileSync(join(attempt, 'metrics.0'), 'utf8')).toBe('{"cells": 12}')
    expect(existsSync(join(attempt, 'id'))).toBe(false)
    // What the next job writes into it does not reach the earlier run.
    writeFileSync(join(work, 'grid/mesh.msh'), 'other\n')
    expect(readFileSync(join(from(request).work, 'grid/mesh.msh'), 'utf8')).toBe('12 cells\n')
  })

  test.each<[string, (request: ReuseRequest) => void, string]>([
    [
      'changed',
      r => writeFileSync(join(from(r).work, 'grid/mesh.msh'), '13 cells\n'),
      'grid/mesh.msh was changed after the job had ended',
    ],
    [
      'shortened',
      r => writeFileSync(join(from(r).work, 'grid/mesh.msh'), ''),
      'grid/mesh.msh was changed after the job had ended',
    ],
    ['removed', r => rmSync(join(from(r).output, 'log/deep.txt')), 'log/deep.txt is not there any more'],
    [
      'made a link to something else',
      r => {
        rmSync(join(from(r).work, 'grid/mesh.msh'))
        symlinkSync('/etc/passwd', join(from(r).work, 'grid/mesh.msh'))
      },
      'grid/mesh.msh is not there any more',
    ],
    ['removed with its run', r => rmSync(from(r).run, { recursive: true }), 'its directory was removed'],
  ])('of which a file was %s is none', async (_, change, why) => {
    const request = finished()
    change(request)
    expect(await cluster().reuse(request)).toEqual({ kind: 'gone', why })
  })

  test('is not put where the attempt was given up', async () => {
    const request = finished()
    write(join(place(request).attempt, 'fenced'), '')
    expect(await cluster().reuse(request)).toEqual({ kind: 'given up' })
    expect(existsSync(place(request).work)).toBe(false)
  })
})
