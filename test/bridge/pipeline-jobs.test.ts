import { describe, expect, it } from 'vitest'
import { forgetJobs, jobByName, nowPlayed, statusOfJob } from '../../src/bridge/pipeline-jobs.ts'
import type { Context } from '../../src/context.ts'
import type { GitLab } from '../../src/gitlab/gitlab.ts'

const pipeline = { projectId: 1, pipelineId: 7 }

/** A pipeline of gates, and what GitLab is asked for. */
function gates(many: number) {
  const jobs = Array.from({ length: many }, (_, n) => ({ id: n + 1, name: `g${n}`, status: 'manual' }))
  const asked: string[] = []
  let now = 0
  const gitlab = {
    async ciJobs() {
      asked.push('list')
      return jobs.map(job => ({ ...job }))
    },
    async ciJob(_: number, id: number) {
      asked.push(`job ${id}`)
      return jobs.find(job => job.id === id) ?? { id, name: 'retried', status: 'failed' }
    },
  } as unknown as GitLab
  const context = { db: {}, clock: { now: () => new Date(now) } } as Context
  const find = (name: string) => jobByName(context, gitlab, pipeline, name)
  return { jobs, asked, gitlab, context, find, wait: (ms: number) => (now += ms) }
}

describe('the jobs of a pipeline', () => {
  it('are listed once for 2,000 gates that open together', async () => {
    const { find, asked, context } = gates(2_000)
    for (let n = 0; n < 2_000; n++) {
      expect(await find(`g${n}`)).toMatchObject({ id: n + 1, status: 'manual' })
      nowPlayed(context, pipeline, `g${n}`)
    }
    expect(asked).toEqual(['list'])
    expect(await find('g7')).toMatchObject({ status: 'pending' })
    expect([await find('none'), asked]).toEqual([undefined, ['list']])
  })

  it('are asked for one by one when gates open hours apart, and never believed for long', async () => {
    const { find, asked, wait, jobs } = gates(3)
    await find('g0')
    wait(3_600_000)
    expect(await find('g1')).toMatchObject({ id: 2, status: 'manual' })
    jobs[2]!.status = 'failed'
    jobs.push({ id: 9, name: 'g2', status: 'manual' })
    // Of one that has ended there may be a newer one.
    expect(await find('g2')).toMatchObject({ id: 9, status: 'manual' })
    expect(asked).toEqual(['list', 'job 2', 'job 3', 'list'])
  })

  it('are listed anew once they are known to have changed', async () => {
    const { find, asked, context } = gates(3)
    await find('g0')
    forgetJobs(context, pipeline)
    await find('g0')
    expect(asked).toEqual(['list', 'list'])
  })

  it('are one list for many runners that fell silent, and a call each for a few', async () => {
    const { asked, context, gitlab } = gates(100)
    const status = (ciJobId: number, few: boolean) => statusOfJob(context, gitlab, { ...pipeline, ciJobId }, { few })
    for (let id = 1; id <= 100; id++) expect(await status(id, false)).toBe('manual')
    expect(asked).toEqual(['list'])
    expect([await status(5, true), await status(4711, false)]).toEqual(['manual', 'failed'])
    expect(asked).toEqual(['list', 'job 5', 'job 4711'])
  })
})
