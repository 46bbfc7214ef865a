import { describe, expect, it } from 'vitest'
import { type KnownParents, type ParentFacts, resolveParent } from '../../src/tree/parent.ts'

const facts = (more: Partial<ParentFacts> = {}): ParentFacts => ({
  branch: 'calc/heat/4d',
  named: null,
  namedIsNot: null,
  targets: [],
  openMergeRequests: 0,
  forks: [],
  ...more,
})
const known = (parents: Record<string, string>, by: 'file' | 'fork' = 'file'): KnownParents =>
  new Map(Object.entries(parents).map(([child, branch]) => [child, { branch, by }]))
const nobody: KnownParents = new Map()
const sha = '62a2ce6f0011223344556677889900aabbccddee'

describe('the parent of a computation branch', () => {
  it('is the one that its file names, then the target of its merge request, then where it was forked, then none', () => {
    const targets = [{ iid: 7, branch: 'calc/target' }]
    const forks = [{ branch: 'calc/heat', sha }]
    expect(resolveParent(facts({ named: 'calc/base', targets, forks }), nobody)).toMatchObject({
      parent: { branch: 'calc/base', by: 'file', why: 'parent: in .compops.yml' },
    })
    expect(resolveParent(facts({ targets, openMergeRequests: 1, forks }), nobody)).toMatchObject({
      parent: { branch: 'calc/target', by: 'merge request', why: 'target of merge request !7' },
    })
    expect(resolveParent(facts({ forks }), nobody)).toMatchObject({
      parent: { branch: 'calc/heat', by: 'fork', why: 'forked from calc/heat at 62a2ce6f' },
    })
    expect(resolveParent(facts(), nobody)).toEqual({
      kind: 'none',
      why: 'no computation branch is named, targeted, or in its history',
    })
  })

  it('of two merge requests of one branch the older decides, and that is said', () => {
    const targets = [
      { iid: 7, branch: 'calc/a' },
      { iid: 9, branch: 'calc/b' },
    ]
    expect(resolveParent(facts({ targets, openMergeRequests: 2 }), nobody)).toMatchObject({
      parent: { branch: 'calc/a', why: 'target of merge request !7, the oldest of 2 that are open' },
    })
  })

  it('named in the file and not there is refused, with what to do', () => {
    expect(resolveParent(facts({ named: 'calc/bose', namedIsNot: 'is no branch of this project' }), nobody)).toEqual({
      kind: 'refused',
      message: 'The parent calc/bose is no branch of this project.',
      remedy: 'Push that branch first, correct the name, or leave `parent` out.',
    })
    expect(resolveParent(facts({ named: 'calc/heat/4d' }), nobody)).toMatchObject({
      message: 'calc/heat/4d names itself as its parent.',
    })
  })

  it('named so that branches would go round in a circle is refused, and the circle shown', () => {
    const parents = known({ 'calc/heat': 'calc/base', 'calc/base': 'calc/heat/4d' })
    expect(resolveParent(facts({ named: 'calc/heat' }), parents)).toMatchObject({
      kind: 'refused',
      message:
        'With the parent calc/heat the branches go round in a circle: calc/heat/4d → calc/heat → calc/base → calc/heat/4d.',
    })
  })

  it('that was only guessed gives way to one that a file names', () => {
    expect(resolveParent(facts({ named: 'calc/heat' }), known({ 'calc/heat': 'calc/heat/4d' }, 'fork'))).toMatchObject({
      kind: 'parent',
      parent: { branch: 'calc/heat' },
      detach: 'calc/heat',
    })
  })

  it('is not guessed where that would close a circle: the next guess holds', () => {
    const forks = [
      { branch: 'calc/heat', sha },
      { branch: 'calc/base', sha },
    ]
    expect(resolveParent(facts({ forks }), known({ 'calc/heat': 'calc/heat/4d' }))).toMatchObject({
      parent: { branch: 'calc/base' },
    })
    expect(
      resolveParent(
        facts({ targets: [{ iid: 1, branch: 'calc/heat' }], forks }),
        known({ 'calc/heat': 'calc/heat/4d' }),
      ),
    ).toMatchObject({
      parent: { branch: 'calc/base', by: 'fork' },
    })
  })

  it('is found whatever circles the rows already have', () => {
    const rows = known({ 'calc/x': 'calc/y', 'calc/y': 'calc/x' })
    expect(resolveParent(facts({ named: 'calc/x' }), rows)).toMatchObject({ kind: 'parent' })
  })

  it('is found among 1,000 branches that are 20 deep within 100 ms of work, for all of them', () => {
    const parents = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`calc/${i}`, `calc/${i - 1}`] as const).filter((_, i) => i % 20 > 0),
    )
    const all = known(parents, 'fork')
    const times = Array.from({ length: 5 }, () => {
      const begun = process.cpuUsage()
      for (let i = 0; i < 1000; i++) {
        // The deepest would be the parent of each: all guesses but those above it close a circle.
        const forks = [
          { branch: `calc/${i - (i % 20) + 19}`, sha },
          { branch: `calc/${i - 1}`, sha },
        ]
        const answer = resolveParent(facts({ branch: `calc/${i}`, forks }), all)
        if (i % 20 > 0) expect(answer).toMatchObject({ parent: { branch: `calc/${i - 1}` } })
      }
      const { user, system } = process.cpuUsage(begun)
      return (user + system) / 1000
    })
    expect(Math.min(...times)).toBeLessThan(100)
  })
})
