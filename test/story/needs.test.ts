import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeEach(async () => {
  world = await startWorld({ database: 'postgres' })
})
afterEach(() => world.close())

const file = (solve: string) => ({
  '.compops.yml': `jobs:
  solve:
    script: ['${solve}']
  watch:
    needs: [{ job: solve, kind: after }]
    script: [touch watched]
  plot:
    needs: [solve]
    script: [echo plot]
  paper:
    needs: [plot]
    script: [echo paper]
  rescue:
    needs: [{ job: solve, kind: afternotok }]
    script: [echo rescued]
  tidy:
    needs: [{ job: solve, kind: any }, { job: paper, kind: any }]
    script: [echo tidied]
`,
})

// `solve` only ends when the job that needs no more than its begin has run beside it.
const waitForWatch = 'until [ -e watched ]; do sleep 0.1; done'

describe('needs of another kind than "it has completed"', () => {
  it('begin beside a job, after its failure, after any end; what needs the failed job is skipped with the reason, and what needs that', async () => {
    const sha = await world.push('calc/heat', file(`${waitForWatch}; exit 3`))
    expect(await world.treeEnds(sha)).toEqual({
      'compops/solve': 'failed',
      'compops/watch': 'success',
      'compops/plot': expect.stringMatching(/skipped|canceled/),
      'compops/paper': expect.stringMatching(/skipped|canceled/),
      'compops/rescue': 'success',
      'compops/tidy': 'success',
      'compops/tree': 'failed',
    })
    expect(world.description(sha, 'compops/plot')).toContain('solve failed')
    expect(world.description(sha, 'compops/paper')).toContain('plot was skipped')
    const record = parse(await until('the evidence', () => world.evidenceOf('calc/heat', sha)))
    expect(record.jobs.tidy.needs).toEqual([
      { job: 'solve', kind: 'any' },
      { job: 'paper', kind: 'any' },
    ])
    expect(record.jobs.plot.needs).toEqual(['solve'])
  })

  it('a rescue that nobody called for keeps no run from success', async () => {
    const sha = await world.push('calc/heat', file(waitForWatch))
    expect(await world.treeEnds(sha)).toEqual({
      'compops/solve': 'success',
      'compops/watch': 'success',
      'compops/plot': 'success',
      'compops/paper': 'success',
      'compops/rescue': expect.stringMatching(/skipped|canceled/),
      'compops/tidy': 'success',
      'compops/tree': 'success',
    })
    expect(world.description(sha, 'compops/rescue')).toContain('solve completed')
  })
})
