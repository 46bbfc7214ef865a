import {
  countCommits,
  findCommit,
  isAncestor,
  listChangedFiles,
  listCommits,
  resolveCommit,
  resolveRef,
} from './git.ts'
import { createMergeRequest, markMerged, refreshMergeRequest, startMergeRequestPipeline } from './merge-requests.ts'
import { pushPayload } from './payloads.ts'
import { scheduleCi } from './pipelines.ts'
import { Refusal } from './refusal.ts'
import type { SimProject, SimUser } from './types.ts'
import { ZERO_SHA } from './types.ts'
import type { World } from './world.ts'

export interface RefChange {
  /** Full ref. */
  ref: string
  before: string
  after: string
}

export interface Push {
  project: SimProject
  user: SimUser
  changes: RefChange[]
  /** As given with `git push -o`. */
  options?: string[]
  /** A merge request that this push merges; it tells its own story. */
  mergedId?: number
}

const HOOK_COMMITS = 20
/** `git_push_create_all_pipelines` is off: four pipelines a push. */
const PIPELINES_PER_PUSH = 4

/** `ci.skip`, `ci.variable=A=b` -> `{ci: {skip: true, variable: {'A=b': 1}}}` (lib/gitlab/push_options.rb). */
export function readPushOptions(options: string[]): Record<string, Record<string, unknown>> {
  const read: Record<string, Record<string, unknown>> = {}
  for (const option of options) {
    const match = /^(ci|merge_request|mr|integrations|secret_push_protection)\.([a-z_]+)(?:=([\s\S]*))?$/.exec(option)
    if (!match) continue
    const [, scope = '', key = '', value] = match
    const space = scope === 'mr' ? 'merge_request' : scope
    read[space] ??= Object.create(null) as Record<string, unknown>
    const keys = read[space]
    if (value === undefined) keys[key] = true
    else if (key === 'variable') keys[key] = { ...(keys[key] as object | undefined), [value]: 1 }
    else keys[key] = value
  }
  return read
}

/** Everything that follows from a push: merge requests, CI pipelines, hooks. GitLab does it after it has answered the pusher. */
export async function afterPush(world: World, push: Push): Promise<void> {
  const { project, user } = push
  project.lastActivityAt = world.now()
  const options = readPushOptions(push.options ?? [])
  const branches = push.changes.filter(change => change.ref.startsWith('refs/heads/'))
  const tags = push.changes.filter(change => change.ref.startsWith('refs/tags/'))
  for (const kind of [branches, tags]) {
    // Above the limit no hook is sent at all, not even for the first three.
    if (kind.length > world.settings.pushEventHooksLimit) continue
    for (const change of kind) await firePush(world, project, user, change, options)
  }
  for (const change of branches) await updateMergeRequests(world, push, change)
  if (options.merge_request?.create !== undefined)
    for (const change of branches) await openMergeRequest(world, push, change, options.merge_request)
  for (const change of [...branches, ...tags].slice(0, PIPELINES_PER_PUSH)) {
    if (change.after === ZERO_SHA) continue
    const sha = await resolveCommit(project.directory, change.after)
    if (sha === null) continue
    scheduleCi(world, {
      project,
      user,
      sha,
      ref: change.ref.replace(/^refs\/(heads|tags)\//, ''),
      tag: change.ref.startsWith('refs/tags/'),
      source: 'push',
      beforeSha: change.before,
      skipOption: options.ci?.skip === true,
    })
  }
}

/** `git push -o merge_request.create [-o merge_request.target=… -o merge_request.title=…]`; where one is open already, or none can be, nothing happens. */
async function openMergeRequest(
  world: World,
  push: Push,
  change: RefChange,
  wanted: Record<string, unknown>,
): Promise<void> {
  if (change.after === ZERO_SHA) return
  const { project, user } = push
  const sourceBranch = change.ref.replace(/^refs\/heads\//, '')
  const commit = await findCommit(project.directory, change.after)
  try {
    await createMergeRequest(world, user, {
      source: project,
      target: project,
      sourceBranch,
      targetBranch: typeof wanted.target === 'string' ? wanted.target : project.defaultBranch,
      title: typeof wanted.title === 'string' ? wanted.title : (commit?.title ?? sourceBranch),
    })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
  }
}

async function firePush(
  world: World,
  project: SimProject,
  user: SimUser,
  change: RefChange,
  options: Record<string, unknown>,
): Promise<void> {
  const { directory } = project
  const isTag = change.ref.startsWith('refs/tags/')
  if (!world.webhooks.listens(project.id, isTag ? 'tagPush' : 'push')) return
  const commit = change.after === ZERO_SHA ? null : await resolveCommit(directory, change.after)
  const branch = change.ref.replace(/^refs\/heads\//, '')
  let except: string[] = []
  if (change.before !== ZERO_SHA) except = [change.before]
  else if (!isTag && branch !== project.defaultBranch) {
    // A new branch tells what it has and the default branch has not.
    const main = await resolveRef(directory, `refs/heads/${project.defaultBranch}`)
    if (main !== null) except = [main]
  }
  const known = (await Promise.all(except.map(sha => resolveCommit(directory, sha)))).filter(sha => sha !== null)
  const listed = commit === null ? [] : await tellCommits(directory, commit, known, isTag)
  const payload = pushPayload(world, {
    project,
    user,
    ...change,
    commits: listed.toReversed(),
    changed: await listChangedFiles(
      directory,
      listed.map(c => c.id),
    ),
    total:
      commit === null || listed.length < HOOK_COMMITS ? listed.length : await countCommits(directory, commit, known),
    checkoutSha: commit,
    message: null,
    options,
  })
  world.webhooks.fire(project.id, isTag ? 'tagPush' : 'push', payload, isTag ? undefined : branch)
}

/** A tag tells its one commit, a branch the last 20 of what is new. */
async function tellCommits(directory: string, commit: string, except: string[], isTag: boolean) {
  if (!isTag) return listCommits(directory, { from: [commit], except, max: HOOK_COMMITS })
  const one = await findCommit(directory, commit)
  return one ? [one] : []
}

async function updateMergeRequests(world: World, push: Push, change: RefChange): Promise<void> {
  const { project, user } = push
  const branch = change.ref.replace(/^refs\/heads\//, '')
  if (change.after === ZERO_SHA) return
  for (const mr of [...world.mergeRequests.values()]) {
    if (mr.state !== 'opened') continue
    if (mr.sourceProjectId === project.id && mr.sourceBranch === branch && mr.sha !== change.after) {
      const forward = await isAncestor(project.directory, mr.sha, change.after)
      const added = forward ? await countCommits(project.directory, change.after, [mr.sha]) : 0
      await refreshMergeRequest(world, mr, user, change.after, added)
      startMergeRequestPipeline(world, mr, user)
    }
    if (mr.projectId === project.id && mr.targetBranch === branch && mr.id !== push.mergedId) {
      // Somebody pushed the merge by hand.
      if (await isAncestor(project.directory, mr.sha, change.after)) markMerged(world, mr, user, null)
    }
  }
}
