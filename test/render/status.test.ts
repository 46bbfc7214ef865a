import { describe, expect, test } from 'vitest'
import { type FailureReason, failureReasonNames, jobStateNames } from '../../src/model/job-state.ts'
import { maxDescription, renderJobStatus, renderTreeStatus, statusName } from '../../src/render/status.ts'
import { hostileTexts } from './hostile.ts'
import {
  accounting,
  at,
  attempt,
  completed,
  job,
  mesh,
  options,
  post,
  run,
  running,
  simulate,
  spec,
  sweep,
} from './sample.ts'

const say = (of: Parameters<typeof job>, within = running) => {
  const { state, description } = renderJobStatus(job(...of), within, options)
  return `${state} · ${description}`
}
const ended = (reason: FailureReason, more = {}) => ({
  reason,
  spec: spec('x', { time: 14_400, mem: 2048 }),
  attempts: [attempt({ nativeId: '4714', startedAt: at('14:30:00'), endedAt: at('14:33:00'), exitCode: 1, ...more })],
})

describe('one status for each job', () => {
  test('name and address', () => {
    expect(renderJobStatus(mesh, running, options)).toEqual({
      name: 'compops/mesh',
      state: 'success',
      description: 'falcon 4711 · completed in 2 m 10 s · 8 cores, 31 % used',
      targetUrl: 'https://compops.example.org/runs/0190f3c2-7d00-7abc-8def-0123456789ab/jobs/mesh',
    })
  })

  test.each([
    ['running', simulate, 'running · falcon 4712 · started 15:30 CET, limit 4 h · live at the link'],
    ['waiting', post, 'pending · waits for simulate, then for falcon'],
    ['failed', sweep, 'failed · falcon 4714 · out of memory (asked 2 G) after 3 m · 2 attempts'],
  ])('the story: %s', (_, each, expected) => {
    const { state, description } = renderJobStatus(each, running, options)
    expect(`${state} · ${description}`).toBe(expected)
  })

  test.each<[string, Parameters<typeof job>, string]>([
    [
      'waiting for its next attempt',
      ['x', 'waiting', { message: 'attempt 2 of 3 after out of memory, mem 2 G → 3 G', attempts: [attempt()] }],
      'pending · falcon · attempt 2 of 3 after out of memory, mem 2 G → 3 G',
    ],
    [
      'running with more than it asked for at first',
      [
        'x',
        'running',
        {
          spec: spec('x', { time: 3600 }),
          attempts: [
            attempt(),
            attempt({
              number: 2,
              nativeId: '4715',
              startedAt: at('14:30:00'),
              asked: { resources: { time: 7200 }, step: 'attempt 2 of 2 after time limit, time 1 h → 2 h' },
            }),
          ],
        },
      ],
      'running · falcon 4715 · started 15:30 CET, limit 2 h · attempt 2 of 2 after time limit, time 1 h → 2 h · live at the link',
    ],
  ])('between and in attempts: %s', (_, of, expected) => {
    expect(say(of)).toBe(expected)
  })

  // GitLab's `pending` lasts from waiting to the queue, and keeps its first words.
  test.each<[string, Parameters<typeof job>, string]>([
    ['waiting for nobody', ['x', 'waiting'], 'pending · falcon · waits for its turn'],
    [
      'waiting for another branch',
      ['x', 'waiting', { message: 'waits for calc/heat' }],
      'pending · waits for calc/heat, then for falcon',
    ],
    ['submitting', ['x', 'submitting'], 'pending · falcon · waits for its turn'],
    [
      'held',
      ['x', 'held', { message: 'needs the approval of a Maintainer' }],
      'pending · falcon · held at first: needs the approval of a Maintainer',
    ],
    [
      'queued',
      ['x', 'queued', { attempts: [attempt({ nativeId: '4711', queuedAt: at('15:29:00') })] }],
      'pending · falcon 4711 · queued in main since 16:29 CET',
    ],
    [
      'many needs',
      ['x', 'waiting', { spec: spec('x', {}, { needs: ['a', 'b', 'c', 'd', 'e'] }) }],
      'pending · waits for a, b, c and 2 more, then for falcon',
    ],
    [
      'suspended',
      ['x', 'suspended', { attempts: simulate.attempts, spec: simulate.spec }],
      'running · falcon 4712 · started 15:30 CET, limit 4 h · live at the link',
    ],
    [
      'completed, nothing accounted',
      ['x', 'completed', { attempts: [attempt({ nativeId: '9' })] }],
      'success · falcon 9 · completed',
    ],
    ['exit 3', ['x', 'failed', ended('exit', { exitCode: 3 })], 'failed · falcon 4714 · exit 3 after 3 m'],
    [
      'exit 127',
      ['x', 'failed', ended('exit', { exitCode: 127 })],
      'failed · falcon 4714 · exit 127: command not found after 3 m',
    ],
    [
      'exit 139',
      ['x', 'failed', ended('exit', { exitCode: 139 })],
      'failed · falcon 4714 · exit 139: segmentation fault after 3 m',
    ],
    [
      'a signal',
      ['x', 'failed', ended('exit', { exitCode: null, signal: 9 })],
      'failed · falcon 4714 · signal 9 after 3 m',
    ],
    [
      'the code of accounting',
      ['x', 'failed', ended('exit', { exitCode: null, accounting: accounting({ exitCode: 2 }) })],
      'failed · falcon 4714 · exit 2: wrong usage, or a general error after 3 m',
    ],
    ['timeout', ['x', 'failed', ended('timeout')], 'failed · falcon 4714 · time limit of 4 h after 3 m'],
    ['memory', ['x', 'failed', ended('memory')], 'failed · falcon 4714 · out of memory (asked 2 G) after 3 m'],
    [
      'not accepted',
      ['x', 'failed', { reason: 'submit', message: 'sbatch: error: invalid partition specified: gpux' }],
      'failed · falcon · not accepted: sbatch: error: invalid partition specified: gpux',
    ],
    [
      'node failure',
      ['x', 'failed', ended('node')],
      'canceled · falcon 4714 · node failure after 3 m: the cluster, not the commit',
    ],
    [
      'lost',
      ['x', 'failed', ended('lost', { endedAt: null })],
      'canceled · falcon 4714 · lost: the cluster, not the commit',
    ],
    [
      'canceled',
      ['x', 'canceled', { message: 'superseded by a newer push' }],
      'canceled · falcon · canceled: superseded by a newer push',
    ],
    ['skipped', ['x', 'skipped', { spec: spec('x', {}, { needs: ['sweep'] }) }], 'skipped · skipped: needs sweep'],
  ])('%s', (_, of, expected) => {
    expect(say(of)).toBe(expected)
  })

  test('a time of another day has its date', () => {
    const late = attempt({ nativeId: '1', startedAt: new Date('2026-11-21T01:00:00Z') })
    expect(say(['x', 'running', { attempts: [late] }])).toBe(
      'running · falcon 1 · started 21 Nov, 02:00 CET · live at the link',
    )
  })
})

describe('one status for the run', () => {
  const tree = (of: Parameters<typeof renderTreeStatus>[0]) => {
    const { state, description } = renderTreeStatus(of, options)
    return `${state} · ${description}`
  }
  test('name and address', () => {
    const { name, targetUrl } = renderTreeStatus(running, options)
    expect([name, targetUrl]).toEqual([
      'compops/tree',
      'https://compops.example.org/runs/0190f3c2-7d00-7abc-8def-0123456789ab',
    ])
  })

  const mistake = {
    path: 'jobs.simulate',
    line: 7,
    column: 5,
    message: '`cpus_per_taks` is not a key of a job.',
    remedy: 'Did you mean `cpus_per_task`?',
  }
  const wrong = (count: number) =>
    run([], { problem: 'wrong', spec: { sha256: 'x', problems: Array.from({ length: count }, () => mistake) } })
  test.each([
    ['running', running, 'running · calc/heat/4d, child of calc/heat · 4 jobs on falcon'],
    ['completed', completed, 'success · calc/heat/4d, child of calc/heat · 2 jobs completed in 1 h 10 m'],
    ['failed', run([mesh, sweep]), 'failed · calc/heat/4d · 1 of 2 jobs failed: sweep (out of memory)'],
    [
      'only the cluster failed',
      run([mesh, job('x', 'failed', ended('node'))]),
      'canceled · calc/heat/4d · x (node failure): the cluster, not the commit',
    ],
    ['no parent', run([post], { parent: null }), 'pending · calc/heat/4d · 1 job on falcon'],
    ['a wrong file', wrong(1), 'failed · `.compops.yml` line 7: `cpus_per_taks` is not a key of a job.'],
    [
      'a very wrong file',
      wrong(5),
      'failed · `.compops.yml` line 7: `cpus_per_taks` is not a key of a job. (and 4 more mistakes)',
    ],
    [
      'no sources',
      run([], { problem: 'submodule lib/mesh cannot be fetched' }),
      'failed · submodule lib/mesh cannot be fetched',
    ],
    ['canceled', run([job('x', 'canceled')]), 'canceled · calc/heat/4d · canceled'],
  ])('%s', (_, of, expected) => {
    expect(tree(of)).toBe(expected)
  })
})

test('never too long, never two lines, whatever the names', () => {
  for (const text of hostileTexts)
    for (const state of jobStateNames)
      for (const reason of state === 'failed' ? failureReasonNames : [null]) {
        const each = job(text, state, {
          reason,
          message: text,
          cluster: text,
          spec: spec(text, { partition: text }, { needs: [text, 'b', text] }),
          attempts: [attempt({ nativeId: text, queue: text, startedAt: at('14:30:00'), endedAt: at('14:31:00') })],
        })
        const within = run([each], { branch: text, parent: { branch: text, why: text } })
        for (const status of [renderJobStatus(each, within, options), renderTreeStatus(within, options)]) {
          expect(status.description.length).toBeLessThanOrEqual(maxDescription)
          expect(status.description).toBe(status.description.toWellFormed())
          expect(status.description).not.toMatch(/[\p{Cc}\p{Cf}]/u)
          expect(status.name.length).toBeLessThanOrEqual(200)
          expect(() => new URL(status.targetUrl)).not.toThrow()
        }
      }
})

test('two names too long for GitLab stay two', () => {
  const names = ['a', 'b'].map(end => statusName('x'.repeat(300) + end))
  expect(new Set(names).size).toBe(2)
  expect(names[0]).toMatch(/^compops\/x+…~[0-9a-f]{8}$/)
})
