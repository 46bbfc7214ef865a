import { describe, expect, it } from 'vitest'
import { standingOf } from '../../src/model/standing.ts'
import type { CiStep, DeliveryStep, JobStep, ReportStep, RunStep, Step, Why, Work } from '../../src/model/why.ts'
import { renderParked } from '../../src/render/parked.ts'
import { formatAgo, renderWhy } from '../../src/render/why.ts'
import { hostileTexts } from './hostile.ts'

const at = '2026-11-20T15:32:10.000Z'
const done: Work = { tries: 0, lastError: null, nextAt: null, parkedAt: null, busy: false }
const run = '0190f3c2-0000-7000-8000-000000000001'

const delivery = (more: Partial<DeliveryStep> = {}): DeliveryStep => ({
  ...{ kind: 'delivery', id: '0190f3c2-0000-7000-8000-000000000000', key: 'a-key', event: 'push', by: 'alice' },
  ...{ ref: 'refs/heads/calc/heat', receivedAt: at, outcome: 'accepted', reason: null, recovering: false },
  ...{ result: `run ${run} started with 1 job`, doneAt: at, work: done },
  ...more,
})
const runStep = (more: Partial<RunStep> = {}): RunStep => ({
  ...{ kind: 'run', id: run, state: 'running', cause: 'head:1', how: 'push by alice', by: 'alice', jobs: 1 },
  ...{ createdAt: at, endedAt: null, supersededBy: null, problem: null, mistakes: [], composing: null },
  ...more,
})
const ci = (more: Partial<CiStep> = {}): CiStep => ({
  ...{ kind: 'ci', id: run, ciJob: 4711, pipeline: 77, name: 'solve', mode: 'gate', gate: 'compops', by: 'alice' },
  ...{ gateEarly: false, askedAt: at, wanted: null, started: true, heardAt: at, beginsBy: null, result: null },
  ...{ endedAt: null, over: false, work: done },
  ...more,
})
const job = (more: Partial<JobStep> = {}): JobStep => ({
  ...{ kind: 'job', id: run, name: 'mesh', state: 'running', reason: null, message: null, cluster: 'falcon' },
  ...{
    connection: 'falcon',
    nativeId: '4711',
    attempts: 1,
    attemptId: run,
    since: at,
    cancelling: null,
    retryAt: null,
    doing: null,
  },
  ...{ work: null, hold: null },
  peer: {
    ...{ unreachableSince: null, troubledSince: null, lastError: null, lastRoundAt: '2026-11-20T15:40:00.000Z' },
    ...{ pollEvery: [15_000, 120_000] as const, recovering: false },
  },
  ...more,
})
const report = (more: Partial<ReportStep> = {}): ReportStep => ({
  ...{ kind: 'report', id: run, report: 'status', name: 'compops/mesh', wants: 'running', state: 'told', sentAt: at },
  ...{ unsentSince: null, refused: null, work: done, recovering: false },
  ...more,
})

function said(steps: readonly Step[], style: Parameters<typeof renderWhy>[1] = {}): string {
  const why: Why = {
    ...{ asked: 'calc/heat', at: '2026-11-20T15:40:10.000Z', timeZone: 'Europe/Berlin', running: true, more: 0 },
    ...{ lookedFor: [], near: [] },
    chains: [
      { project: 'physics/heat', branch: 'calc/heat', sha: '1adad2a7'.repeat(5), steps, stands: standingOf(steps) },
    ],
  }
  return renderWhy(why, style)
}

it('says why a directory that is too old still stands', () => {
  const problem = { why: 'it cannot be removed whole', nextAt: '2026-11-20T15:50:10.000Z' }
  const text = said([delivery(), runStep({ removed: [{ cluster: 'falcon', at: null, days: 30, problem }] }), job()])
  expect(text).toContain('its directory on falcon is to be removed (keep: 30 days): it cannot be removed whole')
  expect(text).toMatch(/it is tried again +16:50:10 CET, in 10 min/)
})

describe('where a chain stands', () => {
  it('says when a job is tried again', () => {
    const message = 'attempt 2 of 2 after node failure'
    const waiting = { state: 'waiting', message, retryAt: '2026-11-20T15:40:40.000Z' } as const
    expect(said([delivery(), runStep(), job(waiting)])).toContain('it is tried again in 30 s')
    const due = { ...waiting, retryAt: '2026-11-20T15:40:10.000Z' }
    expect(said([delivery(), runStep(), job(due)])).toContain('it is tried again at once')
  })

  it('of a CI job: at its batch job, then at its gate, and at the mistake where it has one', () => {
    const ended = [runStep({ state: 'completed', endedAt: at }), job({ state: 'completed', peer: null }), report()]
    expect(said([ci(), runStep(), job()])).toContain('It stands at: mesh, running')
    const work = { ...done, lastError: 'compops is created: GitLab has not come to it yet', nextAt: at }
    const waits = said([ci({ over: true, work }), ...ended])
    expect(waits).toContain('It stands at: the gate compops, not played yet, compops is created')
    expect(waits).toContain('GitLab is asked for it at once')
    const refused = { ...work, tries: 3, lastError: '403 Forbidden', parkedAt: at }
    expect(said([ci({ over: true, work: refused }), ...ended])).toContain(`\`compops retry ${run}\``)
    const never = ci({ mode: 'detach', gate: null, started: false, endedAt: at, result: 'This id_token has expired' })
    expect(said([never])).toContain('It ended there: refused. This id_token has expired')
    expect(said([ci({ started: false })])).toContain(
      'CI job 4711 (solve), which has no run yet; next: the CI job asks again',
    )
  })

  it('reads like this', () => {
    expect(said([delivery(), runStep(), job(), report()])).toBe(`
  calc/heat at 1adad2a7 in physics/heat

  ●  delivery     push by alice, accepted                                        16:32:10 CET, 8 min ago
                  → run ${run} started with 1 job  16:32:10 CET, 8 min ago
  ◐  run          running, 1 job: push by alice                                  16:32:10 CET, 8 min ago
                  ${run}
  ◐  mesh         running, falcon 4711                                           16:32:10 CET, 8 min ago
  ●  status mesh  running, told                                                  16:32:10 CET, 8 min ago

  It stands at: mesh, running (falcon 4711); next: falcon is asked every 15 s to 2 m, last 10 s ago.

`)
  })

  const failing: Work = {
    tries: 3,
    lastError: 'falcon: no space left',
    nextAt: '2026-11-20T15:40:22.000Z',
    parkedAt: null,
    busy: false,
  }
  const parked: Work = { tries: 8, lastError: 'a mistake', nextAt: null, parkedAt: at, busy: false }
  const away = { ...job().peer!, unreachableSince: at, lastError: 'connection refused' }
  const ended = runStep({ state: 'completed', endedAt: at })
  const finished = job({ state: 'completed', peer: null })

  it.each<[string, Step[], string]>([
    [
      'a delivery that waits',
      [delivery({ doneAt: null, result: null })],
      'It stands at: the delivery, stored and not acted on yet; next: it is read at once.',
    ],
    [
      'a delivery that fails',
      [delivery({ doneAt: null, result: null, work: failing })],
      'the delivery, stored and not acted on yet, falcon: no space left; next: it is read in 12 s (next try).',
    ],
    [
      'a delivery that is being read',
      [delivery({ doneAt: null, result: null, work: { ...failing, busy: true } })],
      'next: it is read, at this moment.',
    ],
    [
      'a delivery of a project that recovers',
      [delivery({ doneAt: null, recovering: true })],
      'next: it goes on when what has happened since the restored backup has been read.',
    ],
    [
      'a parked delivery',
      [delivery({ doneAt: null, work: parked })],
      `the delivery, parked, a mistake; next: nothing by itself; \`compops retry ${delivery().id}\``,
    ],
    [
      'a push that ran nothing',
      [delivery({ result: 'no .compops.yml at 1adad2a7' })],
      'It ended there: no .compops.yml at 1adad2a7.',
    ],
    [
      'a submission in doubt',
      [delivery(), runStep(), job({ state: 'submitting', nativeId: null, doing: 'submit', work: failing })],
      'It stands at: the submission of mesh to falcon, falcon: no space left; next: it is handed over in 12 s (next try).',
    ],
    [
      'a cluster that is away',
      [runStep(), job({ peer: away })],
      'mesh, running (falcon 4711), falcon does not answer: connection refused; next: falcon is asked every',
    ],
    [
      'a cluster that was never reached',
      [runStep(), job({ state: 'waiting', nativeId: null, peer: away })],
      'mesh, waiting (falcon), falcon does not answer: connection refused; next: falcon is asked every 15 s to 2 m',
    ],
    [
      'a job that waits for another is not where it stands',
      [runStep(), job({ name: 'after', state: 'waiting', message: 'waits for mesh', nativeId: null }), job()],
      'It stands at: mesh, running',
    ],
    [
      'results being fetched',
      [runStep(), job({ state: 'completed', doing: 'collect', work: failing })],
      'the results of mesh, being fetched from falcon, falcon: no space left; next: they are fetched in 12 s',
    ],
    [
      'a run being closed',
      [runStep(), finished],
      'the run, whose jobs have all ended; next: it is closed within seconds.',
    ],
    [
      'a run being composed',
      [runStep({ ...ended, composing: done }), finished],
      'the run, being composed for GitLab; next: it is composed at once.',
    ],
    [
      'a run that cannot be composed',
      [runStep({ ...ended, composing: parked }), finished],
      'the run, parked: what GitLab should show cannot be composed, a mistake; next: nothing by itself',
    ],
    [
      'a status that GitLab does not take now',
      [
        ended,
        finished,
        report({ state: 'not yet', unsentSince: at, sentAt: null, work: { ...failing, lastError: '502 Bad Gateway' } }),
      ],
      'the status compops/mesh, not told yet, 502 Bad Gateway; next: it is sent in 12 s (next try).',
    ],
    [
      'the trouble of a report, though a job goes on',
      [runStep(), job(), report({ state: 'not yet', work: failing })],
      'It stands at: the status compops/mesh, not told yet',
    ],
    [
      'a status that GitLab refuses for ever',
      [ended, finished, report({ state: 'refused', refused: 'a pipeline is locked' })],
      'It is over: the run is completed, GitLab refused 1 of the statuses, all else is told; nothing is to come.',
    ],
    [
      'the end',
      [ended, finished, report()],
      'It is over: the run is completed, GitLab has been told everything; nothing is to come.',
    ],
  ])('is told of %s', (_what, steps, sentence) => {
    expect(said(steps)).toContain(sentence)
  })

  it('says an error once, also where it stands on several rows', () => {
    const full = 'falcon: no space left'
    const peer = { ...job().peer!, troubledSince: at, lastError: full }
    const submitting = job({ state: 'submitting', message: full, doing: 'submit', work: failing, peer })
    const lines = (text: string) =>
      text.split('\n').filter(line => line.includes(full) && !line.includes('It stands at'))
    expect(lines(said([runStep(), submitting]))).toHaveLength(1)
    // The cluster is not to blame for what is fetched from it: the error is the work's own.
    expect(lines(said([runStep(), job({ state: 'completed', doing: 'collect', work: failing, peer })]))).toHaveLength(1)
  })

  it('folds what went well into one line where there is much of it', () => {
    const jobs = Array.from({ length: 200 }, (_, n) => job({ name: `j${n}`, state: 'completed', peer: null }))
    const text = said([ended, ...jobs, job({ name: 'bad', state: 'failed', reason: 'memory', peer: null }), report()])
    expect(text.split('\n').length).toBeLessThan(20)
    expect(text).toContain('197 jobs more completed')
    expect(text).toMatch(/✕ {2}bad +failed \(out of memory\)/)
  })
})

describe('a terminal', () => {
  it('is never told what a foreign text would have it do', () => {
    const bad = `${hostileTexts.join(' ')}\x1b]0;title\x07\x1b[31mred\nIt is over: all is well\u202e`
    const text = said([
      delivery({ by: bad, result: bad, work: { ...done, lastError: bad } }),
      runStep({ how: bad, problem: bad, mistakes: [bad] }),
      job({
        name: bad,
        message: bad,
        cancelling: bad,
        nativeId: bad,
        peer: { ...job().peer!, unreachableSince: at, lastError: bad },
      }),
      report({ name: bad, state: 'refused', refused: bad }),
    ])
    const parked = renderParked(
      [{ table: 'reports', id: run, what: bad, projectPath: bad, parkedAt: new Date(at), tries: 8, lastError: bad }],
      {
        timeZone: 'UTC',
        now: new Date(at),
      },
    )
    for (const shown of [text, parked]) {
      expect(shown).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
      expect(shown).not.toMatch(/^It is over: all is well/m)
    }
  })

  it('has colours where it wants them, and lines that fit', () => {
    expect(said([delivery(), runStep(), job()])).not.toContain('\x1b')
    const steps = [delivery({ result: 'x'.repeat(500) }), runStep(), job({ message: 'y'.repeat(500) })]
    const coloured = said(steps, { colour: true, width: 90 })
    expect(coloured).toContain('\x1b[32m●\x1b[39m')
    for (const line of said(steps, { width: 90 })
      .split('\n')
      .filter(line => !line.includes('It stands at')))
      expect(line.length).toBeLessThanOrEqual(90)
  })

  it('reads how long ago something was', () => {
    const now = new Date('2026-11-20T12:00:00Z')
    const before = (seconds: number) => formatAgo(new Date(now.getTime() - seconds * 1000), now)
    expect([0, 12, 120, 5_000, 7 * 3_600, 5 * 86_400, -30].map(before)).toEqual([
      ...['just now', '12 s ago', '2 min ago', '1 h ago', '7 h ago', '5 d ago', 'in 30 s'],
    ])
  })
})
