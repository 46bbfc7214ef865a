import type { Hono } from 'hono'
import { accessLevel } from '../access.ts'
import { listCommits, listDiffs } from '../git.ts'
import { mergeMergeRequest } from '../merge.ts'
import {
  canUpdateMergeRequest,
  closeMergeRequest,
  createMergeRequest,
  mergeRequestRange,
  reopenMergeRequest,
  startMergeRequestPipeline,
  updateMergeRequest,
} from '../merge-requests.ts'
import { isDraft } from '../payloads.ts'
import { badParameter, forbidden, notFound } from '../refusal.ts'
import type { SimMergeRequest } from '../types.ts'
import { ACCESS } from '../types.ts'
import type { World } from '../world.ts'
import { mergeRequestPipelines, mergeRequestsOf, projectOf, userOf } from '../world.ts'
import {
  showCommit,
  showDiff,
  showMergeRequest,
  showMergeRequestDetail,
  showPipelineBasic,
  showUser,
} from './entities.ts'
import type { RestContext, RestEnv } from './request.ts'
import {
  boolean,
  integer,
  list,
  oneOf,
  paginate,
  requireCode,
  requireMergeRequest,
  requireProject,
  requireText,
  requireUser,
  text,
  time,
} from './request.ts'

export function addMergeRequestRoutes(api: Hono<RestEnv>, world: World): void {
  async function showDetail(c: RestContext, mr: SimMergeRequest) {
    const { directory, base, start } = await mergeRequestRange(world, mr)
    const changes = (await listDiffs(directory, base, mr.sha)).length
    const level = accessLevel(c.get('credentials')?.user ?? null, projectOf(world, mr.projectId))
    return showMergeRequestDetail(world, mr, { baseSha: base, startSha: start, changes, level })
  }

  api.get('/projects/:id/merge_requests', c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const state = oneOf(params, 'state', ['opened', 'closed', 'locked', 'merged', 'all'], 'all')
    const [source, target, author, search] = ['source_branch', 'target_branch', 'author_username', 'search'].map(name =>
      text(params, name),
    )
    const authorId = integer(params, 'author_id')
    const sourceProject = integer(params, 'source_project_id')
    const draft = text(params, 'draft') ?? text(params, 'wip')
    const iids = list(params, 'iids')?.map(Number)
    const [updatedAfter, updatedBefore] = [time(params, 'updated_after'), time(params, 'updated_before')]
    const createdAfter = time(params, 'created_after')
    const order = oneOf(params, 'order_by', ['created_at', 'updated_at', 'title', 'merged_at'], 'created_at')
    const ascending = oneOf(params, 'sort', ['asc', 'desc'], 'desc') === 'asc'
    const key = (mr: SimMergeRequest) => (order === 'updated_at' ? mr.updatedAt.getTime() : mr.id)
    const found = mergeRequestsOf(world, project.id)
      .filter(
        mr =>
          (state === 'all' || mr.state === state) &&
          (source === undefined || mr.sourceBranch === source) &&
          (target === undefined || mr.targetBranch === target) &&
          (author === undefined || userOf(world, mr.authorId).username === author) &&
          (authorId === undefined || mr.authorId === authorId) &&
          (sourceProject === undefined || mr.sourceProjectId === sourceProject) &&
          (search === undefined || `${mr.title} ${mr.description}`.toLowerCase().includes(search.toLowerCase())) &&
          (draft === undefined || isDraft(mr.title) === (draft === 'yes' || draft === 'true')) &&
          (iids === undefined || iids.includes(mr.iid)) &&
          (updatedAfter === undefined || mr.updatedAt >= updatedAfter) &&
          (updatedBefore === undefined || mr.updatedAt <= updatedBefore) &&
          (createdAfter === undefined || mr.createdAt >= createdAfter),
      )
      .sort((a, b) => (key(a) - key(b) || a.id - b.id) * (ascending ? 1 : -1))
    return c.json(paginate(c, found).map(mr => showMergeRequest(world, mr)))
  })

  api.get('/projects/:id/merge_requests/:iid', async c => c.json(await showDetail(c, requireMergeRequest(world, c).mr)))

  api.post('/projects/:id/merge_requests', async c => {
    const user = requireUser(c)
    const source = requireCode(world, c)
    const params = c.get('params')
    const targetId = integer(params, 'target_project_id') ?? source.id
    const target = world.projects.get(targetId)
    if (!target) throw notFound('Project')
    const mr = await createMergeRequest(world, user, {
      source,
      target,
      title: requireText(params, 'title'),
      sourceBranch: requireText(params, 'source_branch'),
      targetBranch: requireText(params, 'target_branch'),
      description: text(params, 'description'),
      assigneeIds: readIds(params.assignee_ids ?? params.assignee_id),
      labels: list(params, 'labels') ?? [],
      removeSourceBranch: boolean(params, 'remove_source_branch') ?? false,
    })
    return c.json(await showDetail(c, mr), 201)
  })

  api.put('/projects/:id/merge_requests/:iid', async c => {
    const user = requireUser(c)
    const { project, mr } = requireMergeRequest(world, c)
    if (!canUpdateMergeRequest(user, project, mr)) throw forbidden()
    const params = c.get('params')
    const event = oneOf(params, 'state_event', ['close', 'reopen'])
    const known = ['title', 'target_branch', 'state_event', 'description', 'labels', 'add_labels', 'remove_labels']
    const others = [
      'assignee_id',
      'assignee_ids',
      'reviewer_ids',
      'remove_source_branch',
      'milestone_id',
      'squash',
      'discussion_locked',
    ]
    if (![...known, ...others].some(name => params[name] !== undefined)) {
      throw badParameter(`${[...known, ...others].join(', ')} are missing, at least one parameter must be provided`)
    }
    const labels = list(params, 'labels') ?? mr.labels
    const removed = list(params, 'remove_labels') ?? []
    const added = list(params, 'add_labels') ?? []
    await updateMergeRequest(world, mr, user, {
      title: text(params, 'title'),
      description: text(params, 'description'),
      targetBranch: text(params, 'target_branch'),
      labels: [...new Set([...labels, ...added])].filter(label => !removed.includes(label)),
      assigneeIds: params.assignee_ids === undefined ? undefined : readIds(params.assignee_ids),
      removeSourceBranch: boolean(params, 'remove_source_branch'),
    })
    if (event === 'close') closeMergeRequest(world, mr, user)
    if (event === 'reopen') await reopenMergeRequest(world, mr, user)
    return c.json(await showDetail(c, mr))
  })

  api.put('/projects/:id/merge_requests/:iid/merge', async c => {
    const user = requireUser(c)
    const { mr } = requireMergeRequest(world, c)
    const params = c.get('params')
    await mergeMergeRequest(world, mr, user, {
      sha: text(params, 'sha'),
      message: text(params, 'merge_commit_message'),
      removeSourceBranch: boolean(params, 'should_remove_source_branch'),
    })
    return c.json(await showDetail(c, mr))
  })

  api.get('/projects/:id/merge_requests/:iid/pipelines', c => {
    const { mr } = requireMergeRequest(world, c)
    const pipelines = mergeRequestPipelines(world, mr)
    return c.json(paginate(c, pipelines).map(pipeline => showPipelineBasic(world, pipeline)))
  })

  api.post('/projects/:id/merge_requests/:iid/pipelines', async c => {
    const user = requireUser(c)
    requireProject(world, c, ACCESS.developer)
    const { mr } = requireMergeRequest(world, c)
    startMergeRequestPipeline(world, mr, user)
    return c.json({ message: '202 Accepted' }, 202)
  })

  api.get('/projects/:id/merge_requests/:iid/commits', async c => {
    const { project, mr } = requireMergeRequest(world, c)
    const { directory, start } = await mergeRequestRange(world, mr)
    const commits = await listCommits(directory, { from: [mr.sha], except: start === null ? [] : [start] })
    return c.json(paginate(c, commits).map(commit => showCommit(world, project, commit)))
  })

  api.get('/projects/:id/merge_requests/:iid/changes', async c => {
    const { mr } = requireMergeRequest(world, c)
    const { directory, base } = await mergeRequestRange(world, mr)
    const changes = (await listDiffs(directory, base, mr.sha)).map(showDiff)
    return c.json({ ...(await showDetail(c, mr)), changes, overflow: false })
  })

  api.get('/projects/:id/merge_requests/:iid/diffs', async c => {
    const { mr } = requireMergeRequest(world, c)
    const { directory, base } = await mergeRequestRange(world, mr)
    return c.json(paginate(c, await listDiffs(directory, base, mr.sha)).map(showDiff))
  })

  api.get('/projects/:id/merge_requests/:iid/participants', c => {
    const { mr } = requireMergeRequest(world, c)
    const ids = new Set([mr.authorId, ...(world.notes.get(mr.id) ?? []).map(note => note.authorId)])
    return c.json(paginate(c, [...ids]).map(id => showUser(world, userOf(world, id))))
  })
}

function readIds(given: unknown): number[] {
  const items = Array.isArray(given) ? given : given === undefined || given === null || given === '' ? [] : [given]
  return items.map(Number).filter(id => Number.isInteger(id) && id > 0)
}
