import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lineOf, meetingOf } from '../../src/git/line.ts'
import { fetchMirror, type Mirror } from '../../src/git/mirror.ts'
import { runGit } from '../support/git-server.ts'
import { openScene, type Scene } from './support.ts'

let scene: Scene
let mirror: Mirror
const shas: Record<string, string> = {}

// main:  m1 - m2
// heat:       \- h1 - h2 - h3 (merge of side)
// 4d:               \- d1
// side:       \- s1
beforeAll(async () => {
  scene = await openScene()
  const { dir } = await scene.server.create('physics/heat')
  const git = (args: string[]) => runGit(dir, args)
  const tree = (await git(['mktree'])).trim()
  const commit = async (name: string, ...parents: string[]) => {
    const from = parents.flatMap(parent => ['-p', shas[parent]!])
    shas[name] = (await git(['commit-tree', tree, ...from, '-m', name])).trim()
  }
  await commit('m1')
  await commit('m2', 'm1')
  await commit('h1', 'm2')
  await commit('h2', 'h1')
  await commit('s1', 'm2')
  await commit('h3', 'h2', 's1')
  await commit('d1', 'h1')
  for (const [branch, at] of [
    ['main', 'm2'],
    ['heat', 'h3'],
    ['4d', 'd1'],
    ['side', 's1'],
  ])
    await git(['update-ref', `refs/heads/${branch}`, shas[at!]!])
  mirror = await scene.mirror('physics/heat')
  await fetchMirror(mirror)
})
afterAll(() => scene.end())

const names = (line: readonly { sha: string }[]) =>
  line.map(({ sha }) => Object.keys(shas).find(name => shas[name] === sha))

describe('the line of a branch', () => {
  test('goes back by first parents to where the trunk begins: what was merged into it is not among it', async () => {
    expect(names(await lineOf(mirror, shas.h3!, 'main'))).toEqual(['h3', 'h2', 'h1'])
    expect(names(await lineOf(mirror, shas.d1!, null))).toEqual(['d1', 'h1', 'm2', 'm1'])
  })

  test('is not cut by a trunk that is not there', async () => {
    expect(await lineOf(mirror, shas.d1!, 'gone')).toHaveLength(4)
  })

  test('meets another branch at the nearest commit that both have', async () => {
    const line = await lineOf(mirror, shas.d1!, 'main')
    expect(await meetingOf(mirror, line, [shas.s1!, shas.h3!])).toEqual({ at: 1, heads: [shas.h3] })
    expect(await meetingOf(mirror, line, [shas.s1!, 'f'.repeat(40)])).toBeNull()
  })
})
