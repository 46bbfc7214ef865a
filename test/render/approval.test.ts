import { describe, expect, test } from 'vitest'
import type { Approval } from '../../src/model/cost.ts'
import { approvalWanted } from '../../src/render/approval.ts'
import { renderNote } from '../../src/render/note.ts'
import { renderStatuses } from '../../src/render/status.ts'
import { at, job, options, run } from './sample.ts'

const asked: Approval = {
  estimate: { coreHours: 1_280, gpuHours: 64.5, unknown: [] },
  limit: { coreHours: 1_000, gpuHours: 50 },
  approved: null,
}
const approved: Approval = {
  ...asked,
  approved: { by: { id: 7, username: 'bob', name: 'Bob' }, at: '2026-11-20T09:00:00.000Z' },
}
const why = approvalWanted(asked, 'alice')
const held = [job('mesh', 'held', { message: why }), job('solve', 'waiting')]
const approval = (of: ReturnType<typeof run>) =>
  renderStatuses(of, options)
    .filter(status => status.name === 'compops/approval')
    .map(({ state, description }) => `${state}: ${description}`)

describe('the approval of a run', () => {
  test('is asked for in one sentence: the estimate, the limit, who may give it, and how', () => {
    expect(why).toBe(
      'it can cost at most 1,280 core-h and 65 GPU-h; above 1,000 core-h or 50 GPU-h a Maintainer other than alice approves it: `/compops approve`',
    )
    const unknown = { ...asked, estimate: { coreHours: 1, gpuHours: 0, unknown: ['a', 'b', 'c'] } }
    expect(approvalWanted({ ...unknown, limit: { coreHours: 5, gpuHours: null } }, null)).toBe(
      'it can cost nobody knows how much (no time limit: a, b and 1 more); above 5 core-h a Maintainer approves it: `/compops approve`',
    )
  })

  test('stands at the top of the note while it is awaited, and when it is given who gave it', () => {
    const view = (of: ReturnType<typeof run>) => ({
      ...{ run: of, at: at('10:00:00'), timeZone: 'Europe/Berlin', publicUrl: options.publicUrl },
      mergeRequest: { projectId: 1, iid: 2 },
    })
    expect(renderNote(view(run(held, { approval: asked })))).toContain('held: it can cost at most 1,280 core-h')
    const after = renderNote(view(run([job('mesh', 'running'), job('solve', 'waiting')], { approval: approved })))
    expect(after).toContain('Approved by bob: it can cost at most 1,280 core-h and 65 GPU-h, more than 1,000 core-h')
  })

  test('is a status that always ends', () => {
    expect(approval(run(held))).toEqual([])
    expect(approval(run(held, { approval: asked }))).toEqual([
      'pending: a Maintainer approves what can cost more than 1,000 core-h or 50 GPU-h: at most 1,280 core-h and 65 GPU-h',
    ])
    expect(approval(run(held, { approval: approved }))).toEqual([
      'success: approved by bob: at most 1,280 core-h and 65 GPU-h',
    ])
    const canceled = [job('mesh', 'canceled'), job('solve', 'canceled')]
    const ended = ['canceled: not approved, and not needed any more']
    expect(approval(run(canceled, { approval: asked, endedAt: at('10:00:00') }))).toEqual(ended)
    expect(approval(run(held, { approval: asked, supersededBy: '0190f3c2-7d00-7abc-8def-0123456789ac' }))).toEqual(
      ended,
    )
  })
})
