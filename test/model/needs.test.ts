import { describe, expect, test } from 'vitest'
import type { JobState } from '../../src/model/job-state.ts'
import { type Need, type NeedKind, needStands, notCalledFor, readiness, stateOfRun } from '../../src/model/needs.ts'

describe('a need of a kind, where the needed job stands so', () => {
  // met, open, or the end of "mesh …": why never.
  test.each<[JobState, boolean, Record<NeedKind, string>]>([
    ['waiting', false, { after: 'open', afterok: 'open', afternotok: 'open', any: 'open' }],
    ['queued', true, { after: 'open', afterok: 'open', afternotok: 'open', any: 'open' }],
    ['running', true, { after: 'met', afterok: 'open', afternotok: 'open', any: 'open' }],
    ['suspended', true, { after: 'met', afterok: 'open', afternotok: 'open', any: 'open' }],
    ['completed', true, { after: 'met', afterok: 'met', afternotok: 'completed', any: 'met' }],
    ['failed', true, { after: 'met', afterok: 'failed', afternotok: 'met', any: 'met' }],
    ['failed', false, { after: 'failed before it began', afterok: 'failed', afternotok: 'met', any: 'met' }],
    ['canceled', true, { after: 'met', afterok: 'was canceled', afternotok: 'was canceled', any: 'met' }],
    [
      'skipped',
      false,
      { after: 'was skipped before it began', afterok: 'was skipped', afternotok: 'was skipped', any: 'met' },
    ],
  ])('%s, begun: %s', (state, begun, expected) => {
    const found = (kind: NeedKind) => {
      const stands = needStands(kind, { state, begun })
      return typeof stands === 'string' ? stands : stands.never
    }
    expect({
      after: found('after'),
      afterok: found('afterok'),
      afternotok: found('afternotok'),
      any: found('any'),
    }).toEqual(expected)
  })
})

test('only `afterok` is left to the scheduler, and only of what it has', () => {
  const job = (name: string, state: JobState, needs: readonly Need[] = [], nativeId: string | null = null) =>
    [name, { name, state, needs, nativeId, cluster: 'falcon', begun: state === 'running' }] as const
  const all = new Map([
    job('mesh', 'queued', [], '7'),
    job('far', 'waiting'),
    job('a', 'waiting', ['mesh']),
    job('b', 'waiting', ['mesh', { job: 'mesh', kind: 'any' }, 'far']),
    job('c', 'waiting', ['gone']),
  ])
  expect(readiness(all.get('a')!, all, true)).toEqual({ kind: 'ready', native: ['mesh'] })
  expect(readiness(all.get('a')!, all, false)).toEqual({ kind: 'waits', for: [{ job: 'mesh', kind: 'afterok' }] })
  expect(readiness(all.get('b')!, all, true)).toEqual({
    kind: 'waits',
    for: [
      { job: 'mesh', kind: 'any' },
      { job: 'far', kind: 'afterok' },
    ],
  })
  expect(readiness(all.get('c')!, all, true)).toEqual({ kind: 'never', because: 'gone is not a job of this run' })
})

describe('what was to follow a failure, where nothing failed,', () => {
  const row = (name: string, state: JobState, needs: readonly Need[] = []) => ({ name, state, spec: { needs } })
  const rescue: Need = { job: 'solve', kind: 'afternotok' }

  test('keeps no run from being completed, nor does what needs only that', () => {
    const all = [row('solve', 'completed'), row('rescue', 'skipped', [rescue]), row('tell', 'skipped', ['rescue'])]
    expect([...notCalledFor(all)]).toEqual(['rescue', 'tell'])
    expect(stateOfRun(all)).toBe('completed')
  })

  test('is another matter than what was skipped because something it needs failed', () => {
    const all = [row('solve', 'failed'), row('rescue', 'completed', [rescue]), row('plot', 'skipped', ['solve'])]
    expect([...notCalledFor(all)]).toEqual([])
    expect(stateOfRun(all)).toBe('failed')
    expect(stateOfRun([row('solve', 'completed'), row('plot', 'skipped', ['of another branch'])])).toBe('skipped')
  })

  test('is found at once among many that need each other', () => {
    const all = Array.from({ length: 200 }, (_, i) =>
      row(
        `j${i}`,
        i === 0 ? 'failed' : 'skipped',
        Array.from({ length: i }, (_, k) => `j${k}`),
      ),
    )
    expect(notCalledFor(all).size).toBe(0)
  })
})
