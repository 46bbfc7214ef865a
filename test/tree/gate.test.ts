import { describe, expect, it } from 'vitest'
import type { JobState } from '../../src/model/job-state.ts'
import { type ParentStands, parentGate } from '../../src/tree/gate.ts'

const at = new Date('2026-01-31T12:00:00Z')
const sha = '62a2ce6f0011223344556677889900aabbccddee'
const shows = (state: JobState, endedAt: Date | null = at) => ({ id: 'r1', sha, state, endedAt })
const stands = (more: Partial<ParentStands>): ParentStands => ({
  branch: 'calc/heat',
  life: 'active',
  seen: true,
  latest: null,
  ...more,
})

describe('a run that uses its parent', () => {
  it('computes from what the parent shows where that has completed, also when the branch is gone', () => {
    const passed = { gate: 'passed', run: 'r1', sha, endedAt: at }
    expect(parentGate(stands({ latest: shows('completed') }))).toEqual(passed)
    expect(parentGate(stands({ life: 'gone', latest: shows('completed') }))).toEqual(passed)
  })

  it('waits while the parent is under way, or was pushed a moment ago and is still to be read', () => {
    const waits = { gate: 'waits', message: 'waits for calc/heat' }
    expect(parentGate(stands({ latest: shows('waiting', null) }))).toEqual(waits)
    expect(parentGate(stands({ seen: false }))).toEqual(waits)
  })

  it.each<[JobState, string]>([
    ['failed', 'calc/heat failed at 62a2ce6f'],
    ['canceled', 'calc/heat was canceled at 62a2ce6f'],
    ['skipped', 'calc/heat was skipped at 62a2ce6f'],
  ])('is skipped with the reason when the parent %s', (state, message) => {
    expect(parentGate(stands({ latest: shows(state) }))).toEqual({ gate: 'skipped', message })
  })

  it('is skipped where the parent has never been computed: nobody knows whether it ever will be', () => {
    expect(parentGate(stands({}))).toEqual({ gate: 'skipped', message: 'calc/heat has not been computed' })
    expect(parentGate(stands({ life: 'gone', seen: false }))).toMatchObject({ gate: 'skipped' })
  })
})
