import type { ClusterConfig, Config, ProjectConfig } from './schema.ts'

/** Projects whose jobs run under one account: each could read and change what the others have on the cluster. */
export interface SharedAccount {
  /** e.g. `compops on falcon.example.org`. */
  readonly account: string
  /** Globs of the projects, in the order of the file. */
  readonly projects: readonly string[]
  /** Every one of them says `shared_account: true`. */
  readonly agreed: boolean
}

interface Use {
  readonly account: string
  readonly machine: string
  readonly root: string
  readonly project: ProjectConfig
}

function usesOf(config: Pick<Config, 'clusters' | 'projects'>): Use[] {
  return config.projects.flatMap(project =>
    project.clusters.flatMap(name => {
      const cluster = config.clusters.find(c => c.name === name)
      return cluster === undefined ? [] : [useOf(project, cluster)]
    }),
  )
}

function useOf(project: ProjectConfig, cluster: ClusterConfig): Use {
  const { ssh } = cluster
  if (ssh === null)
    return { account: "the service's account on this machine", machine: 'this machine', root: cluster.root, project }
  const machine = ssh.port === 22 || ssh.port === null ? ssh.host : `${ssh.host}:${ssh.port}`
  const user = project.runAs?.user ?? ssh.user ?? 'the account of ssh_config'
  return { account: `${user} on ${machine}`, machine, root: project.runAs?.root ?? cluster.root, project }
}

/**
 * Who shares an account with whom. One entry whose path is a glob counts as several projects: it is listed too.
 * Sharing is reported, not refused: a group that trusts itself may well want it, and says so with `shared_account: true` on each entry.
 */
export function sharedAccounts(config: Pick<Config, 'clusters' | 'projects'>): SharedAccount[] {
  const byAccount = new Map<string, Set<ProjectConfig>>()
  for (const use of usesOf(config)) {
    const projects = byAccount.get(use.account) ?? new Set()
    byAccount.set(use.account, projects.add(use.project))
  }
  return [...byAccount]
    .map(([account, projects]) => ({ account, projects: [...projects] }))
    .filter(({ projects }) => projects.length > 1 || projects.some(p => p.path.includes('*')))
    .map(({ account, projects }) => ({
      account,
      projects: projects.map(p => p.path),
      agreed: projects.every(p => p.sharedAccount),
    }))
}

export interface RootConflict {
  readonly project: ProjectConfig
  readonly message: string
}

/**
 * Roots that must not be: one inside the other on one machine, one root for two accounts, or two for one `run_as` account. Whoever owns the outer directory can rename or replace what
 * lies in it, so separate accounts would separate nothing; and an account is one connection with one root. That is refused. One root under one account is mere sharing: see sharedAccounts.
 */
export function conflictingRoots(config: Pick<Config, 'clusters' | 'projects'>): RootConflict[] {
  const uses = usesOf(config)
  const conflicts: RootConflict[] = []
  uses.forEach((use, i) => {
    if (conflicts.some(c => c.project === use.project)) return
    for (const other of uses.slice(0, i)) {
      const message = conflict(use, other)
      if (message === null) continue
      conflicts.push({ project: use.project, message })
      return
    }
  })
  return conflicts
}

function conflict(use: Use, other: Use): string | null {
  if (use.machine !== other.machine) return null
  if (use.root === other.root)
    return use.account === other.account
      ? null
      : `The root ${use.root} of ${use.account} is also the root of ${other.account}.`
  if (isInside(use.root, other.root))
    return `The root ${use.root} of ${use.account} lies inside ${other.root}, the root of ${other.account}.`
  if (isInside(other.root, use.root))
    return `The root ${use.root} of ${use.account} lies around ${other.root}, the root of ${other.account}.`
  const bothRunAs = use.project.runAs !== null && other.project.runAs !== null
  return bothRunAs && use.account === other.account
    ? `${use.account} has two roots, ${other.root} and ${use.root}.`
    : null
}

function isInside(inner: string, outer: string): boolean {
  return inner.startsWith(`${outer}/`)
}
