import { join } from 'node:path'
import type { Clock } from './clock.ts'
import { type Cluster, type ClusterOptions, openCluster } from './cluster/cluster.ts'
import {
  type ClusterConfig,
  type Config,
  matchGlob,
  type ProjectConfig,
  projectFor,
  type SecretSource,
  secretValues,
} from './config/index.ts'
import { CompopsError, describeError } from './errors.ts'
import { type Gate, type Mirror, openMirror } from './git/mirror.ts'
import { isSuspect } from './git/suspect.ts'
import { createCircuit, createGitLab, fixedToken, type GitLab, type TokenSource } from './gitlab/gitlab.ts'
import type { Audit, Log, Secrets } from './log.ts'
import type { Metrics } from './metrics.ts'
import { newId } from './model/id.ts'
import { openRemote } from './remote/open.ts'
import type { RemoteEvent } from './remote/remote.ts'
import { dialectOf, loadDialects } from './scheduler/index.ts'
import { readDirectivesOf } from './scheduler/long-lines.ts'
import { openTemplates, type SpecCluster, type SpecContext, type Templates } from './spec/index.ts'
import { type Lease, unshared } from './store/leases.ts'
import type { Db, Store } from './store/open.ts'
import { rootMarkOf } from './store/root-mark.ts'
import { bots } from './store/schema.ts'
import { claimantOf } from './store/work.ts'
import type { Wake } from './wake.ts'
import { waysInto } from './way-in.ts'

/** Everything a verb needs, made once and passed on. No verb reads the environment or a global. */
export interface Context {
  readonly config: Config
  readonly store: Store
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  readonly audit: Audit
  readonly metrics: Metrics
  readonly wake: Wake
  /** Prepared environments of jobs, ours and the site's. */
  readonly templates: Templates
  /** What must never be shown. */
  readonly secrets: Secrets
  /** This process, as holder of leases. */
  readonly holder: string
  /** This lane of this process, as claimant of rows. */
  readonly claimant: string
  /** What whoever has this context acts as owner of: a cluster, a shared duty, a claimed row. */
  readonly lease: Lease
  /** The client with the token of the rule that matches the project, else the instance's. */
  gitlabOf(projectPath: string): GitLab
  gitlabs(): readonly GitLab[]
  /** The same GitLab as somebody sees it who asks us something: with their token, which nothing here keeps. */
  gitlabAs(token: string): GitLab
  clusterOf(connection: string): Cluster
  clusterConfig(connection: string): ClusterConfig
  /** Every account on a cluster that the configuration can use. */
  connections(): readonly string[]
  mirror(project: { id: number; path: string }): Promise<Mirror>
  /** Ids of every GitLab user we have ever been. */
  botIds(): ReadonlySet<number>
  /** Asks GitLab who we are, and remembers it. Throws what GitLab answers. */
  learnBots(): Promise<void>
  /** What does not work at present, by peer, with since when: for `/readyz`. */
  readonly troubles: Map<string, { readonly since: Date; readonly error: string }>
  /** Reads token files again: git, unlike the API client, cannot tell an expired token from a missing right. */
  renewTokens(): Promise<void>
  /** Aborts when the service stops: what would go on for ever ends then. */
  readonly stopping: AbortSignal
  close(): Promise<void>
}

export interface ContextParts {
  readonly config: Config
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly audit: Audit
  readonly metrics: Metrics
  readonly secrets: Secrets
  readonly wake: Wake
  readonly stopping?: AbortSignal
}

/** A cluster's name, with the account where a project has one of its own. */
export function connectionName(cluster: string, rule: ProjectConfig): string {
  return rule.runAs === null ? cluster : `${cluster}#${rule.runAs.user}`
}

/** Every account on a cluster that the configuration can use. */
export function connectionsOf(config: Config): string[] {
  return [...new Set(config.projects.flatMap(rule => rule.clusters.map(cluster => connectionName(cluster, rule))))]
}

export function clusterConfigOf(config: Config, connection: string): ClusterConfig {
  const name = connection.split('#')[0]!
  const cluster = config.clusters.find(one => one.name === name)
  if (cluster === undefined) throw new CompopsError(`the cluster ${name} is not configured (any more)`)
  return cluster
}

/** What `.compops.yml` is read against that the configuration knows: clusters, their languages, the site's limits. Their schedulers must have been loaded. */
export function specSite(
  config: Config,
  rule: Pick<ProjectConfig, 'clusters' | 'policy'>,
): Pick<SpecContext, 'clusters' | 'readBatchDirectives' | 'allowedDirective' | 'policy'> {
  const dialectFor = ({ name }: SpecCluster) => dialectOf(clusterConfigOf(config, name).scheduler)
  return {
    clusters: rule.clusters.map(name => {
      const { scheduler, defaults, allowDirectives } = clusterConfigOf(config, name)
      const { name: dialectName, prefix } = dialectOf(scheduler)
      return { name, dialectName, directivePrefix: prefix, defaults, allowDirectives }
    }),
    readBatchDirectives: (cluster, text) => readDirectivesOf(dialectFor(cluster), text),
    allowedDirective(cluster, directive) {
      const allowed = dialectFor(cluster).allowedDirective(cluster.allowDirectives, directive)
      const own = rule.policy?.directives ?? null
      if (allowed !== true || own === null || dialectFor(cluster).allowedDirective(own, directive) === true)
        return allowed
      return "the site's policy for this project does not list it"
    },
    ...(rule.policy === undefined ? {} : { policy: rule.policy }),
  }
}

/** Opens an account on a cluster; nothing is connected before something is asked. Its scheduler must have been loaded. */
export function openConnection(
  config: Config,
  connection: string,
  options: Pick<ClusterOptions, 'mark' | 'lookOnly'> & {
    /** Below the configured root, which it gets; left out: that itself. */
    readonly rootBelow?: (root: string) => string
    readonly now: () => Date
    readonly onEvent?: (event: RemoteEvent) => void
  },
): Cluster {
  const { onEvent, rootBelow = root => root, ...others } = options
  const cluster = clusterConfigOf(config, connection)
  const runAs =
    config.projects.find(
      rule => rule.runAs !== null && connection.endsWith(`#${rule.runAs.user}`) && rule.clusters.includes(cluster.name),
    )?.runAs ?? null
  const ways = waysInto(config, cluster, runAs)
  return openCluster({
    name: connection,
    dialect: dialectOf(cluster.scheduler),
    remote: openRemote(ways.login, onEvent),
    transfer: ways.transfer === null ? null : openRemote(ways.transfer, onEvent),
    nodes: ways.nodes,
    root: rootBelow(runAs?.root ?? cluster.root),
    settle: config.intervals.settle / 1000,
    events: cluster.events,
    ...others,
    ...(cluster.path === undefined ? {} : { shellPath: cluster.path }),
  })
}

export async function createContext(parts: ContextParts): Promise<Context> {
  const { config, store, clock, log, metrics, secrets } = parts
  for (const value of secretValues(config)) secrets.add(value)
  for (const { file, asked } of await loadDialects(config.clusters.map(cluster => cluster.scheduler)))
    log.info({ step: 'scheduler', file, asked }, `${file} keeps the contract of a scheduler`)

  const clients = new Map<SecretSource, GitLab>()
  const troubles: Context['troubles'] = new Map()
  // A new token is a new bot, whose events must be known as ours before they come back to us.
  const tokenChanged = () => {
    log.info({ step: 'gitlab' }, 'the token was replaced')
    parts.wake.call('introduce')
  }
  // One instance, one patience: whichever token or project met the trouble, the others need not meet it too.
  const circuit = createCircuit({ now: () => clock.now().getTime(), onBack: () => parts.wake.call('back') })
  for (const source of [config.gitlab.token, ...config.projects.map(rule => rule.token)]) {
    if (source === null || clients.has(source)) continue
    const onCall = (call: { method: string; route: string; status: number | string }) => {
      metrics.gitlabCalls.inc({ method: call.method, route: call.route, status: String(call.status) })
      // A token that was revoked while we run: who asks for our name finds it out, and says it.
      if (String(call.status) === '401' && !troubles.has('gitlab')) parts.wake.call('introduce')
    }
    clients.set(
      source,
      createGitLab({
        url: config.gitlab.url,
        token: await tokenSource(source, secrets, tokenChanged),
        now: () => clock.now().getTime(),
        wait: ms => clock.sleep(ms),
        deadline: config.gitlab.timeout,
        circuit,
        onCall,
      }),
    )
  }
  const clientOf = (rule: ProjectConfig | null) => clients.get(rule?.token ?? config.gitlab.token)!
  const ruleOf = (path: string) => projectFor(config, path)

  const clusters = new Map<string, Cluster>()
  const mirrors = new Map<number, { url: string; mirror: Promise<Mirror> }>()
  const bot = new Set<number>((await store.db.select({ id: bots.userId }).from(bots)).map(row => row.id))
  const connections = connectionsOf(config)

  /** Git waits where the instance is away, and besides for itself: one project's storage may be in trouble alone. */
  function gateOf(): Gate {
    const own = createCircuit({ now: () => clock.now().getTime(), onBack: () => parts.wake.call('back') })
    return {
      enter() {
        const away = circuit.pause() ?? 0
        if (away > 0) return away
        const ticket = own.enter()
        return 'refusedFor' in ticket ? ticket.refusedFor : (outcome, reason) => own.leave(ticket, outcome, reason)
      },
    }
  }

  const holder = newId()
  return {
    ...parts,
    stopping: parts.stopping ?? new AbortController().signal,
    templates: openTemplates(config.templates),
    db: store.db,
    holder,
    claimant: claimantOf(holder, 'main'),
    lease: unshared,
    gitlabOf: path => clientOf(ruleOf(path)),
    gitlabs: () => [...new Set(clients.values())],
    gitlabAs: token =>
      createGitLab({
        url: config.gitlab.url,
        // GitLab takes access tokens this way too.
        token: fixedToken(token, 'oauth'),
        now: () => clock.now().getTime(),
        wait: ms => clock.sleep(ms),
        deadline: config.gitlab.timeout,
        circuit,
        onCall: ({ method, route, status }) => metrics.gitlabCalls.inc({ method, route, status: String(status) }),
      }),
    clusterConfig: connection => clusterConfigOf(config, connection),
    connections: () => connections,
    clusterOf(connection) {
      const known = clusters.get(connection)
      if (known !== undefined) return known
      const cluster = openConnection(config, connection, {
        now: () => clock.now(),
        mark: rootMarkOf(store.db, connection),
        onEvent(event) {
          if (event.type === 'error')
            log.warn({ step: 'ssh', connection, err: describeError(event.error) }, 'connection trouble')
          else log.info({ step: 'ssh', connection, ...event }, `${connection} ${event.type}`)
        },
      })
      clusters.set(connection, cluster)
      return cluster
    },
    async mirror(project) {
      const url = `${config.gitlab.url}/${project.path}.git`
      const known = mirrors.get(project.id)
      if (known?.url === url && !isSuspect((await known.mirror).dir)) return known.mirror
      const source = ruleOf(project.path)?.token ?? config.gitlab.token
      const token = await tokenSource(source, secrets, tokenChanged)
      const mirror = openMirror({
        dir: join(config.dataDir, 'git', `${project.id}.git`),
        url,
        gitlabUrl: config.gitlab.url,
        token: token.current,
        deadline: config.gitlab.timeout * 6,
        gate: gateOf(),
        submoduleAllowed: path =>
          path === project.path || (ruleOf(project.path)?.submodules ?? []).some(glob => matchGlob(glob, path)),
        ...(config.gitlab.caFile === null ? {} : { caFile: config.gitlab.caFile }),
      })
      mirrors.set(project.id, { url, mirror })
      mirror.catch(() => mirrors.delete(project.id))
      return mirror
    },
    troubles,
    botIds: () => bot,
    async learnBots() {
      const failures: unknown[] = []
      // One token that is refused must not keep us from knowing the others' users.
      for (const client of new Set(clients.values())) {
        const me = await client.me().catch(error => {
          failures.push(error)
          return null
        })
        if (me === null) continue
        if (!bot.has(me.id))
          log.info({ step: 'gitlab', user: me.username, id: me.id }, `this service is ${me.username} on GitLab`)
        await store.db.insert(bots).values({ userId: me.id, username: me.username }).onConflictDoNothing()
        bot.add(me.id)
      }
      if (failures.length > 0) throw failures[0]
    },
    async renewTokens() {
      for (const source of clients.keys())
        await (await tokenSource(source, secrets, tokenChanged)).renew().catch(() => false)
    },
    async close() {
      await Promise.allSettled([...clusters.values()].map(cluster => cluster.close()))
      await parts.audit.close()
      await store.close()
    },
  }
}

const sources = new WeakMap<SecretSource, Promise<TokenSource>>()

/** One token for API and git alike: when one of them notices a replaced token_file, the other has the new one too. */
function tokenSource(secret: SecretSource, secrets: Secrets, onChange: () => void): Promise<TokenSource> {
  const known = sources.get(secret)
  if (known !== undefined) return known
  const made = (async () => {
    let current = await secret.read()
    return {
      current: () => current,
      async renew() {
        const next = await secret.read()
        const changed = next !== current
        secrets.add(next)
        current = next
        if (changed) onChange()
        return changed
      },
    }
  })()
  sources.set(secret, made)
  return made
}
