import { type Config, type ProjectConfig, projectFor, type SecretSource } from '../config/index.ts'
import { clusterConfigOf, connectionsOf, openConnection } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { createGitLab, fixedToken, type GitLab, isGitLabError } from '../gitlab/gitlab.ts'
import { loadDialects } from '../scheduler/index.ts'
import { concludeCluster } from './cluster.ts'
import { type Finding, sorted } from './finding.ts'
import { concludeInstance, concludeProject, concludeSharing, type Failed, type ProjectSeen } from './gitlab.ts'

export interface DoctorOptions {
  /** A cluster's name or a project's path; null: everything. */
  readonly only: string | null
  /** A Maintainer's token: only such a one sees webhooks. Used for looking, never kept. */
  readonly maintainerToken: string | null
  readonly now: () => Date
}

/** Nobody is waited for longer; a peer that hangs delays no other. */
const patience = 150_000
/** Projects of one configuration that are looked at. */
const mostProjects = 50

/** Looks at every cluster and project of the configuration, side by side, and says what is not well. Changes nothing. */
export async function examine(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const { only } = options
  const clusters = connectionsOf(config).filter(name => only === null || name === only || name.split('#')[0] === only)
  const aboutCluster = only !== null && clusters.length > 0
  if (only !== null && !aboutCluster && projectFor(config, only) === null)
    throw new CompopsError(
      `${JSON.stringify(only)} is neither a cluster (${config.clusters.map(({ name }) => name).join(', ')}) nor a project that a rule of ${config.file} matches`,
    )
  await loadDialects(config.clusters.map(cluster => cluster.scheduler))
  const looks = [
    ...(only === null || aboutCluster
      ? clusters.map(name => within(name, 'ssh', seeCluster(config, name, options)))
      : []),
    ...(aboutCluster ? [] : [within('GitLab', 'reach', seeGitLab(config, options))]),
  ]
  return sorted((await Promise.all(looks)).flat())
}

/** A look that hangs or breaks is a finding about its subject, and of no other. */
async function within(about: string, check: string, look: Promise<Finding[]>): Promise<Finding[]> {
  const { promise, resolve } = Promise.withResolvers<Finding[]>()
  const broken = (sentence: string) =>
    resolve([
      {
        level: 'error',
        about,
        check,
        sentence,
        remedy: 'Run it again; if it stays, the log of the service may say more.',
      },
    ])
  const timer = setTimeout(() => broken(`No answer within ${patience / 1000} s.`), patience)
  look.then(resolve, error => broken(`It could not be looked at: ${describeError(error)}.`))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

async function seeCluster(config: Config, connection: string, { now }: DoctorOptions): Promise<Finding[]> {
  const { scheduler, defaults, ssh, maxSubmitted } = clusterConfigOf(config, connection)
  const cluster = openConnection(config, connection, now)
  try {
    const seen = await cluster.examine({ defaults, sessions: ssh !== null })
    return concludeCluster({ name: connection, scheduler, root: cluster.root, maxSubmitted, seen })
  } finally {
    await cluster.close()
  }
}

async function seeGitLab(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const client = async (source: SecretSource) =>
    createGitLab({ url: config.gitlab.url, token: fixedToken(await source.read()), deadline: config.gitlab.timeout })
  const sources = new Map<SecretSource, ProjectConfig[]>([[config.gitlab.token, []]])
  for (const rule of config.projects) {
    const source = rule.token ?? config.gitlab.token
    sources.set(source, [...(sources.get(source) ?? []), rule])
  }
  const clients = new Map<SecretSource, GitLab>()
  for (const source of sources.keys()) clients.set(source, await client(source))
  const maintainer =
    options.maintainerToken === null
      ? null
      : createGitLab({
          url: config.gitlab.url,
          token: fixedToken(options.maintainerToken),
          deadline: config.gitlab.timeout,
        })
  const main = clients.get(config.gitlab.token)!
  // One after the other: with a GitLab that does not answer, one deadline is enough.
  const version = await main.version().catch(failed)
  const used = [...sources].filter(([source, rules]) => rules.length > 0 || source === config.gitlab.token)
  const tokens = await Promise.all(
    used.map(async ([source, rules]) => ({
      of: source === config.gitlab.token ? [] : rules.map(rule => rule.path),
      info: await clients.get(source)!.tokenInfo().catch(failed),
    })),
  )
  const findings = concludeInstance({
    url: config.gitlab.url,
    version,
    tokens,
    publicUrl: config.publicUrl,
    webhook: config.gitlab.webhook,
    today: options.now(),
  })
  findings.push(...concludeSharing([...sources.values()].map(rules => ({ paths: rules.map(rule => rule.path) }))))
  if (typeof version !== 'string' && version.kind !== 'unauthorized') return findings
  for (const [source, rules] of sources) {
    const gitlab = clients.get(source)!
    const paths = await projectsOf(config, gitlab, rules, options.only).catch(() => [])
    for (const { path, rule } of paths)
      findings.push(...concludeProject(await seeProject(config, gitlab, maintainer, path, rule)))
  }
  return findings
}

/** A plain path is itself; a glob is what the token's user is a member of. */
async function projectsOf(
  config: Config,
  gitlab: GitLab,
  rules: readonly ProjectConfig[],
  only: string | null,
): Promise<{ path: string; rule: ProjectConfig }[]> {
  if (only !== null) {
    const rule = projectFor(config, only)
    return rule !== null && rules.includes(rule) ? [{ path: only, rule }] : []
  }
  const found = new Map<string, ProjectConfig>()
  for (const rule of rules) if (!/[*?[{]/.test(rule.path)) found.set(rule.path, rule)
  if (rules.some(rule => /[*?[{]/.test(rule.path)))
    for await (const project of gitlab.projects({ membership: true })) {
      if (found.size >= mostProjects) break
      const rule = projectFor(config, project.pathWithNamespace)
      if (rule !== null && rules.includes(rule) && !project.archived) found.set(project.pathWithNamespace, rule)
    }
  return [...found].map(([path, rule]) => ({ path, rule }))
}

async function seeProject(
  config: Config,
  gitlab: GitLab,
  maintainer: GitLab | null,
  path: string,
  rule: ProjectConfig,
): Promise<ProjectSeen> {
  const evidenceBranch = rule.evidence.branch
  const blank = {
    ...{ path, evidenceBranch, archived: false, bot: 'the user of the token', role: 0, evidence: null },
    ...{ protectedBranches: [], hooks: null, webhookUrl: `${config.publicUrl}/webhooks/gitlab` },
  }
  try {
    const me = await gitlab.me()
    const project = await gitlab.project(path)
    const [role, branch, protectedBranches, hooks] = await Promise.all([
      gitlab.memberAccess(project.id, me.id),
      gitlab.branch(project.id, evidenceBranch),
      gitlab.protectedBranches(project.id).catch(failed),
      config.gitlab.webhook ? seeHooks(maintainer ?? gitlab, project.id).catch(failed) : null,
    ])
    const evidence = branch === null ? null : { canPush: branch.canPush, protected: branch.protected }
    return {
      ...blank,
      failed: null,
      archived: project.archived,
      bot: me.username,
      role,
      evidence,
      protectedBranches,
      hooks,
    }
  } catch (error) {
    return { ...blank, failed: failed(error) }
  }
}

async function seeHooks(gitlab: GitLab, projectId: number): Promise<Exclude<ProjectSeen['hooks'], Failed | null>> {
  const hooks = await gitlab.hooks(projectId)
  return Promise.all(
    hooks
      .slice(0, 20)
      .map(async hook => ({ hook, deliveries: await gitlab.hookDeliveries(projectId, hook.id).catch(failed) })),
  )
}

function failed(error: unknown): Failed {
  return { error: describeError(error), kind: isGitLabError(error) ? error.kind : 'other' }
}
