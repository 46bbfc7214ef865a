import { describe, expect, it } from 'vitest'
import type { BranchNode, ComputedFrom } from '../../src/tree/node.ts'
import { descendantsOf, inTreeOrder } from '../../src/tree/shape.ts'
import { staleBranches } from '../../src/tree/stale.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 0, 31, 12, minute))
const result = (id: string, from: ComputedFrom | null = null, minute = Number(id)) => ({
  id,
  sha: `sha of ${id}`,
  endedAt: at(minute),
  from,
})
const from = (branch: string, run: string | null, minute: number | null = Number(run)): ComputedFrom => ({
  branch,
  run,
  endedAt: minute === null ? null : at(minute),
})

/** A branch whose shown run has ended well, unless it says otherwise. */
function node(branch: string, id: string, of: ComputedFrom | null, more: Partial<BranchNode> = {}): BranchNode {
  const parent = of === null ? null : { branch: of.branch, by: 'file' as const, why: '' }
  const run = {
    id,
    sha: `sha of ${id}`,
    state: 'completed' as const,
    createdAt: at(0),
    endedAt: at(Number(id)),
    from: of,
  }
  return {
    ...{ branch, ref: `refs/heads/${branch}`, life: 'active', headSha: null, parent, run, result: result(id, of) },
    ...{ stale: null, mergeRequest: null },
    ...more,
  }
}
const marks = (...nodes: BranchNode[]) =>
  Object.fromEntries([...staleBranches(nodes)].map(([branch, mark]) => [branch, `${mark.branch} ${mark.run}`]))

describe('a branch is stale', () => {
  it('when its parent has a newer result, and so are those below it; it is said whose and which', () => {
    const tree = [
      node('base', '30', null),
      node('heat', '11', from('base', '10')),
      node('heat/4d', '12', from('heat', '11')),
      node('other', '31', from('base', '30')),
    ]
    expect(marks(...tree)).toEqual({ heat: 'base 30', 'heat/4d': 'base 30' })
  })

  it('no longer when it is being computed from the newer result; those below it are until they follow', () => {
    const again = node('heat', '31', from('base', '30'), { result: result('11', from('base', '10')) })
    const below = node('heat/4d', '12', from('heat', '11'))
    expect(marks(node('base', '30', null), again, below)).toEqual({ 'heat/4d': 'base 30' })
    const done = node('heat', '31', from('base', '30'))
    expect(marks(node('base', '30', null), done, below)).toEqual({ 'heat/4d': 'heat 31' })
  })

  it('when a job of the very run that it was computed from was repeated', () => {
    const base = node('base', '10', null, { result: result('10', null, 40) })
    expect(marks(base, node('heat', '11', from('base', '10')))).toEqual({ heat: 'base 10' })
  })

  it('not because the run that it was started beside ends', () => {
    expect(marks(node('base', '10', null), node('heat', '11', from('base', '10', null)))).toEqual({})
  })

  it('not because its parent is under way, has failed, was reset to an older commit, or has no result', () => {
    const child = node('heat', '11', from('base', '10'))
    const going = node('base', '20', null, { result: result('10') })
    expect(marks(going, child)).toEqual({})
    expect(marks(node('base', '05', null), child)).toEqual({})
    expect(marks(node('base', '20', null, { result: null }), child)).toEqual({})
    expect(marks(node('base', '20', null), node('heat', '11', from('base', null, null)))).toEqual({})
  })

  it('not because of a result of its own, when parent and child have changed places', () => {
    const a = node('a', '20', from('b', '11'))
    expect(marks(a, node('b', '11', from('a', '10')))).toEqual({ b: 'a 20' })
  })

  it('whatever circles the rows have: nobody waits for an answer', () => {
    expect(marks(node('a', '10', from('b', '11')), node('b', '11', from('a', '10')))).toEqual({})
  })
})

/** 1,000 branches below each other in trees that are 20 deep, whose root has a new result. */
function wood(): BranchNode[] {
  return Array.from({ length: 1000 }, (_, i) => {
    const id = String(1000 + i)
    if (i % 20 === 0) return node(`calc/${i}`, String(5000 + i), null)
    return node(`calc/${i}`, id, from(`calc/${i - 1}`, String(1000 + i - 1)))
  })
}

/** ms of work, the best of three: others use this machine too. */
function cpuOf(work: () => unknown): number {
  return Math.min(
    ...Array.from({ length: 3 }, () => {
      const begun = process.cpuUsage()
      work()
      const { user, system } = process.cpuUsage(begun)
      return (user + system) / 1000
    }),
  )
}

describe('a tree of 1,000 branches, 20 deep', () => {
  it('has its stale marks within 100 ms', () => {
    const nodes = wood()
    expect(cpuOf(() => staleBranches(nodes))).toBeLessThan(100)
    const found = staleBranches(nodes)
    expect(found.size).toBe(950)
    expect(found.get('calc/19')).toMatchObject({ branch: 'calc/0', run: '5000' })
  })

  it('is laid out with every branch once, children below their parents', () => {
    const nodes = wood()
    expect(cpuOf(() => inTreeOrder(nodes))).toBeLessThan(100)
    const order = inTreeOrder(nodes)
    expect(order).toHaveLength(1000)
    expect(order.slice(0, 3).map(({ node: { branch }, depth }) => [branch, depth])).toEqual([
      ['calc/0', 0],
      ['calc/1', 1],
      ['calc/2', 2],
    ])
    expect(descendantsOf('calc/0', wood())).toHaveLength(19)
  })
})
