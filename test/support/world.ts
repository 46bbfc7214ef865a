import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { loadConfig } from '../../src/config/index.ts'
import { type Service, startService } from '../../src/main.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { openStore } from '../../src/store/open.ts'
import { type FastClock, letDatabaseFollow } from './clock.ts'
import { emptyDatabase } from './empty-database.ts'
import { endLeftovers } from './leftovers.ts'
import { startPostgres } from './postgres.ts'
import { quietPort } from './quiet-port.ts'
import { until } from './until.ts'

export interface WorldOptions {
  /** YAML of `clusters:`; default: this machine as `laptop`. `ROOT` stands for a fresh directory. */
  readonly clusters?: string
  /** YAML lines of the project's rule, behind `path: physics/*`. */
  readonly rule?: string
  /** More top-level YAML. */
  readonly more?: string
  /** More lines under `gitlab:`. */
  readonly gitlab?: string
  /** Default: embedded. Postgres where it is installed. */
  readonly database?: 'embedded' | 'postgres'
  /** A database of the test's own, perhaps behind a proxy. */
  readonly databaseUrl?: string
  readonly tokenFile?: boolean
  /** Pages: for who signs in with the simulated GitLab, or open on this machine. Default: none. */
  readonly dashboard?: 'sign in' | 'open'
  /** Usernames of who may hold clusters back there. */
  readonly admins?: readonly string[]
  readonly hook?: boolean
  /** Files beside the configuration. */
  readonly files?: Readonly<Record<string, string>>
  /** Time for service, database and GitLab alike: `fastClock(60)` makes a minute of a second. Programs and networks take as long as ever. */
  readonly clock?: FastClock
}

const finals: readonly string[] = ['success', 'failed', 'canceled', 'skipped']

/** A database of its own on one server per test file; null where PostgreSQL is not installed. */
let server: ReturnType<typeof startPostgres> | null = null
async function freshDatabase(): Promise<string | null> {
  server ??= startPostgres()
  return (await (await server)?.createDatabase()) ?? null
}

/** A whole small world: a GitLab with a project, a researcher and the service's bot, and the service itself, all on this machine. */
export async function startWorld(options: WorldOptions = {}) {
  const place = await mkdtemp(join(tmpdir(), 'compops-world-'))
  const databaseUrl = options.databaseUrl ?? (options.database === 'postgres' ? await freshDatabase() : null)
  if (databaseUrl === null) await cp(await emptyDatabase(), join(place, 'data'), { recursive: true })
  const { clock } = options
  if (clock !== undefined) {
    const store = await openStore({ databaseUrl, dataDir: join(place, 'data') })
    await letDatabaseFollow(store.db, clock)
    await store.close()
  }
  const simulator = await startSimulator({
    dataDir: join(place, 'gitlab'),
    ...(clock === undefined ? {} : { clock: clock.now }),
  })
  const alice = simulator.createUser({
    username: 'alice',
    name: 'Alice Archer',
    email: 'alice@example.org',
    password: 'secret-alice',
  })
  const bot = simulator.createUser({ username: 'compops', name: 'ComputationalOps', bot: true })
  const project = simulator.createProject({ path: 'physics/heat' })
  simulator.addMember(project.id, alice.id, 40)
  simulator.addMember(project.id, bot.id, 30)
  const token = simulator.createToken(bot.id, { name: 'compops', scopes: ['api'] }).token
  const secret = 'webhook-secret-of-the-story'
  const port = await quietPort()
  const application = simulator.createApplication({
    name: 'ComputationalOps',
    redirectUris: [`http://127.0.0.1:${port}/sign-in/back`],
  })
  const pages = {
    none: '',
    open: 'dashboard: { open: true }\n',
    'sign in': `dashboard: { application_id: "${application.id}", secret: "\${STORY_APPLICATION}"${options.admins === undefined ? '' : `, admins: [${options.admins.join(', ')}]`} }\n`,
  }[options.dashboard ?? 'none']
  const tokenFile = join(place, 'token')
  await writeFile(tokenFile, token, { mode: 0o600 })
  const configFile = join(place, 'compops.config.yml')
  const clusters = options.clusters ?? '  laptop: { scheduler: local, root: ROOT, poll_interval: 1s }'
  await writeFile(
    configFile,
    `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
data_dir: ${join(place, 'data')}
${databaseUrl === null ? '' : `database_url: ${databaseUrl}`}
time_zone: Europe/Berlin
${pages}gitlab:
  url: ${simulator.url}
  ${options.tokenFile === true ? `token_file: ${tokenFile}` : 'token: ${STORY_TOKEN}'}
  webhook_secret: \${STORY_SECRET}
${options.gitlab ?? ''}
clusters:
${clusters.replaceAll('ROOT', join(place, 'cluster'))}
projects:
  - path: physics/*
${options.rule ?? '    clusters: [laptop]'}
${options.more ?? 'intervals: { note: 200ms }'}
`,
  )
  for (const [path, text] of Object.entries(options.files ?? {})) {
    await mkdir(dirname(join(place, path)), { recursive: true })
    await writeFile(join(place, path), text)
  }
  const hook =
    options.hook === false
      ? null
      : simulator.addHook(project.id, {
          url: `http://127.0.0.1:${port}/webhooks/gitlab`,
          token: secret,
          push: true,
          tagPush: true,
          mergeRequests: true,
          notes: true,
          pipelines: true,
        })
  const logged: string[] = []
  let service: Service | null = null

  const world = {
    place,
    simulator,
    project,
    alice,
    bot,
    token,
    secret,
    port,
    tokenFile,
    configFile,
    hook,
    logged,
    url: `http://127.0.0.1:${port}`,
    get service(): Service {
      if (service === null) throw new Error('the service is not running')
      return service
    },
    async start(more: { readonly recover?: boolean } = {}) {
      const config = await loadConfig(configFile, {
        ...{ ...process.env, STORY_TOKEN: token, STORY_SECRET: secret, STORY_APPLICATION: application.secret },
      })
      service = await startService(config, {
        logTo: { write: (line: string) => logged.push(line) },
        ...(clock === undefined ? {} : { clock }),
        ...more,
      })
      return service
    },
    async stopService() {
      await service?.stop()
      service = null
    },
    /** The database of a stopped service, for what a kill would have left there. */
    openRows: () => openStore({ databaseUrl, dataDir: join(place, 'data') }),
    /** Alice pushes files to a branch. Returns the sha. */
    push(branch: string, files: Record<string, string | null>, message = 'a change', from?: string | null) {
      return simulator.commit({
        projectId: project.id,
        branch,
        files,
        message,
        authorId: alice.id,
        ...(from === undefined ? {} : { from }),
      })
    },
    openMergeRequest: (branch: string, title = 'A computation') =>
      simulator.createMergeRequest({
        projectId: project.id,
        sourceBranch: branch,
        targetBranch: 'main',
        title,
        authorId: alice.id,
      }),
    /** The statuses a person sees: name to state. */
    statuses: (sha: string): Record<string, string> =>
      Object.fromEntries(
        simulator
          .statuses(project.id, sha)
          .filter(status => !status.retried)
          .map(status => [status.name, status.status]),
      ),
    description: (sha: string, name: string) =>
      simulator
        .statuses(project.id, sha)
        .filter(status => !status.retried)
        .find(status => status.name === name)?.description ?? null,
    ourNotes: (iid: number) =>
      simulator.notes(project.id, iid).filter(note => note.authorId === bot.id && !note.system),
    note: (iid: number) =>
      simulator
        .notes(project.id, iid)
        .find(note => note.authorId === bot.id && note.body.includes('<!-- compops:tree')),
    evidence: (path: string) => simulator.readFile(project.id, 'compops/evidence', path),
    async evidenceOf(branch: string, sha: string): Promise<string | null> {
      const files = (await simulator.files(project.id, 'compops/evidence')) ?? []
      const path = files.find(
        name => name.startsWith(`runs/${branch}/${sha.slice(0, 8)}-`) && !name.includes('+outputs/'),
      )
      return path === undefined ? null : world.evidence(path)
    },
    /** Waits until the commit's tree status has one of these states, and every status of the commit an end. */
    async treeEnds(sha: string, states: readonly string[] = finals, seconds = 60): Promise<Record<string, string>> {
      const ended = () => {
        const statuses = world.statuses(sha)
        return (
          states.includes(statuses['compops/tree'] ?? '') &&
          Object.values(statuses).every(state => finals.includes(state)) &&
          statuses
        )
      }
      try {
        return await until(`compops/tree of ${sha.slice(0, 8)} to be ${states.join(' or ')}`, ended, seconds)
      } catch (error) {
        throw new Error(`${String(error)}\n${JSON.stringify(world.statuses(sha))}\n${logged.slice(-40).join('')}`)
      }
    },
    answers: () => simulator.deliveries().map(delivery => `${delivery.event}: ${delivery.responseBody}`),
    async close() {
      await world.stopService().catch(() => {})
      await simulator.close()
      endLeftovers(place)
      await rm(place, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
  await world.push('main', { 'README.md': '# Heat\n' }, 'first', null)
  await world.start()
  return world
}

export type World = Awaited<ReturnType<typeof startWorld>>

/** A world for one story, so that stories can wait side by side (`describe.concurrent`); a failure shows the end of the log. */
export async function inWorld(options: WorldOptions, story: (world: World) => Promise<void>): Promise<void> {
  const world = await startWorld({ database: 'postgres', ...options })
  try {
    await story(world)
  } catch (error) {
    throw new Error(`${String(error)}\n${world.logged.slice(-40).join('')}`, { cause: error })
  } finally {
    await world.close()
  }
}
