import { describe, expect, test } from 'vitest'
import { parseSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const read = (lines: string, top = '') =>
  parseSpec(`${top}jobs:\n  a:\n    script: [x]\n${lines.replace(/^/gm, '    ')}\n`, contextWith())

async function job(lines: string, top = '') {
  const result = await read(lines, top)
  if ('problems' in result) throw new Error(sentences(result).join('\n'))
  return result.spec.jobs[0]!
}

describe('retry', () => {
  test('is a number for all reasons together, as in .gitlab-ci.yml', async () => {
    const { retry, origins } = await job('retry: 2')
    expect(retry).toMatchObject({ total: 2, rules: { exit: { times: 2 }, lost: { times: 2 } } })
    expect(origins.retry).toBe('.compops.yml line 4')
  })

  test('is a number or more for each reason', async () => {
    const text = `mem: 2G
time: 1h
retry:
  node: { times: 3, exclude: true }
  preempted: 3
  lost: 1
  memory: { max_attempts: 2, mem: x1.5, max: 64G }
  timeout: { time: x2, max: 24h }
  exit: 1
  stalled: 1`
    expect((await job(text)).retry).toEqual({
      total: null,
      rules: {
        node: { times: 3, exclude: true },
        preempted: { times: 3 },
        lost: { times: 1 },
        memory: { times: 2, factor: 1.5, max: 65_536 },
        timeout: { times: 2, factor: 2, max: 86_400 },
        exit: { times: 1 },
        stalled: { times: 1 },
      },
    })
  })

  test('of a job wins over that of defaults, 0 switches it off', async () => {
    expect((await job('requeue: false', 'defaults: { retry: 1 }\n')).retry).toMatchObject({ total: 1 })
    expect((await job('retry: 0', 'defaults: { retry: 1 }\n')).retry).toBeUndefined()
  })

  test("never raises a time limit beyond the site's", async () => {
    const policy = { time: 7200, nodes: null, partitions: null, directives: null }
    const text = 'jobs: { a: { script: [x], time: 1h, retry: { timeout: { time: x3, max: 12h } } } }\n'
    const result = await parseSpec(text, { ...contextWith(), policy })
    if ('problems' in result) throw new Error(sentences(result).join('\n'))
    expect(result.spec.jobs[0]!.retry?.rules.timeout).toEqual({ times: 2, factor: 3, max: 7200 })
  })

  test.each([
    ['retry: 21', '4: How often a job is tried again is a number from 0 to 20.'],
    ['retry: often', '4: How often a job is tried again must be a whole number. Write for example `2`.'],
    ['retry: { oom: 1 }', '4: `oom` is not a reason to retry. Write `memory`.'],
    ['retry: { nodes: 1 }', '4: `nodes` is not a reason to retry. Did you mean `node`? Reasons are'],
    ['retry: { max: 2, when: [x] }', '4: `max` is not a reason to retry. Write `retry: 2`'],
    ['retry: { node: { time: x2 } }', '4: `time` is not a key of `node`.'],
    ['retry: { memory: { times: 1, max_attempts: 1 } }', '`max_attempts` and `times` mean the same. Keep one of them.'],
    ['mem: 2G\nretry: { memory: { mem: 1.5 } }', '`1.5` does not say how much more. Write `x1.5`'],
    ['retry: { memory: { mem: x2 } }', 'There is no `mem` that could be raised. Write for example `mem: 2G`.'],
    ['mem: 2G\nretry: { memory: { max: 1G } }', '`max` is less than the 2 G it begins with.'],
    ['cluster: hawk\nretry: { timeout: { time: x2 } }', 'There is no `time` that could be raised.'],
  ])('%j is a mistake', async (lines, message) => {
    expect(sentences(await read(lines)).join('\n')).toContain(message)
  })
})

describe('checkpoint', () => {
  test('is a signal and how long before the time limit it comes', async () => {
    expect((await job('time: 1h\ncheckpoint: { signal: SIGUSR2, lead: 5m, restarts: 3 }')).checkpoint).toEqual({
      signal: 'USR2',
      lead: 300,
      restarts: 3,
    })
    expect((await job('time: 1h\ncheckpoint: 90s')).checkpoint).toEqual({ signal: 'USR1', lead: 90, restarts: 10 })
  })
  test.each([
    ['cluster: hawk\ncheckpoint: { lead: 5m }', '`checkpoint` needs the `time` whose end is announced.'],
    ['time: 5m\ncheckpoint: { lead: 5m }', '`lead` is not shorter than `time`, 5 m.'],
    ['time: 1h\ncheckpoint: { signal: TERM, lead: 5m }', '`TERM` is not a signal for checkpoints. Write `USR1` or'],
    ['time: 1h\ncheckpoint: { signal: USR1 }', '`checkpoint` does not say how long it takes to write one.'],
  ])('%j is a mistake', async (lines, message) => {
    expect(sentences(await read(lines)).join('\n')).toContain(message)
  })
})

describe('chain', () => {
  test('is a number of segments, and the file that says that it is done', async () => {
    expect((await job('chain: { segments: 10, until: ./out/converged }')).chain).toEqual({
      segments: 10,
      until: 'out/converged',
    })
    expect((await job('chain: 5')).chain).toEqual({ segments: 5, until: null })
  })
  test.each([
    ['chain: { until: converged }', '`chain` does not say how many segments there are at most.'],
    ['chain: { segments: 0 }', 'The number of segments is a number from 1 to 1000.'],
    ['chain: { segments: 2, until: ../x }', '`until`: `../x`'],
    ['array: 0-3\nchain: 2', '`chain` and `array` exclude each other. Write a job for each chain.'],
  ])('%j is a mistake', async (lines, message) => {
    expect(sentences(await read(lines)).join('\n')).toContain(message)
  })
  test('is no key of defaults: a chain is one job', async () => {
    expect(sentences(await read('requeue: true', 'defaults: { chain: 3 }\n')).join('\n')).toContain(
      '`chain` is not a key of `defaults`.',
    )
  })
})

describe('on_exhausted', () => {
  test('is to fail, unless it is to pause', async () => {
    expect((await job('retry: 1\non_exhausted: pause')).on_exhausted).toBe('pause')
    expect(
      (await job('retry: 1\non_exhausted: fail', 'defaults: { on_exhausted: pause }\n')).on_exhausted,
    ).toBeUndefined()
    expect(sentences(await read('on_exhausted: stop')).join('\n')).toContain(
      '`on_exhausted` must be `fail` or `pause`.',
    )
  })
})
