import { describe, expect, it } from 'vitest'
import type { JobSpec } from '../../src/model/job-spec.ts'
import type { FailureReason } from '../../src/model/job-state.ts'
import { type Asked, nextStep, nextTasks, type Tried } from '../../src/model/ladder.ts'

type Spec = Pick<JobSpec, 'resources' | 'retry' | 'checkpoint' | 'chain'>

/** `memory`, `node n1,n2`, `completed`, `reached`: how an attempt ended, and where it ran. */
const tried = (...ends: string[]): Tried[] =>
  ends.map(end => {
    const [how = '', nodes = ''] = end.split(' ')
    const ended = how === 'completed' || how === 'reached'
    return {
      state: ended ? 'completed' : 'failed',
      reason: ended ? null : (how as FailureReason),
      nodes: nodes.split(',').filter(node => node !== ''),
      reached: how === 'reached',
    }
  })

/** Climbs until it ends: the steps for people, then how it ended. */
function climb(spec: Spec, ...ends: string[]): string[] {
  const steps: string[] = []
  let asked: Asked | undefined
  for (let n = 1; n <= ends.length; n++) {
    const step = nextStep(spec, tried(...ends.slice(0, n)), asked)
    if (step === null) return [...steps, 'ends as it did']
    if (step.kind === 'ends') return [...steps, `${step.state} ${step.reason}: ${step.message}`]
    asked = step.asked
    steps.push(asked.step ?? '')
  }
  return steps
}

const rules = (list: NonNullable<JobSpec['retry']>['rules']) => ({ total: null, rules: list })
const twoGigabytes = { mem: 2048, time: 3600 }

describe('an attempt that failed is followed by another', () => {
  it('with more memory each time, up to the most that it may have', () => {
    const retry = rules({ memory: { times: 5, factor: 1.5, max: 4096 } })
    expect(climb({ resources: twoGigabytes, retry }, 'memory', 'memory', 'memory')).toEqual([
      'attempt 2 of 6 after out of memory, mem 2 G → 3 G',
      'attempt 3 of 6 after out of memory, mem 3 G → 4 G',
      'failed memory: it had 4 G, the most that its `retry` allows',
    ])
    expect(climb({ resources: { mem_per_cpu: 500 }, retry: rules({ memory: { times: 1 } }) }, 'memory')).toEqual([
      'attempt 2 of 2 after out of memory, mem_per_cpu 500 M → 750 M',
    ])
  })

  it('with more time, unless it says x1', () => {
    expect(climb({ resources: twoGigabytes, retry: rules({ timeout: { times: 1 } }) }, 'timeout', 'timeout')).toEqual([
      'attempt 2 of 2 after time limit, time 1 h → 2 h',
      'failed timeout: its retry is used up',
    ])
    const same = rules({ timeout: { times: 1, factor: 1 } })
    expect(climb({ resources: twoGigabytes, retry: same }, 'timeout')).toEqual(['attempt 2 of 2 after time limit'])
  })

  it('away from the node that failed, where one is known to have', () => {
    const spec = { resources: {}, retry: rules({ node: { times: 3, exclude: true } }) }
    expect(climb(spec, 'node n1', 'node n2', 'node n3,n4')).toEqual([
      'attempt 2 of 4 after node failure, without n1',
      'attempt 3 of 4 after node failure, without n1, n2',
      'attempt 4 of 4 after node failure; which of its 2 nodes failed is not known',
    ])
    // A name that an option could read otherwise is none.
    expect(climb(spec, 'node -x')[0]).toContain('which of its 1 nodes')
  })

  it('later each time where it was the cluster, at once where it was the code', () => {
    const spec = { resources: {}, retry: rules({ preempted: { times: 20 }, exit: { times: 20 } }) }
    const waits = (reason: string, n: number) => {
      const step = nextStep(spec, tried(...Array<string>(n).fill(reason)))
      return step?.kind === 'again' ? step.wait : null
    }
    expect([1, 2, 3, 10].map(n => waits('preempted', n))).toEqual([1, 2, 4, 32])
    expect([1, 2, 3, 10].map(n => waits('exit', n))).toEqual([0, 0, 0, 0])
  })

  it('only for reasons that it names, each with a number of its own', () => {
    const spec = { resources: {}, retry: rules({ node: { times: 1 }, exit: { times: 1 } }) }
    expect(climb(spec, 'node', 'exit', 'node')).toEqual([
      'attempt 2 of 2 after node failure',
      'attempt 3 of 3 after exit code',
      'failed node: its retry is used up',
    ])
    expect(climb(spec, 'timeout')).toEqual(['ends as it did'])
    expect(climb(spec, 'submit')).toEqual(['ends as it did'])
  })

  it('for any reason where one number stands for all, which they share', () => {
    const all = { total: 2, rules: { exit: { times: 2 }, node: { times: 2 }, memory: { times: 2 } } }
    expect(climb({ resources: twoGigabytes, retry: all }, 'exit', 'memory', 'node')).toEqual([
      'attempt 2 of 3 after exit code',
      'attempt 3 of 3 after out of memory, mem 2 G → 3 G',
      'failed node: its 2 retries are used up',
    ])
  })
})

describe('a job that writes checkpoints', () => {
  const checkpoint = { signal: 'USR1', lead: 300, restarts: 2 } as const
  it('is started again after its time limit and a preemption, with what it had', () => {
    expect(climb({ resources: twoGigabytes, checkpoint }, 'timeout', 'preempted', 'timeout')).toEqual([
      'restart 1 of 2 from its checkpoint after time limit',
      'restart 2 of 2 from its checkpoint after preempted',
      'failed timeout: its 2 retries are used up',
    ])
    expect(climb({ resources: {}, checkpoint }, 'exit')).toEqual(['ends as it did'])
  })
  it('does not use up the retries of other ends', () => {
    const retry = { total: 1, rules: { exit: { times: 1 }, timeout: { times: 1 }, preempted: { times: 1 } } }
    expect(climb({ resources: twoGigabytes, checkpoint, retry }, 'timeout', 'exit', 'exit')).toEqual([
      'restart 1 of 2 from its checkpoint after time limit',
      'attempt 3 of 3 after exit code',
      'failed exit: its retry is used up',
    ])
  })
  it('has as many restarts as it says of that very end, and a longer limit only where it says so', () => {
    const retry = rules({ timeout: { times: 1, factor: 2 }, preempted: { times: 1 } })
    expect(climb({ resources: twoGigabytes, checkpoint, retry }, 'timeout', 'preempted', 'timeout')).toEqual([
      'restart 1 of 1 from its checkpoint after time limit, time 1 h → 2 h',
      'restart 1 of 1 from its checkpoint after preempted',
      'failed timeout: its retry is used up',
    ])
  })
})

describe('a chain', () => {
  const chain = { segments: 3, until: 'converged' }
  it('goes on at the time limit and at an end with 0, until its file is there', () => {
    expect(climb({ resources: {}, chain }, 'timeout', 'completed', 'reached')).toEqual([
      'segment 2 of 3',
      'segment 3 of 3',
      'ends as it did',
    ])
  })
  it('has failed when its segments are used up, whatever their ends', () => {
    expect(climb({ resources: {}, chain }, 'timeout', 'timeout', 'timeout').at(-1)).toBe(
      'failed segments: 3 segments have run, and converged is not there',
    )
    expect(climb({ resources: {}, chain }, 'timeout', 'timeout', 'completed').at(-1)).toContain('failed segments')
  })
  it('without a file runs them all, and has completed then', () => {
    const all = { segments: 2, until: null }
    expect(climb({ resources: {}, chain: all }, 'completed', 'timeout')).toEqual([
      'segment 2 of 2',
      'completed null: 2 segments have run',
    ])
  })
  it('fails with a segment that failed, unless that may be tried again; which is no new segment', () => {
    expect(climb({ resources: {}, chain }, 'timeout', 'exit')).toEqual(['segment 2 of 3', 'ends as it did'])
    const spec = { resources: {}, chain, retry: rules({ node: { times: 1 } }) }
    expect(climb(spec, 'timeout', 'node', 'timeout', 'reached')).toEqual([
      'segment 2 of 3',
      'segment 2 of 3 again after node failure',
      'segment 3 of 3',
      'ends as it did',
    ])
  })
})

describe('of an array', () => {
  const spec = {
    resources: twoGigabytes,
    retry: rules({ memory: { times: 2, factor: 2, max: 4096 }, node: { times: 1, exclude: true } }),
  }
  const task = (index: number, ...ends: string[]) => ({
    index,
    failures: tried(...ends).map(({ reason, nodes }) => ({ reason: reason!, nodes })),
  })
  it('the failed tasks go again that have retries left, all with the same', () => {
    expect(nextTasks(spec, [task(1, 'memory'), task(3, 'memory'), task(4, 'node n7'), task(5, 'exit')])).toEqual({
      tasks: [1, 3, 4],
      asked: {
        resources: { mem: 4096 },
        exclude: ['n7'],
        step: '3 of its tasks again after out of memory, node failure, mem 2 G → 4 G, without n7',
      },
      wait: 1,
    })
  })
  it('none goes again whose retries are used up, or who had all that it may have', () => {
    const asked = { resources: { mem: 4096 } }
    expect(nextTasks(spec, [task(1, 'memory', 'memory'), task(4, 'node', 'node')], asked)).toBeNull()
    expect(nextTasks(spec, [task(1, 'exit')])).toBeNull()
    expect(nextTasks(spec, [])).toBeNull()
  })
})
