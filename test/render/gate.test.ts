import { expect, test } from 'vitest'
import type { JobState } from '../../src/model/job-state.ts'
import { renderStatuses } from '../../src/render/status.ts'
import { at, attempt, job, options, run, spec } from './sample.ts'

const long = (state: JobState) =>
  job('long', state, {
    spec: spec('long', {}, { gate: false }),
    reason: state === 'failed' ? 'exit' : null,
    attempts: [attempt({ state, startedAt: at('08:00:00'), exitCode: state === 'failed' ? 3 : null })],
  })
const quick = (state: JobState) => job('quick', state)
const shown = (...args: Parameters<typeof run>) =>
  Object.fromEntries(renderStatuses(run(...args), options).map(one => [one.name, `${one.state}: ${one.description}`]))

test('a job that gates nothing has no status before it has ended, and the tree does not wait for it', () => {
  expect(shown([quick('completed'), long('running')])).toEqual({
    'compops/quick': 'success: falcon · completed',
    'compops/tree': 'success: calc/heat/4d, child of calc/heat · 1 job completed',
  })
  expect(Object.keys(shown([quick('running'), long('waiting')]))).toEqual(['compops/quick', 'compops/tree'])
})

test('its end is success, or skipped with what became of it: it turns no commit red', () => {
  expect(shown([quick('completed'), long('completed')])['compops/long']).toMatch(/^success: /)
  expect(shown([quick('completed'), long('failed')])).toMatchObject({
    'compops/long': 'skipped: failed, gates nothing: falcon · exit 3',
    'compops/tree': 'success: calc/heat/4d, child of calc/heat · 1 job completed',
  })
  expect(shown([quick('failed'), long('running')])['compops/tree']).toMatch(/^failed: /)
})

test('where nothing gates, the tree speaks when the run has ended', () => {
  expect(shown([long('running')])).toEqual({})
  expect(shown([long('failed')], { endedAt: at('09:00:00') })['compops/tree']).toMatch(
    /^skipped: failed, gates nothing: /,
  )
  expect(shown([long('completed')], { endedAt: at('09:00:00') })['compops/tree']).toMatch(/^success: /)
})
