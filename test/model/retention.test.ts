import { expect, test } from 'vitest'
import { type RetentionFacts, whyKept } from '../../src/model/retention.ts'

const now = new Date('2026-03-01T12:00:00Z')
const ago = (days: number) => new Date(now.getTime() - days * 86_400_000)

/** An old run that nobody needs. */
const old: RetentionFacts = {
  endedAt: ago(31),
  underWay: false,
  uncollected: false,
  committed: true,
  keptBy: null,
  recovering: false,
  latestCompleted: false,
  branchLives: true,
  shown: false,
  headOf: null,
  usedBy: null,
  child: null,
  reusedBy: null,
}

test.each<[string, Partial<RetentionFacts>, string | null]>([
  ['an old run that nobody needs goes', {}, null],
  ['on the day', { endedAt: ago(30) }, null],
  ['a moment before', { endedAt: new Date(ago(30).getTime() + 1) }, 'it is younger than 30 days'],
  ['of the future, by a clock that was wrong', { endedAt: ago(-1) }, 'it is younger than 30 days'],
  ['never before its evidence is committed', { committed: false }, 'its evidence is not committed'],
  ['never before its results are here', { uncollected: true }, 'its results have not been fetched'],
  ['never while a branch computes from it', { usedBy: 'calc/4d' }, 'calc/4d computes from it'],
  ['never while it goes on', { endedAt: null }, 'it goes on'],
  ['never while one of its jobs does', { underWay: true }, 'it goes on'],
  ['never one that was pinned', { keptBy: 'ada' }, 'kept by ada'],
  [
    'never the latest completed run of a living branch',
    { latestCompleted: true },
    'it is the latest completed run of a living branch',
  ],
  ['never one whose results an open run has taken over', { reusedBy: 'r2' }, 'run r2 reuses its results'],
  ['never the one that a branch shows, newest or not', { shown: true }, 'it is the run that a living branch shows'],
  ['never one on whose commit a living branch stands', { headOf: 'calc/b' }, 'calc/b stands on its commit'],
  ['but that of a branch that is gone', { latestCompleted: true, branchLives: false }, null],
  [
    'unless a living branch was computed from that',
    { latestCompleted: true, branchLives: false, child: 'calc/heat/4d' },
    'calc/heat/4d was computed from its branch',
  ],
  ['an older run of a parent branch goes', { child: 'calc/heat/4d' }, null],
  [
    'nothing on rows that may be old',
    { recovering: true },
    'what has happened since the restored backup has not been read',
  ],
])('%s', (_, facts, why) => {
  expect(whyKept({ ...old, ...facts }, 30, now)).toBe(why)
})
