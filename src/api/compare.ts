import { z } from 'zod'
import type { Desk } from '../auth/desk.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { CompareAnswer } from '../model/api.ts'
import { differences, metricRows } from '../render/compare.ts'
import { pointsOf } from '../render/points.ts'
import { mostCompared, runsToCompare } from '../run/compared.ts'
import { type Endpoint, endpoint, projectParam } from './endpoint.ts'

const mostPoints = 4_000

/** Runs beside each other, as the page *Compare* has them. */
export function compareEndpoints({ db, clock }: Context, desk: Desk): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/projects/{project}/compare',
      name: 'compare',
      summary:
        'Runs beside each other: every metric against that of the first, what was asked differently, and each job and array task as a point of a sweep.',
      params: projectParam,
      query: {
        of: z
          .array(z.string().min(1).max(1_000))
          .min(1)
          .max(mostCompared)
          .describe(
            'Branches or ids of runs, each as an `of` of its own (`of=calc/a&of=calc/b`); of a branch its newest result, else the run that is under way.',
          ),
      },
      answer: CompareAnswer,
      async handle({ caller, params, query }) {
        const { project } = await desk.project(caller, params.project)
        const { chosen, missing } = await runsToCompare(db, project.id, query.of)
        if (missing.length > 0)
          throw new Refusal(404, `Neither a run of this project nor a branch that has one: ${missing.join(', ')}`)
        const all = chosen.map(one => one.run)
        const points = pointsOf(all, clock.now())
        return {
          runs: all.map(run => ({
            ...{ id: run.id, branch: run.branch, sha: run.sha, state: run.state },
            ...{ created_at: run.createdAt.toISOString(), ended_at: run.endedAt?.toISOString() ?? null },
          })),
          metrics: metricRows(all).map(({ name, cells }) => ({
            name,
            values: cells.map(({ value, how }) => ({ value, against_first: how })),
          })),
          asked: differences(all).map(({ name, cells }) => ({ name, values: [...cells] })),
          points: points.slice(0, mostPoints).map(({ series, label, values }) => ({
            ...{ run: all[series]!.id, label },
            values: Object.fromEntries(values),
          })),
          whole: points.length <= mostPoints,
        }
      },
    }),
  ]
}
