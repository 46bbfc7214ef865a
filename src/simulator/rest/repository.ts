import type { Hono } from 'hono'
import { canPushTo } from '../access.ts'
import type { Commit, Ref } from '../git.ts'
import {
  branchesContaining,
  commitFiles,
  findCommit,
  isRefName,
  listCommits,
  listDiffs,
  listRefs,
  listTree,
  mergeBase,
  readBlob,
  resolveCommit,
  resolveRef,
  updateRef,
} from '../git.ts'
import { afterPush } from '../pushes.ts'
import { badParameter, badRequest, forbidden, notFound } from '../refusal.ts'
import type { SimProject, SimUser } from '../types.ts'
import { ACCESS, ZERO_SHA } from '../types.ts'
import type { World } from '../world.ts'
import { pipelinesOf } from '../world.ts'
import { showBranch, showCommit, showDiff, showMergeRequest, showPipelineBasic } from './entities.ts'
import type { RestContext, RestEnv } from './request.ts'
import {
  boolean,
  list,
  paginate,
  readPage,
  requireCode,
  requireProject,
  requireText,
  requireUser,
  setPageHeaders,
  text,
} from './request.ts'

/** Branches, tags, commits, trees and files: what the bare repository says, in GitLab's shapes. */
export function addRepositoryRoutes(api: Hono<RestEnv>, world: World): void {
  async function requireCommit(project: SimProject, name: string): Promise<Commit> {
    const sha = await resolveCommit(project.directory, name)
    const commit = sha && (await findCommit(project.directory, sha))
    if (!commit) throw notFound('Commit')
    return commit
  }

  async function presentBranches(c: RestContext, project: SimProject, refs: Ref[]) {
    const user = c.get('credentials')?.user ?? null
    const { directory } = project
    const commits = await Promise.all(refs.map(ref => findCommit(directory, ref.sha)))
    return refs.flatMap((ref, index) => {
      const commit = commits[index]
      return commit ? [showBranch(world, project, ref, commit, canPushTo(user, project, ref.name))] : []
    })
  }

  function matchesSearch(name: string, search: string | undefined): boolean {
    if (search === undefined || search === '') return true
    if (search.startsWith('^')) return name.startsWith(search.slice(1))
    if (search.endsWith('$')) return name.endsWith(search.slice(0, -1))
    return name.includes(search)
  }

  api.get('/projects/:id/repository/branches', async c => {
    const project = requireCode(world, c)
    const search = text(c.get('params'), 'search')
    const refs = (await listRefs(project.directory, 'refs/heads')).filter(ref => matchesSearch(ref.name, search))
    return c.json(await presentBranches(c, project, paginate(c, refs)))
  })

  api.get('/projects/:id/repository/branches/:branch', async c => {
    const project = requireCode(world, c)
    const name = c.req.param('branch')
    const sha = await resolveRef(project.directory, `refs/heads/${name}`)
    if (sha === null) throw notFound('Branch')
    const [branch] = await presentBranches(c, project, [{ name, sha, object: sha, message: null }])
    return c.json(branch)
  })

  api.post('/projects/:id/repository/branches', async c => {
    const project = requireProject(world, c, ACCESS.developer)
    const user = requireUser(c)
    const params = c.get('params')
    const [name, from] = [requireText(params, 'branch'), requireText(params, 'ref')]
    if (!isRefName(name)) throw badRequest('Branch name is invalid')
    if (!canPushTo(user, project, name)) throw forbidden()
    if ((await resolveRef(project.directory, `refs/heads/${name}`)) !== null) throw badRequest('Branch already exists')
    const sha = await resolveCommit(project.directory, from)
    if (sha === null) throw badRequest(`Invalid reference name: ${from}`)
    await updateRef(project.directory, `refs/heads/${name}`, sha, ZERO_SHA)
    world.track(
      afterPush(world, { project, user, changes: [{ ref: `refs/heads/${name}`, before: ZERO_SHA, after: sha }] }),
    )
    const [branch] = await presentBranches(c, project, [{ name, sha, object: sha, message: null }])
    return c.json(branch, 201)
  })

  api.delete('/projects/:id/repository/branches/:branch', async c => {
    const project = requireProject(world, c, ACCESS.developer)
    const user = requireUser(c)
    const name = c.req.param('branch')
    const sha = await resolveRef(project.directory, `refs/heads/${name}`)
    if (sha === null) throw notFound('Branch')
    if (name === project.defaultBranch || !canPushTo(user, project, name)) throw forbidden()
    await updateRef(project.directory, `refs/heads/${name}`, null, sha)
    world.track(
      afterPush(world, { project, user, changes: [{ ref: `refs/heads/${name}`, before: sha, after: ZERO_SHA }] }),
    )
    return c.body(null, 204)
  })

  api.get('/projects/:id/repository/tags', async c => {
    const project = requireCode(world, c)
    const search = text(c.get('params'), 'search')
    const refs = (await listRefs(project.directory, 'refs/tags', ['--sort=-creatordate'])).filter(ref =>
      matchesSearch(ref.name, search),
    )
    const shown = paginate(c, refs)
    return c.json(
      await Promise.all(
        shown.map(async ref => {
          const commit = await findCommit(project.directory, ref.sha)
          return {
            name: ref.name,
            message: ref.message ?? '',
            target: ref.object,
            commit: commit && showCommit(world, project, commit),
            release: null,
            protected: false,
            created_at: ref.message === null ? null : (commit?.committer.date ?? null),
          }
        }),
      ),
    )
  })

  api.get('/projects/:id/repository/commits', async c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const { page, perPage } = readPage(params)
    const from: string[] = []
    if (boolean(params, 'all')) from.push(...(await listRefs(project.directory, 'refs/heads')).map(ref => ref.sha))
    else {
      const sha = await resolveCommit(project.directory, text(params, 'ref_name') || project.defaultBranch)
      if (sha === null) throw notFound('Reference')
      from.push(sha)
    }
    const [since, until, path] = [text(params, 'since'), text(params, 'until'), text(params, 'path')]
    const commits = await listCommits(project.directory, {
      from,
      max: perPage + 1,
      skip: (page - 1) * perPage,
      firstParent: boolean(params, 'first_parent') ?? false,
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
      ...(path === undefined ? {} : { path }),
    })
    setPageHeaders(c, { page, perPage }, commits.length > perPage)
    return c.json(commits.slice(0, perPage).map(commit => showCommit(world, project, commit)))
  })

  api.get('/projects/:id/repository/commits/:sha', async c => {
    const project = requireCode(world, c)
    const commit = await requireCommit(project, c.req.param('sha'))
    const last = pipelinesOf(world, project.id).findLast(pipeline => pipeline.sha === commit.id) ?? null
    const diffs = await listDiffs(project.directory, commit.parents[0] ?? null, commit.id)
    const lines = diffs.flatMap(diff => diff.diff.split('\n'))
    const additions = lines.filter(line => line.startsWith('+')).length
    const deletions = lines.filter(line => line.startsWith('-')).length
    return c.json({
      ...showCommit(world, project, commit),
      stats: { additions, deletions, total: additions + deletions },
      status: last?.status ?? null,
      project_id: project.id,
      last_pipeline: last && showPipelineBasic(world, last),
    })
  })

  api.get('/projects/:id/repository/commits/:sha/refs', async c => {
    const project = requireCode(world, c)
    const commit = await requireCommit(project, c.req.param('sha'))
    const branches = await branchesContaining(project.directory, commit.id)
    const tags = await listRefs(project.directory, 'refs/tags', [`--contains=${commit.id}`])
    const refs = [
      ...branches.map(name => ({ type: 'branch', name })),
      ...tags.map(({ name }) => ({ type: 'tag', name })),
    ]
    const type = text(c.get('params'), 'type') ?? 'all'
    return c.json(
      paginate(
        c,
        refs.filter(ref => type === 'all' || ref.type === type),
      ),
    )
  })

  api.get('/projects/:id/repository/commits/:sha/diff', async c => {
    const project = requireCode(world, c)
    const commit = await requireCommit(project, c.req.param('sha'))
    const diffs = await listDiffs(project.directory, commit.parents[0] ?? null, commit.id)
    return c.json(paginate(c, diffs).map(showDiff))
  })

  api.get('/projects/:id/repository/commits/:sha/merge_requests', async c => {
    const project = requireCode(world, c)
    const commit = await requireCommit(project, c.req.param('sha'))
    const found = [...world.mergeRequests.values()].filter(mr => mr.projectId === project.id && mr.sha === commit.id)
    return c.json(paginate(c, found).map(mr => showMergeRequest(world, mr)))
  })

  api.post('/projects/:id/repository/commits', async c => {
    const project = requireProject(world, c, ACCESS.developer)
    const user = requireUser(c)
    const params = c.get('params')
    const branch = requireText(params, 'branch')
    const message = requireText(params, 'commit_message')
    if (!canPushTo(user, project, branch)) throw forbidden('You are not allowed to push into this branch')
    const before = await resolveRef(project.directory, `refs/heads/${branch}`)
    const start = text(params, 'start_sha') ?? text(params, 'start_branch')
    if (before === null && start === undefined)
      throw badRequest('You can only create or edit files when you are on a branch')
    if (before !== null && start !== undefined && boolean(params, 'force') !== true) {
      throw badRequest(`A branch called '${branch}' already exists. Switch to that branch in order to make changes`)
    }
    const from = before ?? (await resolveCommit(project.directory, start ?? ''))
    if (from === null) throw badRequest(`Cannot find start branch '${start}'`)
    const files = await readActions(project, from, params.actions)
    const sha = await commitFiles(project.directory, {
      ref: `refs/heads/${branch}`,
      from,
      files,
      message,
      author: authorOf(user, world, text(params, 'author_name'), text(params, 'author_email')),
    })
    const change = { ref: `refs/heads/${branch}`, before: before ?? ZERO_SHA, after: sha }
    world.track(afterPush(world, { project, user, changes: [change] }))
    return c.json(showCommit(world, project, await requireCommit(project, sha)), 201)
  })

  api.get('/projects/:id/repository/compare', async c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const from = await resolveCommit(project.directory, requireText(params, 'from'))
    const to = await resolveCommit(project.directory, requireText(params, 'to'))
    if (from === null || to === null) throw notFound('Ref')
    const straight = boolean(params, 'straight') ?? false
    const base = straight ? from : await mergeBase(project.directory, [from, to])
    const commits = (await listCommits(project.directory, { from: [to], except: [from] })).toReversed()
    const diffs = await listDiffs(project.directory, base, to)
    return c.json({
      commit: commits.length > 0 ? showCommit(world, project, commits.at(-1) as Commit) : null,
      commits: commits.map(commit => showCommit(world, project, commit)),
      diffs: diffs.map(showDiff),
      compare_timeout: false,
      compare_same_ref: from === to,
      web_url: `${world.url}/${project.fullPath}/-/compare/${from}...${to}`,
    })
  })

  api.get('/projects/:id/repository/merge_base', async c => {
    const project = requireCode(world, c)
    const refs = list(c.get('params'), 'refs') ?? []
    if (refs.length < 2) throw badRequest('Provide at least 2 refs')
    const shas = await Promise.all(refs.map(ref => resolveCommit(project.directory, ref)))
    const missing = refs.filter((_, index) => shas[index] === null)
    if (missing.length > 0) throw badRequest(`Could not find ref: ${missing.join(', ')}`)
    const base = await mergeBase(
      project.directory,
      shas.filter(sha => sha !== null),
    )
    if (base === null) throw notFound('Merge Base')
    return c.json(showCommit(world, project, await requireCommit(project, base)))
  })

  api.get('/projects/:id/repository/tree', async c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const sha = await resolveCommit(project.directory, text(params, 'ref') || project.defaultBranch)
    if (sha === null) throw notFound('Tree')
    const recursive = boolean(params, 'recursive') ?? false
    const entries = await listTree(project.directory, sha, text(params, 'path') ?? '', recursive)
    if (entries === null) throw notFound('invalid revision or path')
    // Folders first, as `git ls-tree` does not.
    const sorted = entries.toSorted((a, b) => Number(b.type === 'tree') - Number(a.type === 'tree'))
    const { page, perPage } = readPage(params)
    const shown = recursive ? entries : sorted
    setPageHeaders(c, { page, perPage }, shown.length > page * perPage)
    return c.json(
      shown
        .slice((page - 1) * perPage, page * perPage)
        .map(({ id, name, type, path, mode }) => ({ id, name, type, path, mode })),
    )
  })

  const readFile = async (c: RestContext) => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const ref = text(params, 'ref') || 'HEAD'
    const path = c.req.param('file_path') ?? ''
    const sha = await resolveCommit(project.directory, ref)
    if (sha === null) throw notFound('Commit')
    const blob = await readBlob(project.directory, sha, path)
    if (blob === null) throw notFound('File')
    const [last] = await listCommits(project.directory, { from: [sha], path, max: 1 })
    return { path, ref, sha, blob, lastCommit: last?.id ?? sha }
  }

  api.get('/projects/:id/repository/files/:file_path/raw', async c => {
    const { blob, path } = await readFile(c)
    c.header('x-gitlab-blob-id', blob.id)
    c.header('content-type', blob.bytes.includes(0) ? 'application/octet-stream' : 'text/plain; charset=utf-8')
    c.header('content-disposition', `inline; filename*=UTF-8''${encodeURIComponent(path.split('/').at(-1) ?? path)}`)
    return c.body(new Uint8Array(blob.bytes))
  })

  api.get('/projects/:id/repository/files/:file_path', async c => {
    if (text(c.get('params'), 'ref') === undefined) throw badParameter('ref is missing')
    const { path, ref, sha, blob, lastCommit } = await readFile(c)
    return c.json({
      file_name: path.split('/').at(-1),
      file_path: path,
      size: blob.bytes.length,
      encoding: 'base64',
      content_sha256: null,
      ref,
      blob_id: blob.id,
      commit_id: sha,
      last_commit_id: lastCommit,
      execute_filemode: false,
      content: blob.bytes.toString('base64'),
    })
  })
}

function authorOf(user: SimUser, world: World, name?: string, email?: string) {
  return { name: name ?? user.name, email: email ?? user.email, date: world.now().toISOString() }
}

/** `actions` of the commits API: create, update, delete. @throws Refusal 400 in GitLab's words. */
async function readActions(
  project: SimProject,
  from: string,
  given: unknown,
): Promise<Record<string, string | Uint8Array | null>> {
  if (!Array.isArray(given)) throw badParameter('actions is missing')
  const files = Object.create(null) as Record<string, string | Uint8Array | null>
  for (const item of given as Record<string, unknown>[]) {
    const path = String(item.file_path ?? '')
    const bad =
      path === '' || path.startsWith('/') || path.split('/').some(part => ['', '.', '..', '.git'].includes(part))
    if (bad) throw badRequest('file_path: invalid path')
    const exists = (await readBlob(project.directory, from, path)) !== null
    const content = Buffer.from(String(item.content ?? ''), item.encoding === 'base64' ? 'base64' : 'utf8')
    if (item.action === 'create') {
      if (exists) throw badRequest('A file with this name already exists')
      files[path] = content
    } else if (item.action === 'update') {
      if (!exists) throw badRequest("A file with this name doesn't exist")
      files[path] = content
    } else if (item.action === 'delete') {
      if (!exists) throw badRequest("A file with this name doesn't exist")
      files[path] = null
    } else throw badParameter('actions[0][action] does not have a valid value')
  }
  return files
}
