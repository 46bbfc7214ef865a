import { describe, expect, it } from 'vitest'
import { chosen } from '../../src/dashboard/pages/tree.ts'
import type { BranchNode } from '../../src/tree/node.ts'

const node = (branch: string, depth: number, life: BranchNode['life'] = 'active') => ({
  depth,
  node: {
    ...{ branch, ref: `refs/heads/${branch}`, life, headSha: null, parent: null, run: null, result: null, stale: null },
    mergeRequest: null,
  },
})

describe('the tree of a project', () => {
  const tree = [
    node('calc/base', 0),
    node('calc/heat', 1),
    node('calc/heat/4d', 2),
    node('calc/old', 1, 'gone'),
    node('calc/old/child', 2),
    node('calc/wave', 0, 'gone'),
  ]
  const names = (gone: boolean, search: string) => chosen(tree, { gone, search }).map(one => one.node.branch)

  it('shows what lives, below what it hangs from, even where that is gone', () => {
    expect(names(false, '')).toEqual(['calc/base', 'calc/heat', 'calc/heat/4d', 'calc/old', 'calc/old/child'])
    expect(names(true, '')).toEqual(tree.map(one => one.node.branch))
  })

  it('finds a part of a name, with the parents of what fits', () => {
    expect(names(false, '4D')).toEqual(['calc/base', 'calc/heat', 'calc/heat/4d'])
    expect(names(false, 'wave')).toEqual([])
    expect(names(true, 'wave')).toEqual(['calc/wave'])
    expect(names(false, 'base')).toEqual(['calc/base'])
  })
})
