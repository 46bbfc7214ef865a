import { z } from 'zod'
import { noSuch } from '../auth/access.ts'
import type { Desk } from '../auth/desk.ts'
import type { Context } from '../context.ts'
import { BranchAnswer, BranchList, ClusterList, Me, ProjectAnswer, RunList, Tree } from '../model/api.ts'
import { capacityShape } from '../model/capacity.ts'
import { jobStateNames } from '../model/job-state.ts'
import { lookAtCapacity } from '../run/ask-capacity.ts'
import { capacitiesOf } from '../store/capacities.ts'
import { branchAsListed, listBranches, listRuns } from '../store/lists.ts'
import { fullRef } from '../why/find.ts'
import { type Endpoint, endpoint, page, projectParam } from './endpoint.ts'
import { showBranch, showListed } from './show.ts'

/** More branches than a tree can show are a list. */
const mostOfTree = 5_000

/** Reading: who is asking, the project, its branches, its tree, its runs. */
export function projectEndpoints(context: Context, desk: Desk): Endpoint[] {
  const { db, config } = context
  return [
    endpoint({
      method: 'get',
      path: '/user',
      name: 'me',
      summary: 'Who the token belongs to, as GitLab says, and whether it may change things.',
      answer: Me,
      handle: async ({ caller }) => ({ ...caller.person, may_write: caller.mayWrite }),
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}',
      name: 'project',
      summary: 'A project, and your role there.',
      params: projectParam,
      answer: ProjectAnswer,
      async handle({ caller, params }) {
        const { project, rule, level } = await desk.project(caller, params.project)
        return {
          ...{ id: project.id, path: project.path, default_branch: project.defaultBranch },
          web_url: `${config.gitlab.url}/${project.path}`,
          access_level: level,
          clusters: [...rule.clusters],
        }
      },
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}/clusters',
      name: 'clustersOfProject',
      summary:
        'What the clusters of a project have and what is free, as they last told it. They are asked because somebody looks, once a minute at most: who asks first is told what is known so far.',
      params: projectParam,
      answer: ClusterList,
      async handle({ caller, params }) {
        const { rule } = await desk.project(caller, params.project)
        const known = await capacitiesOf(db, rule.clusters)
        const clusters = rule.clusters.map(name => {
          const row = known.find(one => one.cluster === name)
          return {
            ...{
              name,
              scheduler:
                config.clusters
                  .find(one => one.name === name)
                  ?.scheduler.split('/')
                  .at(-1) ?? '',
            },
            tells: lookAtCapacity(context, name, row),
            ...{
              told_at: row?.toldAt?.toISOString() ?? null,
              has: row?.told == null ? null : capacityShape.parse(row.told),
            },
            trouble: row?.trouble ?? null,
            troubled_since: row?.troubledSince?.toISOString() ?? null,
          }
        })
        return { clusters }
      },
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}/branches',
      name: 'branches',
      summary: 'Computation branches by name, each with the run that it shows.',
      params: projectParam,
      query: { ...page, gone: z.stringbool().default(false).describe('Also those that are deleted.') },
      answer: BranchList,
      async handle({ caller, params, query }) {
        const { project } = await desk.project(caller, params.project)
        const { gone, after, limit } = query
        const found = await listBranches(db, { projectId: project.id, gone, after, limit: limit + 1 })
        const shown = found.slice(0, limit)
        return {
          branches: shown.map(branch => showBranch(project.path, branch)),
          next: found.length > limit ? shown.at(-1)!.ref : null,
        }
      },
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}/branch',
      name: 'branch',
      summary: 'One computation branch, with the run that it shows.',
      params: projectParam,
      query: { name: z.string().min(1).max(1_000) },
      answer: BranchAnswer,
      async handle({ caller, params, query }) {
        const { project } = await desk.project(caller, params.project)
        const found = await branchAsListed(db, project.id, fullRef(query.name))
        if (found === null) throw noSuch('computation branch')
        return showBranch(project.path, found)
      },
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}/tree',
      name: 'tree',
      summary: 'All living computation branches at once, each with its parent.',
      params: projectParam,
      answer: Tree,
      async handle({ caller, params }) {
        const { project } = await desk.project(caller, params.project)
        const found = await listBranches(db, { projectId: project.id, limit: mostOfTree + 1 })
        return {
          project: project.path,
          branches: found.slice(0, mostOfTree).map(branch => showBranch(project.path, branch)),
          whole: found.length <= mostOfTree,
        }
      },
    }),
    endpoint({
      method: 'get',
      path: '/projects/{project}/runs',
      name: 'runs',
      summary: 'Runs, newest first.',
      params: projectParam,
      query: {
        limit: page.limit,
        after: z.uuid().optional().describe('`next` of the page before.'),
        branch: z.string().min(1).max(1_000).optional(),
        state: z.enum(jobStateNames).optional(),
        sha: z
          .string()
          .regex(/^[0-9a-f]{4,64}$/)
          .optional()
          .describe('A commit, or its first letters.'),
      },
      answer: RunList,
      async handle({ caller, params, query }) {
        const { project } = await desk.project(caller, params.project)
        const { branch, state, sha, after, limit } = query
        const ref = branch === undefined ? undefined : fullRef(branch)
        const found = await listRuns(db, { projectId: project.id, ref, state, sha, after, limit: limit + 1 })
        const shown = found.slice(0, limit)
        return {
          runs: shown.map(run => showListed(project.path, run)),
          next: found.length > limit ? shown.at(-1)!.id : null,
        }
      },
    }),
  ]
}
