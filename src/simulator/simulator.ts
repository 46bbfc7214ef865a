import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { artifactFolder, traceOf } from './ci-run.ts'
import type { Faults } from './faults.ts'
import { createFaults } from './faults.ts'
import type { Commit } from './git.ts'
import {
  commitFiles,
  copyRefs,
  initRepository,
  isRefName,
  listCommits,
  listRefs,
  listTree,
  readBlob,
  resolveCommit,
  resolveRef,
  updateRef,
} from './git.ts'
import { claimsOf, signToken } from './id-tokens.ts'
import { mergeMergeRequest } from './merge.ts'
import type { MergeRequestUpdate } from './merge-requests.ts'
import { closeMergeRequest, createMergeRequest, reopenMergeRequest, updateMergeRequest } from './merge-requests.ts'
import { createNote, deleteNote, editNote, findNote } from './notes.ts'
import { cancelBuild, finishBuild, playJob, refreshPipeline, releaseCi, retryBuild } from './pipelines.ts'
import { afterPush } from './pushes.ts'
import { badRequest } from './refusal.ts'
import type { NewHook } from './rest/hooks.ts'
import { createHook } from './rest/hooks.ts'
import { createSimulatorServer, listen } from './server.ts'
import { listStatuses } from './statuses.ts'
import type {
  AccessLevel,
  ProtectedBranch,
  SimApplication,
  SimArrival,
  SimDelivery,
  SimHook,
  SimJob,
  SimMergeRequest,
  SimNote,
  SimPipeline,
  SimProject,
  SimRequest,
  SimSettings,
  SimToken,
  SimUser,
} from './types.ts'
import { ACCESS, ZERO_SHA } from './types.ts'
import {
  createWorld,
  findProject,
  mergeRequestOf,
  mergeRequestsOf,
  newToken,
  notesOf,
  pipelinesOf,
  projectOf,
  userOf,
} from './world.ts'

export { type FaultEffect, type FaultMatch, type Faults, type Heal, ROUTES } from './faults.ts'
export { Refusal } from './refusal.ts'
export type * from './types.ts'

/**
 * A small GitLab to try everything without one: REST, git over HTTP, webhooks and pages on one loopback port.
 * It refuses what GitLab refuses. State lives in memory; only the repositories are on disk.
 *
 * @example
 * const sim = await startSimulator({ dataDir })
 * const alice = sim.createUser({ username: 'alice', name: 'Alice', password: 'demo' })
 * const project = sim.createProject({ path: 'physics/heat' })
 * sim.addMember(project.id, alice.id, 30)
 */
export interface SimulatorOptions {
  /** 0 or left out: any free port. */
  port?: number
  host?: string
  /** Bare repositories and LFS objects live here. */
  dataDir: string
  clock?: () => Date
  log?: (line: string) => void
  settings?: Partial<SimSettings>
}

export interface Simulator {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** May be changed at any time. */
  readonly settings: SimSettings
  readonly faults: Faults
  close(): Promise<void>

  createUser(u: {
    username: string
    name: string
    email?: string
    password?: string
    bot?: boolean
    admin?: boolean
  }): SimUser
  /** A person's, or with `oauth` one of a sign-in. */
  createToken(userId: number, o?: { scopes?: string[]; expiresAt?: string; name?: string; oauth?: boolean }): SimToken
  /** For sign-in with OAuth 2; scopes default to `read_api`. */
  createApplication(a: { name: string; redirectUris: string[]; scopes?: string[] }): SimApplication
  blockUser(userId: number, blocked?: boolean): void
  revokeToken(token: string): void
  expireToken(token: string): void
  /** Makes a real bare repository. The default branch is protected, as on a fresh GitLab, unless `protectDefaultBranch` is false. */
  createProject(p: {
    path: string
    defaultBranch?: string
    visibility?: 'private' | 'public'
    description?: string
    protectDefaultBranch?: boolean
    onlyAllowMergeIfPipelineSucceeds?: boolean
    allowMergeOnSkippedPipeline?: boolean
  }): SimProject
  createFork(projectId: number, path: string, userId: number): Promise<SimProject>
  /** To another group or name. Until something else takes the old address, git and the API are redirected from there. */
  moveProject(projectId: number, path: string): void
  archiveProject(projectId: number, archived?: boolean): void
  /** Gone at once, with its repository's address; what is left on disk nobody sees. */
  deleteProject(projectId: number): void
  addMember(projectId: number, userId: number, accessLevel: AccessLevel): void
  removeMember(projectId: number, userId: number): void
  /** Levels default to Maintainer; 0 is nobody. An existing rule with the same pattern is replaced. */
  protectBranch(projectId: number, pattern: string, o?: Partial<Omit<ProtectedBranch, 'pattern'>>): void
  unprotectBranch(projectId: number, pattern: string): void
  addHook(projectId: number, h: NewHook): SimHook
  removeHook(hookId: number): void

  /** A commit by a person, and everything that follows from pushing it. `null` removes a file. Returns the new sha. */
  commit(o: {
    projectId: number
    branch: string
    files: Record<string, string | Uint8Array | null>
    message: string
    authorId: number
    /** Where a new branch starts: a ref or sha; left out: the default branch; null: nowhere (orphan). */
    from?: string | null
    executable?: string[]
    pushOptions?: string[]
  }): Promise<string>
  createBranch(projectId: number, branch: string, from: string, userId: number): Promise<void>
  deleteBranch(projectId: number, branch: string, userId: number): Promise<void>
  createTag(projectId: number, tag: string, from: string, userId: number): Promise<void>
  /** Tells the simulator that a full ref moved in the repository on disk: merge requests, pipelines and hooks follow. */
  pushed(projectId: number, ref: string, before: string, after: string, userId: number): Promise<void>

  createMergeRequest(o: {
    projectId: number
    sourceProjectId?: number
    sourceBranch: string
    targetBranch: string
    title: string
    authorId: number
    description?: string
    draft?: boolean
  }): Promise<SimMergeRequest>
  updateMergeRequest(
    o: { projectId: number; iid: number; userId: number } & MergeRequestUpdate,
  ): Promise<SimMergeRequest>
  markReady(o: { projectId: number; iid: number; userId: number }): Promise<SimMergeRequest>
  closeMergeRequest(o: { projectId: number; iid: number; userId: number }): Promise<SimMergeRequest>
  reopenMergeRequest(o: { projectId: number; iid: number; userId: number }): Promise<SimMergeRequest>
  mergeMergeRequest(o: {
    projectId: number
    iid: number
    userId: number
    removeSourceBranch?: boolean
  }): Promise<SimMergeRequest>
  /** @throws Refusal for who may not comment; Error when the text was nothing but quick actions (they are done). */
  createNote(o: {
    projectId: number
    mrIid: number
    authorId: number
    body: string
    internal?: boolean
  }): Promise<SimNote>
  deleteNote(o: { projectId: number; mrIid: number; noteId: number; userId: number }): void
  editNote(o: { projectId: number; mrIid: number; noteId: number; userId: number; body: string }): SimNote

  /** Lets held CI pipelines be made (`settings.ciHold`). */
  releasePipelines(): void
  setVariable(projectId: number, v: { key: string; value: string; masked?: boolean; protected?: boolean }): void
  /** What a person would press on the page of a CI job. @throws Refusal */
  cancelJob(jobId: number): void
  playJob(jobId: number, userId: number): void
  retryJob(jobId: number, userId: number): SimJob
  /** The CI jobs of a commit's pipelines, those that were retried too. */
  ciJobs(projectId: number, sha: string): SimJob[]
  /** What the page of a CI job shows, masked; null before it runs. */
  trace(jobId: number): string | null
  /** The directory of the files that a CI job left as its artifacts. */
  artifacts(jobId: number): string
  /** An `id_token` as that CI job would get it, with claims of the test's own above. */
  idToken(jobId: number, audience: string, claims?: Record<string, unknown>): string
  /** The instance signs with another key from now on. */
  rotateSigningKey(): void
  /** Ends a CI job that waits (`settings.ciJobs = 'wait'`). */
  finishJob(jobId: number, status: 'success' | 'failed' | 'canceled'): void

  deliveries(filter?: { hookId?: number; projectId?: number }): SimDelivery[]
  /** Same body and Idempotency-Key, new `webhook-timestamp`. */
  resend(deliveryId: number): Promise<SimDelivery>
  /** REST calls received since the start or the last reset; the oldest are forgotten beyond 20,000. */
  requests(): SimRequest[]
  resetRequests(): void
  /** Everything that came in, git and what met a fault included; the oldest are forgotten beyond 20,000. */
  arrivals(): SimArrival[]
  /** Resolves when no delivery, no work after a push and no CI job is under way. Nobody waits for held pipelines. */
  idle(): Promise<void>

  user(username: string): SimUser | undefined
  project(idOrPath: number | string): SimProject | undefined
  users(): SimUser[]
  projects(): SimProject[]
  hooks(projectId: number): SimHook[]
  statuses(projectId: number, sha: string, o?: { all?: boolean }): SimJob[]
  notes(projectId: number, iid: number): SimNote[]
  pipelines(projectId: number): SimPipeline[]
  mergeRequests(projectId: number): SimMergeRequest[]
  mergeRequest(projectId: number, iid: number): SimMergeRequest
  branches(projectId: number): Promise<{ name: string; sha: string }[]>
  commits(projectId: number, ref: string): Promise<Commit[]>
  /** Paths of all files, null when there is no such ref. */
  files(projectId: number, ref: string): Promise<string[] | null>
  /** Text of a file, null when it is not there. */
  readFile(projectId: number, ref: string, path: string): Promise<string | null>
}

export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const dataDir = resolve(options.dataDir)
  mkdirSync(join(dataDir, 'repositories'), { recursive: true })
  const closing = new AbortController()
  const world = createWorld({ ...options, dataDir, closed: closing.signal })
  const faults = createFaults()
  const server = createSimulatorServer(world, faults)
  world.url = await listen(server, options.port ?? 0, options.host ?? '127.0.0.1')

  async function close(): Promise<void> {
    closing.abort()
    server.closeAllConnections()
    await new Promise<void>(done => server.close(() => done()))
    await world.settled()
  }

  function createUser(u: Parameters<Simulator['createUser']>[0]): SimUser {
    if ([...world.users.values()].some(other => other.username.toLowerCase() === u.username.toLowerCase())) {
      throw new Error(`there is already a user ${u.username} in the simulator`)
    }
    const user: SimUser = {
      id: world.nextId('user'),
      username: u.username,
      name: u.name,
      email: u.email ?? `${u.username}@${u.bot ? 'noreply.' : ''}example.org`,
      bot: u.bot ?? false,
      admin: u.admin ?? false,
      blocked: false,
      createdAt: world.now(),
    }
    world.users.set(user.id, user)
    if (u.password !== undefined) world.passwords.set(user.id, u.password)
    return user
  }

  function createToken(userId: number, o: Parameters<Simulator['createToken']>[1] = {}): SimToken {
    userOf(world, userId)
    const token: SimToken = {
      id: world.nextId('token'),
      token: newToken(),
      userId,
      name: o.name ?? 'token',
      scopes: o.scopes ?? ['api'],
      createdAt: world.now(),
      expiresAt: o.expiresAt ?? null,
      revoked: false,
      expired: false,
      lastUsedAt: null,
      oauth: o.oauth ?? false,
    }
    world.tokens.set(token.token, token)
    return token
  }

  function tokenOf(secret: string): SimToken {
    const token = world.tokens.get(secret)
    if (!token) throw new Error('there is no such token in the simulator')
    return token
  }

  function createProject(p: Parameters<Simulator['createProject']>[0], forkedFromId: number | null = null): SimProject {
    const segments = p.path.split('/')
    if (segments.length < 2 || !segments.every(segment => /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(segment))) {
      throw new Error(`a project path is group/…/name, got ${JSON.stringify(p.path)}`)
    }
    if (findProject(world, p.path)) throw new Error(`there is already a project ${p.path} in the simulator`)
    const defaultBranch = p.defaultBranch ?? 'main'
    const id = world.nextId('project')
    const name = segments.at(-1) ?? p.path
    const rule: ProtectedBranch = {
      pattern: defaultBranch,
      pushLevel: 40,
      pushUserIds: [],
      mergeLevel: 40,
      allowForcePush: false,
    }
    const project: SimProject = {
      id,
      name,
      path: name,
      fullPath: p.path,
      namespace: segments.slice(0, -1).join('/'),
      description: p.description ?? '',
      defaultBranch,
      visibility: p.visibility ?? 'private',
      directory: join(dataDir, 'repositories', `${id}.git`),
      members: new Map(),
      protectedBranches: p.protectDefaultBranch === false ? [] : [rule],
      forkedFromId,
      onlyAllowMergeIfPipelineSucceeds: p.onlyAllowMergeIfPipelineSucceeds ?? false,
      allowMergeOnSkippedPipeline: p.allowMergeOnSkippedPipeline ?? false,
      archived: false,
      createdAt: world.now(),
      lastActivityAt: world.now(),
      nextMergeRequestIid: 1,
      nextPipelineIid: 1,
    }
    initRepository(project.directory, defaultBranch)
    world.projects.set(id, project)
    return project
  }

  async function createFork(projectId: number, path: string, userId: number): Promise<SimProject> {
    const parent = projectOf(world, projectId)
    const { defaultBranch, visibility, description } = parent
    const fork = createProject({ path, defaultBranch, visibility, description }, parent.id)
    fork.members.set(userOf(world, userId).id, ACCESS.owner)
    await copyRefs(fork.directory, parent.directory)
    const known = world.lfsObjects.get(parent.id)
    if (known) world.lfsObjects.set(fork.id, new Map(known))
    return fork
  }

  async function pushed(
    projectId: number,
    ref: string,
    before: string,
    after: string,
    userId: number,
    pushOptions: string[] = [],
  ) {
    const change = { ref, before, after }
    const push = {
      project: projectOf(world, projectId),
      user: userOf(world, userId),
      changes: [change],
      options: pushOptions,
    }
    await world.track(afterPush(world, push))
  }

  async function commit(o: Parameters<Simulator['commit']>[0]): Promise<string> {
    const project = projectOf(world, o.projectId)
    const author = userOf(world, o.authorId)
    if (!isRefName(o.branch)) throw new Error(`not a branch name: ${JSON.stringify(o.branch)}`)
    const ref = `refs/heads/${o.branch}`
    const before = await resolveRef(project.directory, ref)
    let from = before
    if (from === null && o.from !== null) from = await resolveCommit(project.directory, o.from ?? project.defaultBranch)
    if (from === null && typeof o.from === 'string') throw new Error(`there is no ${o.from} in ${project.fullPath}`)
    const person = { name: author.name, email: author.email, date: world.now().toISOString() }
    const { files, message, executable = [] } = o
    const sha = await commitFiles(project.directory, { ref, from, files, message, executable, author: person })
    await pushed(project.id, ref, before ?? ZERO_SHA, sha, author.id, o.pushOptions)
    return sha
  }

  async function createRef(projectId: number, ref: string, from: string, userId: number): Promise<void> {
    const { directory, fullPath } = projectOf(world, projectId)
    const sha = await resolveCommit(directory, from)
    if (sha === null) throw new Error(`there is no ${from} in ${fullPath}`)
    await updateRef(directory, ref, sha, ZERO_SHA)
    await pushed(projectId, ref, ZERO_SHA, sha, userId)
  }

  async function deleteBranch(projectId: number, branch: string, userId: number): Promise<void> {
    const { directory, fullPath } = projectOf(world, projectId)
    const sha = await resolveRef(directory, `refs/heads/${branch}`)
    if (sha === null) throw new Error(`there is no branch ${branch} in ${fullPath}`)
    await updateRef(directory, `refs/heads/${branch}`, null, sha)
    await pushed(projectId, `refs/heads/${branch}`, sha, ZERO_SHA, userId)
  }

  const find = (o: { projectId: number; iid: number; userId: number }) => ({
    mr: mergeRequestOf(world, o.projectId, o.iid),
    user: userOf(world, o.userId),
  })

  const buildOf = (jobId: number) => {
    for (const pipeline of [...world.pipelines.values()].flat()) {
      const job = pipeline.jobs.find(j => j.id === jobId && j.type === 'build')
      if (job) return { pipeline, job }
    }
    throw new Error(`there is no CI job ${jobId} in the simulator`)
  }

  return {
    url: world.url,
    settings: world.settings,
    faults,
    close,
    createUser,
    createToken,
    createApplication({ name, redirectUris, scopes = ['read_api'] }) {
      const secret = () => randomBytes(32).toString('hex')
      const application: SimApplication = { id: secret(), secret: `gloas-${secret()}`, name, redirectUris, scopes }
      world.applications.set(application.id, application)
      return application
    },
    blockUser: (userId, blocked = true) => {
      userOf(world, userId).blocked = blocked
    },
    revokeToken: token => {
      tokenOf(token).revoked = true
    },
    expireToken: token => {
      tokenOf(token).expired = true
    },
    createProject: p => createProject(p),
    createFork,
    moveProject: (projectId, path) => {
      const project = projectOf(world, projectId)
      world.redirects.set(project.fullPath.toLowerCase(), projectId)
      project.fullPath = path
      project.namespace = path.split('/').slice(0, -1).join('/')
      project.path = path.split('/').at(-1) ?? path
    },
    archiveProject: (projectId, archived = true) => {
      projectOf(world, projectId).archived = archived
    },
    deleteProject: projectId => {
      projectOf(world, projectId)
      world.projects.delete(projectId)
    },
    addMember: (projectId, userId, level) => {
      projectOf(world, projectId).members.set(userOf(world, userId).id, level)
    },
    removeMember: (projectId, userId) => {
      projectOf(world, projectId).members.delete(userId)
    },
    protectBranch: (projectId, pattern, o = {}) => {
      const project = projectOf(world, projectId)
      const rule: ProtectedBranch = {
        pushLevel: 40,
        pushUserIds: [],
        mergeLevel: 40,
        allowForcePush: false,
        ...o,
        pattern,
      }
      project.protectedBranches = [...project.protectedBranches.filter(other => other.pattern !== pattern), rule]
    },
    unprotectBranch: (projectId, pattern) => {
      const project = projectOf(world, projectId)
      project.protectedBranches = project.protectedBranches.filter(rule => rule.pattern !== pattern)
    },
    addHook: (projectId, h) => createHook(world, projectOf(world, projectId), h),
    removeHook: hookId => {
      world.hooks.delete(hookId)
    },
    commit,
    createBranch: (projectId, branch, from, userId) => createRef(projectId, `refs/heads/${branch}`, from, userId),
    deleteBranch,
    createTag: (projectId, tag, from, userId) => createRef(projectId, `refs/tags/${tag}`, from, userId),
    pushed: (projectId, ref, before, after, userId) => pushed(projectId, ref, before, after, userId),
    createMergeRequest: o => {
      const target = projectOf(world, o.projectId)
      const source = projectOf(world, o.sourceProjectId ?? o.projectId)
      const title = o.draft ? `Draft: ${o.title}` : o.title
      const { sourceBranch, targetBranch, description } = o
      return createMergeRequest(world, userOf(world, o.authorId), {
        source,
        target,
        sourceBranch,
        targetBranch,
        title,
        description,
      })
    },
    updateMergeRequest: async o => {
      const { mr, user } = find(o)
      const { projectId: _, iid: __, userId: ___, ...update } = o
      await updateMergeRequest(world, mr, user, update)
      return mr
    },
    markReady: async o => {
      const { mr, user } = find(o)
      await updateMergeRequest(world, mr, user, { draft: false })
      return mr
    },
    closeMergeRequest: async o => {
      const { mr, user } = find(o)
      closeMergeRequest(world, mr, user)
      return mr
    },
    reopenMergeRequest: async o => {
      const { mr, user } = find(o)
      await reopenMergeRequest(world, mr, user)
      return mr
    },
    mergeMergeRequest: async o => {
      const { mr, user } = find(o)
      await mergeMergeRequest(world, mr, user, { removeSourceBranch: o.removeSourceBranch })
      return mr
    },
    createNote: async o => {
      const mr = mergeRequestOf(world, o.projectId, o.mrIid)
      const content = { body: o.body, internal: o.internal ?? false }
      const outcome = await createNote(world, mr, userOf(world, o.authorId), content)
      if ('note' in outcome) return outcome.note
      throw new Error(`the note was nothing but quick actions (${outcome.commands.join(', ')}); they are done`)
    },
    editNote: o => {
      const note = findNote(world, mergeRequestOf(world, o.projectId, o.mrIid), o.noteId)
      editNote(world, note, userOf(world, o.userId), o.body)
      return note
    },
    deleteNote: o =>
      deleteNote(
        world,
        findNote(world, mergeRequestOf(world, o.projectId, o.mrIid), o.noteId),
        userOf(world, o.userId),
      ),
    releasePipelines: () => releaseCi(world),
    finishJob: (jobId, status) => {
      const { pipeline, job } = buildOf(jobId)
      finishBuild(world, pipeline, job, status)
    },
    setVariable: (projectId, { key, value, masked = false, protected: isProtected = false }) => {
      const known = world.variables.get(projectOf(world, projectId).id) ?? new Map()
      world.variables.set(projectId, known.set(key, { key, value, masked, protected: isProtected }))
    },
    cancelJob: jobId => {
      const { pipeline, job } = buildOf(jobId)
      cancelBuild(world, pipeline, job)
      refreshPipeline(world, pipeline)
    },
    playJob: (jobId, userId) => {
      const { pipeline, job } = buildOf(jobId)
      if (job.status !== 'manual') throw badRequest('Unplayable Job')
      playJob(world, pipeline, job, userOf(world, userId))
    },
    retryJob: (jobId, userId) => {
      const { pipeline, job } = buildOf(jobId)
      return retryBuild(world, pipeline, job, userOf(world, userId))
    },
    ciJobs: (projectId, sha) =>
      pipelinesOf(world, projectId)
        .filter(pipeline => pipeline.sha === sha)
        .flatMap(pipeline => pipeline.jobs)
        .filter(job => job.type === 'build'),
    trace: jobId => traceOf(world, jobId),
    artifacts: jobId => artifactFolder(world, jobId),
    idToken: (jobId, audience, claims = {}) => {
      const { pipeline, job } = buildOf(jobId)
      return signToken(world, { ...claimsOf(world, pipeline, job, [audience]), ...claims })
    },
    rotateSigningKey: () => world.signingKeys.rotate(),
    deliveries: (filter = {}) =>
      world.deliveries.filter(
        d =>
          (filter.hookId === undefined || d.hookId === filter.hookId) &&
          (filter.projectId === undefined || d.projectId === filter.projectId),
      ),
    resend: id => world.webhooks.resend(id),
    requests: () => [...world.requests],
    resetRequests: () => {
      world.requests.length = 0
    },
    arrivals: () => [...world.arrivals],
    idle: () => world.settled(),
    user: username => [...world.users.values()].find(user => user.username === username),
    project: idOrPath => findProject(world, String(idOrPath)) ?? undefined,
    users: () => [...world.users.values()],
    projects: () => [...world.projects.values()],
    hooks: projectId => [...world.hooks.values()].filter(hook => hook.projectId === projectId),
    statuses: (projectId, sha, o = {}) => listStatuses(world, projectOf(world, projectId), sha, o),
    notes: (projectId, iid) => [...notesOf(world, mergeRequestOf(world, projectId, iid).id)],
    pipelines: projectId => [...pipelinesOf(world, projectId)],
    mergeRequests: projectId => mergeRequestsOf(world, projectId),
    mergeRequest: (projectId, iid) => mergeRequestOf(world, projectId, iid),
    branches: async projectId =>
      (await listRefs(projectOf(world, projectId).directory, 'refs/heads')).map(({ name, sha }) => ({ name, sha })),
    commits: async (projectId, ref) => {
      const { directory } = projectOf(world, projectId)
      const sha = await resolveCommit(directory, ref)
      return sha === null ? [] : listCommits(directory, { from: [sha] })
    },
    files: async (projectId, ref) => {
      const { directory } = projectOf(world, projectId)
      const sha = await resolveCommit(directory, ref)
      const entries = sha && (await listTree(directory, sha, '', true))
      return entries ? entries.filter(entry => entry.type !== 'tree').map(entry => entry.path) : null
    },
    readFile: async (projectId, ref, path) => {
      const { directory } = projectOf(world, projectId)
      const sha = await resolveCommit(directory, ref)
      const blob = sha && (await readBlob(directory, sha, path))
      return blob ? blob.bytes.toString() : null
    },
  }
}
