import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import { changesIn } from '../../src/run/tend-tree.ts'
import { branches, runs } from '../../src/store/schema.ts'
import { loadAround, loadTree } from '../../src/store/tree.ts'
import { openRows } from '../support/rows.ts'

// 1,000 branches in trees that are 20 deep; each was computed from the run of the one above.
const wide = 50
const deep = 20
let world: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  world = await openRows()
  const list: (typeof branches.$inferInsert)[] = []
  const runsOf: (typeof runs.$inferInsert)[] = []
  const endedAt = new Date()
  for (let tree = 0; tree < wide; tree++) {
    let above: { branch: string; run: string } | null = null
    for (let level = 0; level < deep; level++) {
      const branch = `calc/${tree}/${level}`
      const id = newId()
      const run = newId()
      const place = above === null ? {} : { parentBranch: above.branch, parentBy: 'fork' as const, parentWhy: 'forked' }
      list.push({ id, projectId: 1, ref: `refs/heads/${branch}`, headSha: 'a'.repeat(40), latestRunId: run, ...place })
      runsOf.push({
        id: run,
        projectId: 1,
        branchId: id,
        ref: `refs/heads/${branch}`,
        sha: 'a'.repeat(40),
        cause: 'head:1',
        causedHow: 'push',
        state: 'completed',
        endedAt,
        ...(above === null
          ? {}
          : { parent: { branch: above.branch, why: 'forked' }, parentRunId: above.run, parentEndedAt: endedAt }),
      })
      above = { branch, run }
    }
  }
  for (let from = 0; from < list.length; from += 200) {
    await world.db.insert(branches).values(list.slice(from, from + 200))
    await world.db.insert(runs).values(runsOf.slice(from, from + 200))
  }
})
afterAll(() => world.close())

describe('a tree of 1,000 branches, 20 deep', () => {
  it('is read, with what has changed in it, within 100 ms of work', async () => {
    const times: number[] = []
    // The best of some: others use this machine too, and the first ones are compiled meanwhile.
    for (let i = 0; i < 40 && !times.some(time => time < 100); i++) {
      const begun = process.cpuUsage()
      const nodes = await loadTree(world.db, 1)
      const changes = changesIn(nodes)
      const { user, system } = process.cpuUsage(begun)
      times.push((user + system) / 1000)
      expect(nodes).toHaveLength(wide * deep)
      expect(changes.every(change => change.stale === null)).toBe(true)
    }
    expect(Math.min(...times)).toBeLessThan(100)
  })

  it('of which one branch is asked for is read as far as its parent and its children', async () => {
    const around = await loadAround(world.db, 1, 'calc/3/7')
    expect(around).toMatchObject({
      node: { branch: 'calc/3/7', parent: { branch: 'calc/3/6', by: 'fork' }, stale: null },
      parent: { branch: 'calc/3/6', run: { state: 'completed' } },
      children: [{ branch: 'calc/3/8' }],
      ...{ siblings: [], siblingCount: 0, whole: null },
    })
  })
})

describe('what pages show around a branch', () => {
  const grow = async (projectId: number, children: number) => {
    const names = ['base', ...Array.from({ length: children }, (_, i) => `child-${String(i).padStart(2, '0')}`)]
    for (const name of names) {
      const [id, run] = [newId(), newId()]
      const place = name === 'base' ? {} : { parentBranch: 'base', parentBy: 'fork' as const, parentWhy: 'forked' }
      const ref = `refs/heads/${name}`
      const sha = 'b'.repeat(40)
      await world.db.insert(branches).values({ id, projectId, ref, headSha: sha, latestRunId: run, ...place })
      await world.db.insert(runs).values({
        ...{ id: run, projectId, branchId: id, ref, sha, cause: 'head:1', causedHow: 'push' },
        ...{ state: 'completed', endedAt: new Date() },
      })
    }
  }

  it('is the whole of a small tree', async () => {
    await grow(2, 3)
    const around = await loadAround(world.db, 2, 'child-01')
    expect(around?.whole?.map(node => node.branch)).toEqual(['base', 'child-00', 'child-01', 'child-02'])
    expect(await loadAround(world.db, 2, 'nobody')).toBeNull()
  })

  it('is of a large one the first few siblings, and how many there are', async () => {
    await grow(3, 15)
    const around = await loadAround(world.db, 3, 'child-01')
    expect(around).toMatchObject({
      ...{ whole: null, siblingCount: 14, parent: { branch: 'base' } },
      siblings: [{ branch: 'child-00' }, { branch: 'child-02' }, { branch: 'child-03' }, { branch: 'child-04' }],
    })
  })

  it('is told anew when a sibling that it shows has another result, and not when one does that it does not show', async () => {
    const nodes = await loadTree(world.db, 3)
    const told = changesIn(nodes).reduce(
      (known, { branch, around }) => known.set(branch, around),
      new Map<string, string | null>(),
    )
    const settled = nodes.map(node => ({ ...node, around: told.get(node.branch) ?? null }))
    expect(changesIn(settled)).toEqual([])
    const failed = (name: string) =>
      changesIn(
        settled.map(node =>
          node.branch === name ? { ...node, run: { ...node.run!, state: 'failed' as const } } : node,
        ),
      ).map(change => change.branch)
    expect(failed('child-02')).toContain('child-01')
    expect(failed('child-09')).toEqual(['base'])
  })
})
