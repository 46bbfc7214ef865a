import { protectionsOf } from '../access.ts'
import type { Commit, FileDiff, Ref } from '../git.ts'
import { hookStatus } from '../hooks.ts'
import { detailedMergeStatus, durationSeconds, isDraft } from '../payloads.ts'
import type {
  ProtectedBranch,
  SimAward,
  SimHook,
  SimJob,
  SimMergeRequest,
  SimNote,
  SimPipeline,
  SimProject,
  SimToken,
  SimUser,
} from '../types.ts'
import { ACCESS } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath, headPipeline, projectOf, userOf, webUrl } from '../world.ts'

/** Rows as the REST API shows them (lib/api/entities). */

export function showUser(world: World, user: SimUser) {
  return {
    id: user.id,
    username: user.username,
    public_email: '',
    name: user.name,
    state: 'active',
    locked: false,
    avatar_url: null,
    web_url: `${world.url}/${user.username}`,
  }
}

export function showCurrentUser(world: World, user: SimUser) {
  return {
    ...showUser(world, user),
    created_at: user.createdAt.toISOString(),
    bio: '',
    bot: user.bot,
    email: user.email,
    commit_email: user.email,
    is_admin: user.admin,
    two_factor_enabled: false,
    external: false,
    private_profile: false,
  }
}

export function showToken(token: SimToken, expired: boolean) {
  return {
    id: token.id,
    name: token.name,
    revoked: token.revoked,
    created_at: token.createdAt.toISOString(),
    description: null,
    scopes: token.scopes,
    user_id: token.userId,
    last_used_at: token.lastUsedAt?.toISOString() ?? null,
    active: !token.revoked && !expired,
    expires_at: token.expiresAt,
  }
}

export function showProject(world: World, project: SimProject) {
  const host = new URL(world.url).hostname
  const parts = project.fullPath.split('/')
  return {
    id: project.id,
    description: project.description,
    name: project.name,
    name_with_namespace: `${parts.slice(0, -1).join(' / ')} / ${project.name}`,
    path: project.path,
    path_with_namespace: project.fullPath,
    created_at: project.createdAt.toISOString(),
    default_branch: project.defaultBranch,
    tag_list: [],
    topics: [],
    ssh_url_to_repo: `git@${host}:${project.fullPath}.git`,
    http_url_to_repo: `${world.url}/${project.fullPath}.git`,
    web_url: webUrl(world, project),
    readme_url: null,
    avatar_url: null,
    forks_count: [...world.projects.values()].filter(other => other.forkedFromId === project.id).length,
    star_count: 0,
    last_activity_at: project.lastActivityAt.toISOString(),
    visibility: project.visibility,
    namespace: {
      id: project.id,
      name: project.namespace.split('/').at(-1),
      path: project.namespace.split('/').at(-1),
      kind: 'group',
      full_path: project.namespace,
      parent_id: null,
      web_url: `${world.url}/groups/${project.namespace}`,
    },
    archived: project.archived,
    empty_repo: false,
    ci_config_path: '',
    lfs_enabled: true,
    jobs_enabled: true,
    only_allow_merge_if_pipeline_succeeds: project.onlyAllowMergeIfPipelineSucceeds,
    allow_merge_on_skipped_pipeline: project.allowMergeOnSkippedPipeline,
    merge_method: 'merge',
    ...(project.forkedFromId === null
      ? {}
      : { forked_from_project: showForkParent(world, projectOf(world, project.forkedFromId)) }),
  }
}

function showForkParent(world: World, project: SimProject) {
  const { id, name, path } = project
  return { id, name, path, path_with_namespace: project.fullPath, web_url: webUrl(world, project) }
}

export function showMember(world: World, user: SimUser, level: number) {
  return {
    ...showUser(world, user),
    access_level: level,
    created_at: user.createdAt.toISOString(),
    expires_at: null,
    membership_state: 'active',
  }
}

export function showProtectedBranch(rule: ProtectedBranch) {
  const levels = (level: number) => [
    {
      id: level + 1,
      access_level: level,
      access_level_description: level === 0 ? 'No one' : `Level ${level}`,
      user_id: null,
      group_id: null,
    },
  ]
  return {
    id: 1,
    name: rule.pattern,
    push_access_levels: [
      ...levels(rule.pushLevel),
      // Beside a user stands the level of a Maintainer, which says nothing.
      ...rule.pushUserIds.map(id => ({
        id: 1000 + id,
        access_level: ACCESS.maintainer,
        access_level_description: `User ${id}`,
        user_id: id,
        group_id: null,
      })),
    ],
    merge_access_levels: levels(rule.mergeLevel),
    unprotect_access_levels: [],
    allow_force_push: rule.allowForcePush,
    code_owner_approval_required: false,
    inherited: false,
  }
}

export function showHook(world: World, hook: SimHook) {
  return {
    id: hook.id,
    url: hook.url,
    name: hook.name,
    description: null,
    created_at: hook.createdAt.toISOString(),
    push_events: hook.events.push,
    tag_push_events: hook.events.tagPush,
    merge_requests_events: hook.events.mergeRequests,
    repository_update_events: false,
    enable_ssl_verification: hook.sslVerification,
    alert_status: hookStatus(world, hook),
    disabled_until: hook.disabledUntil?.toISOString() ?? null,
    url_variables: [],
    push_events_branch_filter: hook.pushBranchFilter,
    branch_filter_strategy: 'wildcard',
    custom_webhook_template: '',
    custom_headers: Object.keys(hook.customHeaders).map(key => ({ key })),
    project_id: hook.projectId,
    issues_events: false,
    confidential_issues_events: false,
    note_events: hook.events.notes,
    confidential_note_events: false,
    pipeline_events: hook.events.pipelines,
    wiki_page_events: false,
    deployment_events: false,
    feature_flag_events: false,
    job_events: hook.events.jobs,
    releases_events: false,
    milestone_events: false,
    emoji_events: false,
    // Neither secret is ever told again.
    token_present: hook.token !== null,
    signing_token_present: hook.signingToken !== null,
  }
}

export function showCommit(world: World, project: SimProject, commit: Commit) {
  return {
    id: commit.id,
    short_id: commit.id.slice(0, 8),
    created_at: commit.committer.date,
    parent_ids: commit.parents,
    title: commit.title,
    message: commit.message,
    author_name: commit.author.name,
    author_email: commit.author.email,
    authored_date: commit.author.date,
    committer_name: commit.committer.name,
    committer_email: commit.committer.email,
    committed_date: commit.committer.date,
    trailers: readTrailers(commit.message),
    extended_trailers: {},
    web_url: webUrl(world, project, 'commit', commit.id),
  }
}

function readTrailers(message: string): Record<string, string> {
  const last =
    message
      .trim()
      .split(/\n\s*\n/)
      .at(-1) ?? ''
  const lines = last.split('\n')
  const found = lines.map(line => /^([A-Za-z0-9-]+): (.*)$/.exec(line))
  if (message.trim().split(/\n\s*\n/).length < 2 || found.some(match => match === null)) return {}
  return Object.fromEntries(found.map(match => [match?.[1] ?? '', match?.[2] ?? '']))
}

export function showBranch(world: World, project: SimProject, ref: Ref, commit: Commit, canPush: boolean) {
  const rules = protectionsOf(project, ref.name)
  return {
    name: ref.name,
    commit: showCommit(world, project, commit),
    merged: false,
    protected: rules.length > 0,
    developers_can_push: rules.some(rule => rule.pushLevel === 30),
    developers_can_merge: rules.some(rule => rule.mergeLevel === 30),
    can_push: canPush,
    default: ref.name === project.defaultBranch,
    web_url: webUrl(world, project, 'tree', encodePath(ref.name)),
  }
}

export function showDiff(diff: FileDiff) {
  return {
    diff: diff.diff,
    new_path: diff.newPath,
    old_path: diff.oldPath,
    a_mode: diff.oldMode,
    b_mode: diff.newMode,
    new_file: diff.newFile,
    renamed_file: diff.renamedFile,
    deleted_file: diff.deletedFile,
    generated_file: false,
    collapsed: false,
    too_large: false,
  }
}

export function showStatus(world: World, job: SimJob) {
  return {
    id: job.id,
    sha: job.sha,
    ref: job.ref,
    status: job.status,
    name: job.name,
    target_url: job.targetUrl,
    description: job.description,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    allow_failure: job.allowFailure,
    coverage: job.coverage,
    pipeline_id: job.pipelineId,
    author: showUser(world, userOf(world, job.userId)),
  }
}

export function showPipelineBasic(world: World, pipeline: SimPipeline) {
  return {
    id: pipeline.id,
    iid: pipeline.iid,
    project_id: pipeline.projectId,
    sha: pipeline.sha,
    ref: pipeline.ref,
    status: pipeline.status,
    source: pipeline.source,
    created_at: pipeline.createdAt.toISOString(),
    updated_at: pipeline.updatedAt.toISOString(),
    web_url: webUrl(world, projectOf(world, pipeline.projectId), 'pipelines', pipeline.id),
    name: null,
  }
}

export function showPipeline(world: World, pipeline: SimPipeline) {
  const coverages = pipeline.jobs.flatMap(job => (job.coverage === null || job.retried ? [] : [job.coverage]))
  const average = coverages.reduce((sum, value) => sum + value, 0) / coverages.length
  return {
    ...showPipelineBasic(world, pipeline),
    before_sha: pipeline.beforeSha,
    tag: pipeline.tag,
    yaml_errors: pipeline.yamlErrors,
    user: showUser(world, userOf(world, pipeline.userId)),
    started_at: pipeline.startedAt?.toISOString() ?? null,
    finished_at: pipeline.finishedAt?.toISOString() ?? null,
    committed_at: null,
    duration: durationSeconds(pipeline.startedAt, pipeline.finishedAt),
    queued_duration: durationSeconds(pipeline.createdAt, pipeline.startedAt),
    coverage: coverages.length === 0 ? null : average.toFixed(2),
    archived: pipeline.archived,
    detailed_status: {
      icon: `status_${pipeline.status}`,
      text: pipeline.status === 'success' ? 'Passed' : pipeline.status,
      label: pipeline.status === 'success' ? 'passed' : pipeline.status,
      group: pipeline.status,
      tooltip: pipeline.status === 'success' ? 'passed' : pipeline.status,
      has_details: true,
      details_path: new URL(webUrl(world, projectOf(world, pipeline.projectId), 'pipelines', pipeline.id)).pathname,
      illustration: null,
      favicon: null,
    },
  }
}

export function showJob(world: World, pipeline: SimPipeline, job: SimJob) {
  const project = projectOf(world, job.projectId)
  return {
    id: job.id,
    status: job.status,
    stage: job.stage,
    name: job.name,
    ref: job.ref,
    tag: pipeline.tag,
    coverage: job.coverage,
    allow_failure: job.allowFailure,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    duration: durationSeconds(job.startedAt, job.finishedAt),
    queued_duration: durationSeconds(job.queuedAt, job.startedAt),
    ...(job.status === 'failed' ? { failure_reason: job.failureReason } : {}),
    user: showUser(world, userOf(world, job.userId)),
    commit: pipeline.commit && showCommit(world, project, pipeline.commit),
    pipeline: showPipelineBasic(world, pipeline),
    web_url: webUrl(world, project, 'jobs', job.id),
    artifacts: [],
    runner: null,
    tag_list: [],
  }
}

export function showMergeRequest(world: World, mr: SimMergeRequest) {
  const project = projectOf(world, mr.projectId)
  const author = showUser(world, userOf(world, mr.authorId))
  const mergeUser = mr.mergeUserId === null ? null : showUser(world, userOf(world, mr.mergeUserId))
  const assignees = mr.assigneeIds.map(id => showUser(world, userOf(world, id)))
  return {
    id: mr.id,
    iid: mr.iid,
    project_id: mr.projectId,
    title: mr.title,
    description: mr.description,
    state: mr.state,
    created_at: mr.createdAt.toISOString(),
    updated_at: mr.updatedAt.toISOString(),
    merged_by: mergeUser,
    merge_user: mergeUser,
    merged_at: mr.mergedAt?.toISOString() ?? null,
    closed_by: null,
    closed_at: mr.closedAt?.toISOString() ?? null,
    target_branch: mr.targetBranch,
    source_branch: mr.sourceBranch,
    user_notes_count: (world.notes.get(mr.id) ?? []).filter(note => !note.system).length,
    upvotes: 0,
    downvotes: 0,
    author,
    assignees,
    assignee: assignees[0] ?? null,
    reviewers: [],
    source_project_id: mr.sourceProjectId,
    target_project_id: mr.projectId,
    labels: mr.labels,
    draft: isDraft(mr.title),
    imported: false,
    work_in_progress: isDraft(mr.title),
    milestone: null,
    merge_when_pipeline_succeeds: false,
    merge_status: 'can_be_merged',
    detailed_merge_status: detailedMergeStatus(world, mr),
    sha: mr.sha,
    merge_commit_sha: mr.mergeCommitSha,
    squash_commit_sha: null,
    discussion_locked: null,
    should_remove_source_branch: null,
    force_remove_source_branch: mr.removeSourceBranch,
    reference: `!${mr.iid}`,
    references: { short: `!${mr.iid}`, relative: `!${mr.iid}`, full: `${project.fullPath}!${mr.iid}` },
    web_url: webUrl(world, project, 'merge_requests', mr.iid),
    time_stats: { time_estimate: 0, total_time_spent: 0, human_time_estimate: null, human_total_time_spent: null },
    squash: false,
    has_conflicts: false,
    blocking_discussions_resolved: true,
  }
}

/** What only the single merge request shows. */
export function showMergeRequestDetail(
  world: World,
  mr: SimMergeRequest,
  detail: { baseSha: string | null; startSha: string | null; changes: number; level: number },
) {
  const pipeline = headPipeline(world, mr)
  return {
    ...showMergeRequest(world, mr),
    subscribed: false,
    changes_count: String(detail.changes),
    latest_build_started_at: null,
    latest_build_finished_at: null,
    first_deployed_to_production_at: null,
    pipeline: pipeline && showPipelineBasic(world, pipeline),
    head_pipeline: pipeline && showPipeline(world, pipeline),
    diff_refs: { base_sha: detail.baseSha, head_sha: mr.sha, start_sha: detail.startSha },
    merge_error: null,
    user: { can_merge: detail.level >= 30 },
  }
}

export function showNote(world: World, note: SimNote) {
  return {
    id: note.id,
    type: note.individual ? null : 'DiscussionNote',
    body: note.body,
    author: showUser(world, userOf(world, note.authorId)),
    created_at: note.createdAt.toISOString(),
    updated_at: note.updatedAt.toISOString(),
    system: note.system,
    noteable_id: note.mergeRequestId,
    noteable_type: 'MergeRequest',
    project_id: note.projectId,
    resolvable: !note.individual,
    ...(note.individual ? {} : { resolved: false, resolved_by: null, resolved_at: null }),
    confidential: note.internal,
    internal: note.internal,
    imported: false,
    noteable_iid: note.mergeRequestIid,
    commands_changes: {},
  }
}

export function showAward(world: World, note: SimNote, award: SimAward) {
  return {
    id: award.id,
    name: award.name,
    user: showUser(world, userOf(world, award.userId)),
    created_at: award.createdAt.toISOString(),
    updated_at: award.createdAt.toISOString(),
    awardable_id: note.id,
    awardable_type: 'Note',
    url: null,
  }
}
