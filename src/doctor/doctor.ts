import { type Config, type ProjectConfig, projectFor, type SecretSource, secretValues } from '../config/index.ts'
import { clusterConfigOf, connectionsOf, openConnection } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { createGitLab, fixedToken, type GitLab, isGitLabError } from '../gitlab/gitlab.ts'
import { loadDialects } from '../scheduler/index.ts'
import { concludeCluster } from './cluster.ts'
import { type ComputeOptions, tryCompute } from './compute.ts'
import { type Finding, findingsAbout, sorted } from './finding.ts'
import { concludeInstance, concludeProject, concludeSharing, type Failed, type ProjectSeen } from './gitlab.ts'

export interface DoctorOptions {
  /** A cluster's name or a project's path; null: everything. */
  readonly only: string | null
  /** A Maintainer's token: only such a one sees webhooks. Used for looking, never kept. */
  readonly maintainerToken: string | null
  readonly now: () => Date
  /** Milliseconds for each look; for tests. */
  readonly patience?: number
  /** Whether and how a tiny job is sent to each cluster; left out: none is. `alone`: nothing else is looked at. */
  readonly compute?: Omit<ComputeOptions, 'now'> & { readonly alone: boolean }
}

/** Nobody is waited for longer; a peer or a project that hangs delays no other. */
const usualPatience = 150_000
/** Projects that are looked at side by side: each makes a handful of calls at once. */
const sideBySide = 4
/** Projects of one configuration that are looked at. */
const mostProjects = 50

/** Looks at every cluster and project of the configuration, side by side, and says what is not well. Changes nothing, but for the tiny job of `compute`, which is removed again. */
export async function examine(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const { only } = options
  const clusters = connectionsOf(config).filter(name => only === null || name === only || name.split('#')[0] === only)
  const aboutCluster = only !== null && clusters.length > 0
  const aboutProject = only !== null && !aboutCluster
  if (aboutProject && projectFor(config, only) === null)
    throw new CompopsError(
      `${JSON.stringify(only)} is neither a cluster (${config.clusters.map(({ name }) => name).join(', ')}) nor a project that a rule of ${config.file} matches`,
    )
  await loadDialects(config.clusters.map(cluster => cluster.scheduler))
  if (aboutProject && options.compute !== undefined)
    throw new CompopsError('a job is sent to a cluster: name one, or none for all of them')
  const looks = [
    ...(options.compute === undefined ? [] : clusters.map(name => compute(config, name, options))),
    ...(options.compute?.alone === true ? [] : others(config, clusters, aboutCluster, options)),
  ]
  return sorted((await Promise.all(looks)).flat())
}

function others(
  config: Config,
  clusters: readonly string[],
  aboutCluster: boolean,
  options: DoctorOptions,
): Promise<Finding[]>[] {
  const { only } = options
  return [
    ...(only === null || aboutCluster
      ? clusters.map(name => within(name, 'ssh', options, () => seeCluster(config, name, options)))
      : []),
    ...(aboutCluster ? [] : [seeGitLab(config, options)]),
  ]
}

/** Waits as long as it is told to: a queue may be long. */
async function compute(config: Config, name: string, options: DoctorOptions): Promise<Finding[]> {
  const { alone: _, ...asked } = options.compute!
  const patience = asked.wait + usualPatience
  return within(name, 'compute', { ...options, patience }, () =>
    tryCompute(config, name, { ...asked, now: options.now }),
  )
}

/** A look that hangs or breaks is a finding about its subject, and of no other. */
async function within(
  about: string,
  check: string,
  { patience = usualPatience }: DoctorOptions,
  look: () => Promise<Finding[]>,
): Promise<Finding[]> {
  const { promise, resolve } = Promise.withResolvers<Finding[]>()
  const broken = (sentence: string) =>
    resolve(
      findingsAbout(about, say =>
        say('error', check, sentence, 'Run it again; if it stays, the log of the service may say more.'),
      ),
    )
  const timer = setTimeout(() => broken(`No answer within ${patience / 1000} s.`), patience)
  look().then(resolve, error => broken(`It could not be looked at: ${describeError(error)}.`))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

async function seeCluster(config: Config, connection: string, { now }: DoctorOptions): Promise<Finding[]> {
  const { scheduler, defaults, ssh, maxSubmitted } = clusterConfigOf(config, connection)
  const cluster = openConnection(config, connection, { now, lookOnly: true })
  try {
    const seen = await cluster.examine({ defaults, sessions: ssh !== null })
    return concludeCluster({ name: connection, scheduler, root: cluster.root, maxSubmitted, seen })
  } finally {
    await cluster.close()
  }
}

/** A token, and the rules whose projects it serves. */
interface Served {
  readonly source: SecretSource
  readonly gitlab: GitLab
  readonly rules: readonly ProjectConfig[]
}

/** The instance and the lists of projects within one deadline, each project within its own. */
async function seeGitLab(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const projects: { path: string; rule: ProjectConfig; gitlab: GitLab }[] = []
  const findings = await within('GitLab', 'reach', options, async () => {
    const served = await openTokens(config)
    const { findings, answers } = await seeInstance(config, served, options)
    if (!answers) return findings
    for (const { gitlab, rules } of served) {
      const { found, said } = await projectsOf(config, gitlab, rules, options.only)
      projects.push(...found.map(one => ({ ...one, gitlab })))
      findings.push(...said)
    }
    return findings
  })
  const maintainer = options.maintainerToken === null ? null : clientFor(config, options.maintainerToken)
  const seen: Finding[][] = []
  const waiting = projects.entries()
  const looker = async () => {
    for (const [index, { path, rule, gitlab }] of waiting)
      seen[index] = await within(path, 'project', options, async () =>
        concludeProject(await seeProject(config, gitlab, maintainer, path, rule)),
      )
  }
  await Promise.all(Array.from({ length: sideBySide }, looker))
  return [...findings, ...seen.flat()]
}

function clientFor(config: Config, token: string): GitLab {
  const { url, timeout } = config.gitlab
  return createGitLab({ url, token: fixedToken(token), deadline: timeout, hide: secretValues(config) })
}

async function openTokens(config: Config): Promise<Served[]> {
  const rulesOf = new Map<SecretSource, ProjectConfig[]>([[config.gitlab.token, []]])
  for (const rule of config.projects) {
    const source = rule.token ?? config.gitlab.token
    rulesOf.set(source, [...(rulesOf.get(source) ?? []), rule])
  }
  return Promise.all(
    [...rulesOf].map(async ([source, rules]) => ({ source, rules, gitlab: clientFor(config, await source.read()) })),
  )
}

async function seeInstance(
  config: Config,
  served: readonly Served[],
  options: DoctorOptions,
): Promise<{ findings: Finding[]; answers: boolean }> {
  const isMain = ({ source }: Served) => source === config.gitlab.token
  // One after the other: with a GitLab that does not answer, one deadline is enough.
  const version = await served.find(isMain)!.gitlab.version().catch(failed)
  const tokens = await Promise.all(
    served
      .filter(one => one.rules.length > 0 || isMain(one))
      .map(async one => ({
        of: isMain(one) ? [] : one.rules.map(rule => rule.path),
        info: await one.gitlab.tokenInfo().catch(failed),
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
  findings.push(...concludeSharing(served.map(({ rules }) => ({ paths: rules.map(rule => rule.path) }))))
  return { findings, answers: typeof version === 'string' || version.kind === 'unauthorized' }
}

/** A plain path is itself; a glob is what the token's user is a member of. What could not be listed is a finding: it was not looked at. */
async function projectsOf(
  config: Config,
  gitlab: GitLab,
  rules: readonly ProjectConfig[],
  only: string | null,
): Promise<{ found: { path: string; rule: ProjectConfig }[]; said: Finding[] }> {
  if (only !== null) {
    const rule = projectFor(config, only)
    return { found: rule !== null && rules.includes(rule) ? [{ path: only, rule }] : [], said: [] }
  }
  const isGlob = ({ path }: ProjectConfig) => /[*?[{]/.test(path)
  const found = new Map(rules.filter(rule => !isGlob(rule)).map(rule => [rule.path, rule]))
  const globs = rules.filter(isGlob).map(rule => rule.path)
  let left = false
  const listed = await (async () => {
    if (globs.length === 0) return null
    for await (const { pathWithNamespace: path, archived } of gitlab.projects({ membership: true })) {
      const rule = projectFor(config, path)
      if (rule === null || !rules.includes(rule) || archived) continue
      left = found.size >= mostProjects && !found.has(path)
      if (left) return null
      found.set(path, rule)
    }
    return null
  })().catch(failed)
  return {
    found: [...found].map(([path, rule]) => ({ path, rule })),
    said: findingsAbout('GitLab', say => {
      if (listed !== null)
        say(
          'error',
          'projects',
          `The projects of ${globs.join(', ')} cannot be listed: ${listed.error}. They were not all looked at.`,
          'Is the token good? Run it again, or look at one: `compops doctor GROUP/PROJECT`.',
        )
      if (left)
        say(
          'warn',
          'projects',
          `More than ${mostProjects} projects match ${globs.join(', ')}: the others were not looked at.`,
          'Look at one: `compops doctor GROUP/PROJECT`.',
        )
    }),
  }
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
    ...{ path, evidenceBranch, archived: false, bot: 'the user of the token', botId: 0, role: 0, evidence: null },
    ...{ protectedBranches: [], hooks: null, webhookUrl: `${config.publicUrl}/webhooks/gitlab` },
    ciVariables: null,
  }
  try {
    const me = await gitlab.me()
    const project = await gitlab.project(path)
    const [role, branch, protectedBranches, hooks, ciVariables] = await Promise.all([
      gitlab.memberAccess(project.id, me.id),
      gitlab.branch(project.id, evidenceBranch),
      gitlab.protectedBranches(project.id).catch(failed),
      config.gitlab.webhook ? seeHooks(maintainer ?? gitlab, project.id).catch(failed) : null,
      rule.ciVariables === undefined ? null : countCiVariables(config, rule.ciVariables, project.id).catch(failed),
    ])
    const evidence = branch === null ? null : { canPush: branch.canPush, protected: branch.protected }
    return {
      ...blank,
      failed: null,
      archived: project.archived,
      bot: me.username,
      botId: me.id,
      role,
      evidence,
      protectedBranches,
      hooks,
      ciVariables,
    }
  } catch (error) {
    return { ...blank, failed: failed(error) }
  }
}

async function countCiVariables(config: Config, token: SecretSource, projectId: number): Promise<number> {
  return (await clientFor(config, await token.read()).ciVariables(projectId)).length
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
