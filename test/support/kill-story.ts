import { watch } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { openFrontDoor } from './front-door.ts'
import { type ClusterOptions, computation, type WatchedCluster } from './kill-cluster.ts'
import { quietPort } from './quiet-port.ts'
import { createRandom } from './random.ts'
import { startResearcher } from './researcher.ts'
import { type Served, serve } from './service-process.ts'
import { until } from './until.ts'

/** Moments that can be seen from outside; the service is shot right after one of them, or at any time. */
export const moments = [
  'any time',
  'any time',
  'any time',
  'start-up',
  'delivery forwarded',
  'delivery answered',
  'run started',
  'sbatch begins',
  'sbatch ended',
  'squeue begins',
  'squeue ended',
  'sacct begins',
  'scancel begins',
  'job concluded',
  'run ended',
  'status sent',
  'note sent',
  'heads read',
  'commits fetched',
  'evidence pushed',
] as const
export type Moment = (typeof moments)[number]

export interface KillStoryOptions {
  readonly seed: number
  readonly kills: number
  readonly replicas: 1 | 2
  /** A database of its own; null: embedded. */
  readonly databaseUrl: string | null
  readonly cluster: (options: ClusterOptions) => Promise<WatchedCluster>
  readonly sbatch?: 'fast' | 'moody'
}

export interface Branch {
  readonly name: string
  /** Every commit that it was at, the newest last. */
  readonly shas: string[]
  deleted: boolean
  mergeRequest: number | null
}

/** What people do, as often as it stands here. */
const acts = ['new', 'new', 'new', 'more', 'more', 'more', 'more', 'open', 'open', 'fork', 'back', 'delete'] as const

/** ms that a start takes on a machine of ours that has nothing else to do. */
const idleStart = 600

const pollSeconds = 2
export const pollMs = pollSeconds * 1000

/**
 * A world in which the service is shot again and again while work keeps coming: the simulated GitLab and the cluster live on, as they would.
 * `play` ends with the service left alone until nothing is left to do.
 */
export async function startKillStory(options: KillStoryOptions) {
  // Two dice: how often people act must not change when the service is shot.
  const chance = createRandom(options.seed)
  const mood = createRandom(options.seed + 1_000_000)
  const place = await mkdtemp(join(tmpdir(), 'compops-kill-'))
  const cluster = await options.cluster({ dir: place, sbatch: options.sbatch ?? 'fast', pollSeconds })
  const simulator = await startSimulator({ dataDir: join(place, 'gitlab'), settings: { autoDisablingWebHooks: false } })
  const alice = simulator.createUser({ username: 'alice', name: 'Alice Archer', password: 'secret-alice' })
  const bot = simulator.createUser({ username: 'compops', name: 'ComputationalOps', bot: true })
  const project = simulator.createProject({ path: 'physics/heat' })
  simulator.addMember(project.id, alice.id, 40)
  simulator.addMember(project.id, bot.id, 30)
  const token = simulator.createToken(bot.id, { name: 'compops', scopes: ['api'] }).token
  await simulator.commit({
    projectId: project.id,
    branch: 'main',
    files: { 'README.md': '# Heat\n' },
    message: 'first',
    authorId: alice.id,
    from: null,
  })
  const researcher = await startResearcher(
    join(place, 'alice'),
    `${simulator.url.replace('//', '//alice:secret-alice@')}/physics/heat.git`,
  )

  const moment = createMoments()
  const ports: number[] = []
  while (ports.length < options.replicas) ports.push(await quietPort())
  const door = await openFrontDoor({
    ports,
    onForward: () => moment.is('delivery forwarded'),
    onAnswer: () => moment.is('delivery answered'),
  })
  const secret = 'webhook-secret-of-the-story'
  simulator.addHook(project.id, {
    url: `${door.url}/webhooks/gitlab`,
    token: secret,
    push: true,
    tagPush: true,
    mergeRequests: true,
    notes: true,
    pipelines: true,
  })
  const configs = await Promise.all(
    ports.map(async (port, replica) => {
      const file = join(place, `compops-${replica}.yml`)
      await writeFile(
        file,
        `listen: 127.0.0.1:${port}
public_url: ${door.url}
data_dir: ${join(place, `data-${replica}`)}
${options.databaseUrl === null ? '' : `database_url: ${options.databaseUrl}`}
time_zone: Europe/Berlin
gitlab: { url: "${simulator.url}", token: "\${STORY_TOKEN}", webhook_secret: "\${STORY_SECRET}" }
clusters:
${cluster.yaml}
projects:
  - path: physics/*
    clusters: [falcon]
    notify: finished
intervals: { note: 200ms, heads: 3s, settle: 4s, accounting: 8s, shortest_poll: 1s }
`,
      )
      return file
    }),
  )

  /** What every life of the service said, in order, each line with the life's number before it. */
  const logged: string[] = []
  const services: (Served | null)[] = ports.map(() => null)
  const readyAt: number[] = []
  let lives = 0
  let typicalStart = 1_500

  async function start(replica: number): Promise<Served> {
    const life = ++lives
    const begun = performance.now()
    const service = serve({
      configFile: configs[replica]!,
      env: { STORY_TOKEN: token, STORY_SECRET: secret },
      onLine(line) {
        logged.push(`${life} ${line}`)
        if (line.includes('"step":"start"')) moment.is('run started')
        else if (line.includes('"step":"poll"') && /"to":"(completed|failed)"/.test(line)) moment.is('job concluded')
        else if (line.includes('"step":"finish"')) moment.is('run ended')
      },
    })
    services[replica] = service
    service.ready.then(isReady => {
      if (!isReady) return
      readyAt[replica] = Date.now()
      typicalStart = 0.8 * typicalStart + 0.2 * (performance.now() - begun)
    })
    return service
  }

  // The moments that the cluster's side shows.
  let read = 0
  const calls = watch(join(place, 'calls'), () => {
    const lines = cluster.calls()
    for (const line of lines.slice(read)) {
      const [command, what] = line.split(' ')
      moment.is(`${command} ${what}` as Moment)
    }
    read = lines.length
  })
  // And those that GitLab's side shows. The researcher's own git is not meant.
  let atHerDesk = 0
  const see = (method: string, path: RegExp, name: Moment) =>
    simulator.faults.respond({ method, path }, { met: () => atHerDesk === 0 && moment.is(name) })
  see('POST', /\/statuses\//, 'status sent')
  see('GET', /info\/refs\?service=git-upload-pack/, 'heads read')
  see('POST', /git-upload-pack$/, 'commits fetched')
  see('POST', /git-receive-pack$/, 'evidence pushed')
  // Where a note is the moment, its answer never comes: it is there, and the service that made it does not know.
  let answerLost = false
  const notesOf = (iid: number) => simulator.notes(project.id, iid).filter(note => note.authorId === bot.id)
  const notesMade = () => simulator.mergeRequests(project.id).reduce((n, mr) => n + notesOf(mr.iid).length, 0)
  simulator.faults.respond(
    { method: 'POST', path: /\/notes$/ },
    {
      get resetAfterDoing() {
        return answerLost
      },
      met() {
        const before = notesMade()
        const look = setInterval(() => {
          if (notesMade() === before) return
          clearInterval(look)
          moment.is('note sent')
        }, 1)
        setTimeout(() => clearInterval(look), 2_000)
      },
    },
  )

  /** The researchers' side: what they did, and what should have come of it. */
  const branches: Branch[] = []
  const living = () => branches.filter(branch => !branch.deleted)
  let pushes = 0
  const file = () => {
    const seconds = () => mood.between(0, 1.5)
    const shape = mood.pick(['one', 'one', 'chain', 'fan', 'fails', 'broken'] as const)
    if (shape === 'one') return computation(cluster, { only: { seconds: seconds() } })
    if (shape === 'broken') return 'jobs: { only: { skript: [echo hello] } }\n'
    if (shape === 'fails')
      return computation(cluster, { bad: { seconds: 0.2, fails: true }, after: { seconds: 0, needs: ['bad'] } })
    if (shape === 'chain')
      return computation(cluster, { mesh: { seconds: seconds() }, solve: { seconds: seconds(), needs: ['mesh'] } })
    return computation(cluster, {
      mesh: { seconds: seconds() },
      left: { seconds: seconds() },
      right: { seconds: seconds() },
    })
  }
  async function act(): Promise<void> {
    const what = mood.pick([...acts])
    const old = living()
    const branch = old.length === 0 ? null : mood.pick(old)
    atHerDesk++
    try {
      if (branch === null || what === 'new' || (what === 'back' && branch.shas.length < 2)) {
        const name = `calc/${++pushes}`
        const sha = await researcher.push(name, { '.compops.yml': file() }, `computation ${pushes}`)
        branches.push({ name, shas: [sha], deleted: false, mergeRequest: null })
      } else if (what === 'more') {
        branch.shas.push(await researcher.push(branch.name, { '.compops.yml': file() }, `better ${++pushes}`))
      } else if (what === 'fork') {
        const name = `calc/${++pushes}`
        await simulator.createBranch(project.id, name, branch.shas.at(-1)!, alice.id)
        branches.push({ name, shas: [branch.shas.at(-1)!], deleted: false, mergeRequest: null })
      } else if (what === 'back') {
        const sha = mood.pick(branch.shas.slice(0, -1))
        await researcher.reset(branch.name, sha)
        branch.shas.push(sha)
      } else if (what === 'delete') {
        await researcher.remove(branch.name)
        branch.deleted = true
      } else if (branch.mergeRequest === null) {
        const { iid } = await simulator.createMergeRequest({
          projectId: project.id,
          sourceBranch: branch.name,
          targetBranch: 'main',
          title: branch.name,
          authorId: alice.id,
        })
        branch.mergeRequest = iid
      }
    } finally {
      atHerDesk--
    }
  }

  async function traffic(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await act()
      await sleep(mood.between(0, 1.6) * typicalStart)
    }
  }

  const killed = new Map<string, number>()
  async function lifeAndDeath(aim: Moment): Promise<void> {
    const replica = Math.floor(chance.next() * options.replicas)
    for (const [other, service] of services.entries()) if (other !== replica && !service?.isAlive()) await start(other)
    const service = services[replica]?.isAlive() ? services[replica]! : await start(replica)
    let hit: string = aim
    answerLost = aim === 'note sent'
    if (aim === 'start-up') await sleep(chance.between(0, 1.2) * typicalStart)
    else {
      await Promise.race([service.ready, service.ended])
      // Long enough for something to happen, however slow the machine is today.
      const life = Math.max(2_500, 1.5 * typicalStart)
      if (aim === 'any time') await sleep(chance.between(0, life))
      else if (await moment.comes(aim, 2 * life)) await sleep(chance.chance(0.5) ? 0 : chance.between(0, 40))
      else hit = 'any time'
    }
    if (!service.isAlive()) throw new Error(`life ${lives} ended by itself:\n${tail(20)}`)
    await service.kill(chance.chance(0.5) ? 'alone' : 'with its children')
    logged.push(`${lives} -- killed: ${hit}`)
    killed.set(hit, (killed.get(hit) ?? 0) + 1)
  }

  const tail = (n: number) => logged.slice(-n).join('\n')
  const metric = async (port: number, name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const values = text.split('\n').filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  return {
    place,
    options,
    cluster,
    simulator,
    project,
    bot,
    door,
    branches,
    logged,
    killed,
    configs,
    lives: () => lives,
    /** Shoots the service as often as agreed while people work, then starts it for the last time and waits until nothing moves any more. */
    async play(): Promise<{ lastStart: number; slowness: number }> {
      // The very first start makes the database: it is shot there too. What is pushed before the project is known is its baseline and runs not.
      for (let first = 0; first < 3; first++) await lifeAndDeath('start-up')
      const service = services[0]?.isAlive() ? services[0] : await start(0)
      await service.ready
      await until('the baseline', () => logged.some(line => line.includes('its heads are the baseline')), 60)
      const working = new AbortController()
      const people = traffic(working.signal)
      const aims = chance.shuffled(
        Array.from({ length: options.kills - 3 }, (_, i): Moment => moments[i % moments.length]!),
      )
      for (const aim of aims) await lifeAndDeath(aim)
      working.abort()
      await people
      const last: Served[] = []
      for (const [replica, service] of services.entries()) if (!service?.isAlive()) last.push(await start(replica))
      for (const service of last)
        if (!(await service.ready)) throw new Error(`the last start did not come up:\n${tail(20)}`)
      const lastStart = Math.max(...readyAt)
      let quietSince = Number.POSITIVE_INFINITY
      await until(
        'nothing to be left to do',
        async () => {
          await sleep(400)
          const open = await metric(ports[0]!, 'compops_jobs')
          const due = await metric(ports[0]!, 'compops_reports_due')
          const busy =
            open + due > 0 || living().some(one => !this.isTold(one.shas.at(-1)!)) || this.unfinished().length > 0
          if (busy) quietSince = Number.POSITIVE_INFINITY
          else quietSince = Math.min(quietSince, Date.now())
          return Date.now() - quietSince > 2 * pollMs
        },
        240,
      ).catch(error => {
        const untold = living().filter(one => !this.isTold(one.shas.at(-1)!))
        logged.push(
          `${lives} -- ${String(error)}; not told: ${JSON.stringify(untold)}; unfinished: ${this.unfinished().join(', ')}`,
        )
      })
      return { lastStart, slowness: typicalStart / idleStart }
    },
    /** Whether the commit's statuses are all there and all have ended. */
    isTold(sha: string): boolean {
      const statuses = simulator.statuses(project.id, sha)
      return (
        statuses.some(status => status.name === 'compops/tree') &&
        statuses.every(status => /^(success|failed|canceled|skipped)$/.test(status.status))
      )
    },
    /** Statuses of any commit that have not ended: what a dying service sent late is closed by the sweep, minutes later. */
    unfinished(): string[] {
      const shas = new Set(branches.flatMap(branch => branch.shas))
      return [...shas].flatMap(sha =>
        simulator
          .statuses(project.id, sha)
          .filter(status => !/^(success|failed|canceled|skipped)$/.test(status.status))
          .map(status => `${status.name} of ${status.ref} at ${sha.slice(0, 8)} is ${status.status}`),
      )
    },
    /** Stops the service, so that its database can be read. */
    async silence() {
      for (const service of services) await service?.kill('with its children')
    },
    async close() {
      for (const service of services) await service?.kill('with its children').catch(() => {})
      calls.close()
      await door.close()
      await simulator.close()
      await cluster.stop()
      if (process.env.COMPOPS_KILL_KEEP === undefined)
        await rm(place, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

export type KillStory = Awaited<ReturnType<typeof startKillStory>>

/** Tells whoever waits for a moment that it has come. */
function createMoments() {
  const waiting = new Set<{ name: Moment; tell: () => void }>()
  return {
    is(name: Moment) {
      for (const one of waiting) if (one.name === name) one.tell()
    },
    async comes(name: Moment, ms: number): Promise<boolean> {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const one = { name, tell: () => resolve(true) }
      waiting.add(one)
      const timer = setTimeout(() => resolve(false), ms)
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        waiting.delete(one)
      }
    },
  }
}
