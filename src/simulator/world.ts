import { randomBytes } from 'node:crypto'
import type { CiJob } from './ci-config.ts'
import type { RunningJob } from './ci-run.ts'
import type { Hooks } from './hooks.ts'
import { createHooks } from './hooks.ts'
import { createSigningKeys, type SigningKeys } from './id-tokens.ts'
import type { Grant, Refresh } from './oauth.ts'
import type {
  SimApplication,
  SimArrival,
  SimDelivery,
  SimHook,
  SimMergeRequest,
  SimNote,
  SimPipeline,
  SimProject,
  SimRequest,
  SimSettings,
  SimToken,
  SimUpload,
  SimUser,
  SimVariable,
} from './types.ts'
import { DEFAULT_SETTINGS } from './types.ts'

/** Everything the simulator remembers, and the few things every part of it needs. */
export interface World {
  /** Known once the server listens. */
  url: string
  readonly dataDir: string
  readonly settings: SimSettings
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly users: Map<number, SimUser>
  readonly passwords: Map<number, string>
  readonly tokens: Map<string, SimToken>
  readonly applications: Map<string, SimApplication>
  readonly grants: Map<string, Grant>
  readonly refreshTokens: Map<string, Refresh>
  readonly projects: Map<number, SimProject>
  /** Former paths in lower case, to the project that had them. */
  readonly redirects: Map<string, number>
  readonly hooks: Map<number, SimHook>
  readonly mergeRequests: Map<number, SimMergeRequest>
  readonly notes: Map<number, SimNote[]>
  readonly pipelines: Map<number, SimPipeline[]>
  readonly uploads: Map<string, SimUpload>
  readonly lfsObjects: Map<number, Map<string, number>>
  readonly deliveries: SimDelivery[]
  readonly webhooks: Hooks
  /** CI pipelines that wait for `releaseCi`. */
  readonly heldCi: (() => Promise<unknown>)[]
  /** What a CI job does, by its id. */
  readonly ciJobs: Map<number, CiJob>
  readonly running: Map<number, RunningJob>
  readonly traces: Map<number, { readonly parts: Buffer[]; readonly hidden: string[]; written: number }>
  readonly variables: Map<number, Map<string, SimVariable>>
  readonly signingKeys: SigningKeys
  readonly requests: SimRequest[]
  readonly arrivals: SimArrival[]
  nextId(kind: string): number
  /** Work that goes on after an answer was given; `idle` waits for it. */
  track<T>(work: Promise<T>): Promise<T>
  /** Resolves when nothing tracked is under way. */
  settled(): Promise<void>
  readonly closed: AbortSignal
}

export interface WorldOptions {
  dataDir: string
  clock?: (() => Date) | undefined
  log?: ((line: string) => void) | undefined
  settings?: Partial<SimSettings> | undefined
  closed: AbortSignal
}

export function createWorld(options: WorldOptions): World {
  const counters = new Map<string, number>()
  const underWay = new Set<Promise<unknown>>()
  const log = options.log ?? (() => {})
  const world: Omit<World, 'webhooks'> = {
    url: '',
    dataDir: options.dataDir,
    settings: { ...DEFAULT_SETTINGS, ...options.settings },
    now: options.clock ?? (() => new Date()),
    log,
    users: new Map(),
    passwords: new Map(),
    tokens: new Map(),
    applications: new Map(),
    grants: new Map(),
    refreshTokens: new Map(),
    projects: new Map(),
    redirects: new Map(),
    hooks: new Map(),
    mergeRequests: new Map(),
    notes: new Map(),
    pipelines: new Map(),
    uploads: new Map(),
    lfsObjects: new Map(),
    deliveries: [],
    requests: [],
    arrivals: [],
    heldCi: [],
    ciJobs: new Map(),
    running: new Map(),
    traces: new Map(),
    variables: new Map(),
    signingKeys: createSigningKeys(),
    closed: options.closed,
    nextId(kind) {
      const id = (counters.get(kind) ?? 0) + 1
      counters.set(kind, id)
      return id
    },
    track(work) {
      const watched = work.then(
        () => {},
        (error: unknown) =>
          log(`simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
      )
      underWay.add(watched)
      watched.finally(() => underWay.delete(watched))
      return work
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
  return Object.assign(world, { webhooks: createHooks(world) })
}

export function newToken(): string {
  return `glpat-${randomBytes(15).toString('base64url')}`
}

export function userOf(world: World, id: number): SimUser {
  const user = world.users.get(id)
  if (!user) throw new Error(`there is no user ${id} in the simulator`)
  return user
}

export function projectOf(world: World, id: number): SimProject {
  const project = world.projects.get(id)
  if (!project) throw new Error(`there is no project ${id} in the simulator`)
  return project
}

/** By number or by full path, as the API's `:id`. */
export function findProject(world: World, idOrPath: string): SimProject | null {
  if (/^\d+$/.test(idOrPath)) return world.projects.get(Number(idOrPath)) ?? null
  const path = idOrPath.toLowerCase()
  for (const project of world.projects.values()) if (project.fullPath.toLowerCase() === path) return project
  return null
}

export function findMergeRequest(world: World, projectId: number, iid: number): SimMergeRequest | null {
  for (const mr of world.mergeRequests.values()) if (mr.projectId === projectId && mr.iid === iid) return mr
  return null
}

export function mergeRequestOf(world: World, projectId: number, iid: number): SimMergeRequest {
  const mr = findMergeRequest(world, projectId, iid)
  if (!mr) throw new Error(`project ${projectId} has no merge request !${iid} in the simulator`)
  return mr
}

export function mergeRequestsOf(world: World, projectId: number): SimMergeRequest[] {
  return [...world.mergeRequests.values()].filter(mr => mr.projectId === projectId)
}

export function pipelinesOf(world: World, projectId: number): SimPipeline[] {
  return world.pipelines.get(projectId) ?? []
}

export function notesOf(world: World, mergeRequestId: number): SimNote[] {
  return world.notes.get(mergeRequestId) ?? []
}

/** Of the pipelines of the head commit: merge request pipelines first, then the newest (app/finders/ci/pipelines_for_merge_request_finder.rb). */
export function headPipeline(world: World, mr: SimMergeRequest): SimPipeline | null {
  return mergeRequestPipelines(world, mr).find(pipeline => pipeline.sha === mr.sha) ?? null
}

/** Pipelines of the source branch and of the merge request itself; its own first, newest first. */
export function mergeRequestPipelines(world: World, mr: SimMergeRequest): SimPipeline[] {
  return pipelinesOf(world, mr.sourceProjectId)
    .filter(pipeline => pipeline.mergeRequestId === mr.id || (!pipeline.tag && pipeline.ref === mr.sourceBranch))
    .toSorted((a, b) => Number(b.mergeRequestId === mr.id) - Number(a.mergeRequestId === mr.id) || b.id - a.id)
}

/** Web address of something below a project: `webUrl(world, project, 'commit', sha)`. */
export function webUrl(world: World, project: SimProject, ...segments: (string | number)[]): string {
  const base = `${world.url}/${project.fullPath}`
  return segments.length === 0 ? base : `${base}/-/${segments.join('/')}`
}

/** A ref or a path inside an address: slashes stay, everything else that matters is encoded. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
