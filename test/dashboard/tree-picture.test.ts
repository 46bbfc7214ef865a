import { describe, expect, it } from 'vitest'
import { drawTree, layOut } from '../../src/dashboard/pages/tree-picture.ts'
import type { BranchNode } from '../../src/tree/node.ts'

const node = (branch: string, depth: number, more: Partial<BranchNode> = {}) => ({
  depth,
  node: {
    ...{ branch, ref: `refs/heads/${branch}`, life: 'active', headSha: null, parent: null, run: null, result: null },
    ...{ stale: null, mergeRequest: null },
    ...more,
  } as BranchNode,
})

describe('the picture of a tree', () => {
  it('gives each leaf a row of its own, and puts a parent in the middle of its children', () => {
    const spots = layOut([
      node('a', 0),
      node('a/1', 1),
      node('a/1/x', 2),
      node('a/1/y', 2),
      node('a/2', 1),
      node('b', 0),
    ])
    expect(spots.map(({ node: { branch }, row, parent }) => [branch, row, parent])).toEqual([
      ['a', 1.25, null],
      ['a/1', 0.5, 0],
      ['a/1/x', 0, 1],
      ['a/1/y', 1, 1],
      ['a/2', 2, 0],
      ['b', 3, null],
    ])
    expect(layOut([])).toEqual([])
  })

  it('says states in words, leads to runs, and holds no name as markup', () => {
    const run = {
      id: 'r1',
      sha: 'a'.repeat(40),
      state: 'failed',
      createdAt: new Date(),
      endedAt: null,
      from: null,
    } as const
    const { text } = drawTree(
      [node('<b>"calc"', 0, { run }), node('below', 1, { stale: { branch: 'x', sha: 'y', run: 'z' } })],
      id => `/runs/${id}"`,
    )
    expect(text).not.toMatch(/<b>|runs\/r1""/)
    expect(text).toContain('href="/runs/r1&#34;"')
    expect(text).toContain('>failed</text>')
    expect(text).toContain('computes nothing itself, stale')
    expect(text).toContain('class="edge stale"')
    expect(text).toContain('The tree: 2 branches')
  })
})
