import { protectionsOf } from './access.ts'
import type { ChangedFiles, Commit } from './git.ts'
import type { SimJob, SimMergeRequest, SimNote, SimPipeline, SimProject, SimUser } from './types.ts'
import { ZERO_SHA } from './types.ts'
import type { World } from './world.ts'
import { headPipeline, projectOf, userOf, webUrl } from './world.ts'

/** Webhook bodies in the shapes of GitLab 19 (doc/user/project/integrations/webhook_events). */

/** Hooks write times as `2025-08-05 21:48:25 UTC`, unlike the API. */
export function hookTime(date: Date): string
export function hookTime(date: Date | null): string | null
export function hookTime(date: Date | null): string | null {
  return date === null ? null : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

function avatar(user: SimUser): string {
  return `https://secure.gravatar.com/avatar/${user.id.toString(16).padStart(32, '0')}?s=80&d=identicon`
}

export function hookUser(user: SimUser) {
  // Only a public email is told, and nobody here has one.
  return { id: user.id, name: user.name, username: user.username, avatar_url: avatar(user), email: '[REDACTED]' }
}

function visibilityLevel(project: SimProject): number {
  return project.visibility === 'public' ? 20 : 0
}

function addresses(world: World, project: SimProject) {
  const host = new URL(world.url).hostname
  return { ssh: `git@${host}:${project.fullPath}.git`, http: `${world.url}/${project.fullPath}.git` }
}

export function hookProject(world: World, project: SimProject) {
  const { ssh, http } = addresses(world, project)
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    web_url: webUrl(world, project),
    avatar_url: null,
    git_ssh_url: ssh,
    git_http_url: http,
    namespace: project.namespace,
    visibility_level: visibilityLevel(project),
    path_with_namespace: project.fullPath,
    default_branch: project.defaultBranch,
    ci_config_path: '',
    homepage: webUrl(world, project),
    url: ssh,
    ssh_url: ssh,
    http_url: http,
  }
}

function hookRepository(world: World, project: SimProject) {
  const { ssh } = addresses(world, project)
  return { name: project.name, url: ssh, description: project.description, homepage: webUrl(world, project) }
}

export function hookCommit(world: World, project: SimProject, commit: Commit) {
  return {
    id: commit.id,
    message: commit.message,
    title: commit.title,
    timestamp: commit.author.date,
    url: webUrl(world, project, 'commit', commit.id),
    author: { name: commit.author.name, email: commit.author.email },
  }
}

function isProtected(project: SimProject, branch: string): boolean {
  return protectionsOf(project, branch).length > 0
}

export interface PushPayload {
  project: SimProject
  user: SimUser
  ref: string
  before: string
  after: string
  /** Ascending, at most the last 20. */
  commits: Commit[]
  changed: Map<string, ChangedFiles>
  total: number
  /** Commit an annotated tag stands for. */
  checkoutSha: string | null
  message: string | null
  options: Record<string, unknown>
}

export function pushPayload(world: World, push: PushPayload) {
  const kind = push.ref.startsWith('refs/tags/') ? 'tag_push' : 'push'
  const { ssh, http } = addresses(world, push.project)
  return {
    object_kind: kind,
    event_name: kind,
    before: push.before,
    after: push.after,
    ref: push.ref,
    ref_protected: isProtected(push.project, push.ref.replace(/^refs\/heads\//, '')),
    checkout_sha: push.after === ZERO_SHA ? null : push.checkoutSha,
    message: push.message,
    user_id: push.user.id,
    user_name: push.user.name,
    user_username: push.user.username,
    user_email: '',
    user_avatar: avatar(push.user),
    project_id: push.project.id,
    project: hookProject(world, push.project),
    commits: push.commits.map(commit => ({
      ...hookCommit(world, push.project, commit),
      ...(push.changed.get(commit.id) ?? { added: [], modified: [], removed: [] }),
    })),
    total_commits_count: push.total,
    push_options: push.options,
    repository: {
      ...hookRepository(world, push.project),
      url: ssh,
      git_http_url: http,
      git_ssh_url: ssh,
      visibility_level: visibilityLevel(push.project),
    },
  }
}

export function isDraft(title: string): boolean {
  return /^(\[draft\]|\(draft\)|draft:)\s*/i.test(title)
}

export function detailedMergeStatus(world: World, mr: SimMergeRequest): string {
  if (mr.state !== 'opened') return 'not_open'
  if (isDraft(mr.title)) return 'draft_status'
  const project = projectOf(world, mr.projectId)
  if (project.onlyAllowMergeIfPipelineSucceeds) {
    const pipeline = headPipeline(world, mr)
    if (pipeline === null) return 'ci_must_pass'
    if (['created', 'pending', 'running'].includes(pipeline.status)) return 'ci_still_running'
    const passed =
      pipeline.status === 'success' || (pipeline.status === 'skipped' && project.allowMergeOnSkippedPipeline)
    if (!passed) return 'ci_must_pass'
  }
  return 'mergeable'
}

const STATE_IDS = { opened: 1, closed: 2, merged: 3 } as const

function mergeRequestAttributes(world: World, mr: SimMergeRequest, lastCommit: Commit | null) {
  const source = projectOf(world, mr.sourceProjectId)
  const target = projectOf(world, mr.projectId)
  return {
    assignee_id: mr.assigneeIds[0] ?? null,
    author_id: mr.authorId,
    created_at: hookTime(mr.createdAt),
    description: mr.description,
    draft: isDraft(mr.title),
    head_pipeline_id: headPipeline(world, mr)?.id ?? null,
    id: mr.id,
    iid: mr.iid,
    last_edited_at: hookTime(mr.lastEditedAt),
    last_edited_by_id: mr.lastEditedById,
    merge_commit_sha: mr.mergeCommitSha,
    merge_error: null,
    merge_params: { force_remove_source_branch: mr.removeSourceBranch ? '1' : '0' },
    merge_status: 'can_be_merged',
    merge_user_id: mr.mergeUserId,
    merge_when_pipeline_succeeds: false,
    milestone_id: null,
    source_branch: mr.sourceBranch,
    source_project_id: mr.sourceProjectId,
    state_id: STATE_IDS[mr.state],
    target_branch: mr.targetBranch,
    target_project_id: mr.projectId,
    time_estimate: 0,
    title: mr.title,
    updated_at: hookTime(mr.updatedAt),
    updated_by_id: mr.lastEditedById,
    prepared_at: hookTime(mr.createdAt),
    assignee_ids: mr.assigneeIds,
    blocking_discussions_resolved: true,
    detailed_merge_status: detailedMergeStatus(world, mr),
    first_contribution: false,
    human_time_change: null,
    human_time_estimate: null,
    human_total_time_spent: null,
    labels: [],
    last_commit: lastCommit && hookCommit(world, source, lastCommit),
    reviewer_ids: [],
    source: hookProject(world, source),
    state: mr.state,
    target: hookProject(world, target),
    time_change: 0,
    total_time_spent: 0,
    url: webUrl(world, target, 'merge_requests', mr.iid),
    work_in_progress: isDraft(mr.title),
    approval_rules: [],
  }
}

export type MergeRequestAction = 'open' | 'reopen' | 'update' | 'close' | 'merge'
export type Changes = Record<string, { previous: unknown; current: unknown }>

export function mergeRequestPayload(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  lastCommit: Commit | null,
  action: MergeRequestAction,
  changes: Changes,
  oldrev?: string,
) {
  const project = projectOf(world, mr.projectId)
  const assignees = mr.assigneeIds.map(id => hookUser(userOf(world, id)))
  return {
    object_kind: 'merge_request',
    event_type: 'merge_request',
    user: hookUser(user),
    project: hookProject(world, project),
    object_attributes: {
      ...mergeRequestAttributes(world, mr, lastCommit),
      action,
      // Only there when commits changed.
      ...(oldrev === undefined ? {} : { oldrev }),
    },
    labels: [],
    changes,
    repository: hookRepository(world, project),
    ...(assignees.length > 0 ? { assignees } : {}),
  }
}

export function notePayload(
  world: World,
  note: SimNote,
  mr: SimMergeRequest,
  user: SimUser,
  lastCommit: Commit | null,
  action: 'create' | 'update',
) {
  const project = projectOf(world, note.projectId)
  const { draft: _, state_id: __, ...mergeRequest } = mergeRequestAttributes(world, mr, lastCommit)
  return {
    object_kind: 'note',
    event_type: note.internal ? 'confidential_note' : 'note',
    user: hookUser(user),
    project_id: project.id,
    project: hookProject(world, project),
    object_attributes: {
      attachment: null,
      author_id: note.authorId,
      change_position: null,
      commit_id: null,
      created_at: hookTime(note.createdAt),
      discussion_id: note.discussionId,
      id: note.id,
      internal: note.internal,
      line_code: null,
      note: note.body,
      noteable_id: mr.id,
      noteable_type: 'MergeRequest',
      original_position: null,
      position: null,
      project_id: project.id,
      resolved_at: null,
      resolved_by_id: null,
      resolved_by_push: null,
      st_diff: null,
      system: note.system,
      type: note.individual ? null : 'DiscussionNote',
      updated_at: hookTime(note.updatedAt),
      updated_by_id: null,
      description: note.body,
      url: `${webUrl(world, project, 'merge_requests', mr.iid)}#note_${note.id}`,
      action,
    },
    repository: hookRepository(world, project),
    merge_request: mergeRequest,
  }
}

const STATUS_LABELS: Record<string, string> = { success: 'passed' }

export function durationSeconds(from: Date | null, to: Date | null): number | null {
  return from === null || to === null ? null : (to.getTime() - from.getTime()) / 1000
}

function hookJob(world: World, job: SimJob) {
  return {
    id: job.id,
    stage: job.stage,
    name: job.name,
    status: job.status,
    created_at: hookTime(job.createdAt),
    started_at: hookTime(job.startedAt),
    finished_at: hookTime(job.finishedAt),
    duration: durationSeconds(job.startedAt, job.finishedAt),
    queued_duration: durationSeconds(job.queuedAt, job.startedAt),
    failure_reason: job.status === 'failed' ? job.failureReason : null,
    when: 'on_success',
    manual: false,
    allow_failure: job.allowFailure,
    user: hookUser(userOf(world, job.userId)),
    runner: null,
    artifacts_file: { filename: null, size: null },
    environment: null,
  }
}

export function pipelinePayload(world: World, pipeline: SimPipeline, commit: Commit | null, status = pipeline.status) {
  const project = projectOf(world, pipeline.projectId)
  const mr = pipeline.mergeRequestId === null ? undefined : world.mergeRequests.get(pipeline.mergeRequestId)
  const builds = pipeline.jobs.filter(job => job.type === 'build' && !job.retried)
  const stages = [...new Set(pipeline.jobs.toSorted((a, b) => a.stageIndex - b.stageIndex).map(job => job.stage))]
  return {
    object_kind: 'pipeline',
    object_attributes: {
      id: pipeline.id,
      iid: pipeline.iid,
      name: null,
      // The source branch for a merge request pipeline, whose own ref is `refs/merge-requests/IID/head`.
      ref: mr?.sourceBranch ?? pipeline.ref,
      tag: pipeline.tag,
      sha: pipeline.sha,
      before_sha: pipeline.beforeSha,
      source: pipeline.source,
      status,
      detailed_status: STATUS_LABELS[status] ?? status,
      stages,
      created_at: hookTime(pipeline.createdAt),
      finished_at: hookTime(pipeline.finishedAt),
      duration: durationSeconds(pipeline.startedAt, pipeline.finishedAt),
      queued_duration: durationSeconds(pipeline.createdAt, pipeline.startedAt),
      protected_ref: isProtected(project, pipeline.ref),
      variables: [],
      url: webUrl(world, project, 'pipelines', pipeline.id),
    },
    merge_request: mr
      ? {
          id: mr.id,
          iid: mr.iid,
          title: mr.title,
          source_branch: mr.sourceBranch,
          source_project_id: mr.sourceProjectId,
          target_branch: mr.targetBranch,
          target_project_id: mr.projectId,
          state: mr.state,
          merge_status: 'can_be_merged',
          detailed_merge_status: detailedMergeStatus(world, mr),
          url: webUrl(world, projectOf(world, mr.projectId), 'merge_requests', mr.iid),
        }
      : null,
    user: hookUser(userOf(world, pipeline.userId)),
    project: hookProject(world, project),
    commit: commit && hookCommit(world, project, commit),
    builds: builds.map(job => hookJob(world, job)),
  }
}

export function jobPayload(world: World, pipeline: SimPipeline, job: SimJob, commit: Commit | null) {
  const project = projectOf(world, pipeline.projectId)
  const { ssh, http } = addresses(world, project)
  return {
    object_kind: 'build',
    ref: job.ref,
    tag: pipeline.tag,
    before_sha: pipeline.beforeSha,
    sha: job.sha,
    retries_count: 0,
    build_id: job.id,
    build_name: job.name,
    build_stage: job.stage,
    build_status: job.status,
    build_created_at: hookTime(job.createdAt),
    build_started_at: hookTime(job.startedAt),
    build_finished_at: hookTime(job.finishedAt),
    build_duration: durationSeconds(job.startedAt, job.finishedAt),
    build_queued_duration: durationSeconds(job.queuedAt, job.startedAt),
    build_allow_failure: job.allowFailure,
    build_failure_reason: job.failureReason ?? 'unknown_failure',
    pipeline_id: pipeline.id,
    project_id: project.id,
    project_name: `${project.namespace} / ${project.name}`,
    runner: null,
    user: hookUser(userOf(world, job.userId)),
    commit: {
      id: pipeline.id,
      name: null,
      sha: job.sha,
      message: commit?.message ?? '',
      author_name: commit?.author.name ?? '',
      author_email: commit?.author.email ?? '',
      author_url: `mailto:${commit?.author.email ?? ''}`,
      status: pipeline.status,
      duration: durationSeconds(pipeline.startedAt, pipeline.finishedAt),
      started_at: hookTime(pipeline.startedAt),
      finished_at: hookTime(pipeline.finishedAt),
    },
    repository: {
      ...hookRepository(world, project),
      git_http_url: http,
      git_ssh_url: ssh,
      visibility_level: visibilityLevel(project),
    },
    project: hookProject(world, project),
    environment: null,
  }
}
