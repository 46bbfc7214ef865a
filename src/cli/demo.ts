import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/index.ts'
import { toError } from '../errors.ts'
import { type Service, startService } from '../main.ts'
import { type Simulator, startSimulator } from '../simulator/simulator.ts'
import { type Io, UsageError } from './command.ts'
import { checkDemo, type DemoCheck } from './demo/check.ts'
import { runGit } from './demo/git.ts'
import { type Line, openTerminal } from './demo/terminal.ts'
import { growTree } from './demo/tree.ts'

/**
 * `compops demo`: the whole path on this machine, without a GitLab and without a cluster. Stays up until Ctrl-C. `--once` ends by itself, with exit
 * code 0 only if status, note and evidence are all right; `--verbose` shows the service's log.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const values = options(args)
  const place = await mkdtemp(join(tmpdir(), 'compops-demo-'))
  const terminal = openTerminal()
  let simulator: Simulator | null = null
  let service: Service | null = null
  try {
    simulator = await startSimulator({ dataDir: join(place, 'gitlab'), port: await freePort(8929) })
    const seeded = await seed(simulator, place, await freePort(8080))
    const config = await loadConfig(seeded.configFile, {
      ...io.env,
      DEMO_TOKEN: seeded.token,
      DEMO_SECRET: seeded.secret,
    })
    service = await startService(config, values.verbose === true ? {} : { logTo: { write: () => true } })
    terminal.title(`ComputationalOps demo`, [
      ['simulated GitLab', simulator.url],
      ['dashboard', service.url],
    ])
    const check = await tell(simulator, seeded, terminal)
    if (values.once === true) {
      terminal.verdict(check)
      return check.every(one => one.ok) ? 0 : 1
    }
    terminal.invite(simulator.url, seeded.configFile)
    await new Promise<void>(resolve => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
    })
    return 0
  } finally {
    terminal.close()
    await service?.stop()
    await simulator?.close()
    await rm(place, { recursive: true, force: true, maxRetries: 5 })
  }
}

function options(args: readonly string[]): { once?: boolean; verbose?: boolean } {
  try {
    return parseArgs({ args: [...args], options: { once: { type: 'boolean' }, verbose: { type: 'boolean' } } }).values
  } catch (error) {
    throw new UsageError(toError(error).message)
  }
}

export interface Seeded {
  readonly projectId: number
  readonly clone: string
  readonly aliceId: number
  readonly token: string
  readonly secret: string
  readonly configFile: string
}

/** A project with one researcher, the service's bot, its webhook, and a configuration file as a site would write it. */
async function seed(simulator: Simulator, place: string, port: number): Promise<Seeded> {
  const alice = simulator.createUser({
    username: 'alice',
    name: 'Alice Archer',
    email: 'alice@example.org',
    password: 'demo',
  })
  const root = simulator.createUser({ username: 'root', name: 'Administrator', password: 'demo' })
  const bot = simulator.createUser({ username: 'compops', name: 'ComputationalOps', bot: true })
  const project = simulator.createProject({ path: 'physics/heat', visibility: 'public' })
  simulator.addMember(project.id, alice.id, 40)
  simulator.addMember(project.id, root.id, 50)
  simulator.addMember(project.id, bot.id, 30)
  const { token } = simulator.createToken(bot.id, { name: 'compops', scopes: ['api'] })
  const secret = `demo-${crypto.randomUUID()}`
  const clone = join(place, 'alice')
  await runGit(place, ['clone', '--quiet', withLogin(simulator.url, 'alice'), clone])
  await runGit(clone, ['config', 'user.name', 'Alice Archer'])
  await runGit(clone, ['config', 'user.email', 'alice@example.org'])
  await runGit(clone, ['checkout', '--quiet', '-B', 'main'])
  await cp(fileURLToPath(new URL('../../gitlab/heat', import.meta.url)), clone, { recursive: true })
  await runGit(clone, ['add', '.'])
  await runGit(clone, ['commit', '--quiet', '-m', 'Heat in a rod'])
  await runGit(clone, ['push', '--quiet', 'origin', 'main'])
  simulator.addHook(project.id, {
    url: `http://127.0.0.1:${port}/webhooks/gitlab`,
    token: secret,
    push: true,
    tagPush: true,
    mergeRequests: true,
    notes: true,
    pipelines: true,
  })

  const configFile = join(place, 'compops.config.yml')
  await writeFile(
    configFile,
    `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
data_dir: ${join(place, 'data')}
gitlab:
  url: ${simulator.url}
  token: \${DEMO_TOKEN}
  webhook_secret: \${DEMO_SECRET}
clusters:
  laptop:
    scheduler: local
    root: ${join(place, 'cluster')}
    poll_interval: 1s
projects:
  - path: physics/*
    clusters: [laptop]
    notify: finished
dashboard: { open: true }
intervals: { note: 1s }
`,
  )
  return { projectId: project.id, clone, aliceId: alice.id, token, secret, configFile }
}

/** Tells the story, one line a step, and looks at the end with the eyes of a person: statuses, note, evidence. */
async function tell(
  simulator: Simulator,
  seeded: Seeded,
  terminal: { line(text: string): Line },
): Promise<DemoCheck[]> {
  const { clone, projectId } = seeded
  await runGit(clone, ['checkout', '--quiet', '-b', 'calc/heat'])
  await runGit(clone, ['commit', '--quiet', '--allow-empty', '-m', 'First look at the rod'])
  const pushed = terminal.line('alice pushes calc/heat (3 jobs)')
  const from = performance.now()
  await runGit(clone, ['push', '--quiet', '-u', 'origin', 'calc/heat'])
  await simulator.idle()
  const delivery = simulator.deliveries().findLast(one => one.event === 'Push Hook')
  pushed.end(
    delivery === undefined
      ? 'no delivery'
      : `${JSON.parse(delivery.responseBody).result} in ${Math.round(delivery.durationMs)} ms`,
  )

  const opened = await simulator.createMergeRequest({
    projectId,
    sourceBranch: 'calc/heat',
    targetBranch: 'main',
    title: 'Heat in a rod',
    authorId: seeded.aliceId,
  })
  const sha = (await runGit(clone, ['rev-parse', 'HEAD'])).trim()
  const jobs = terminal.line('')
  const final = new Set(['success', 'failed', 'canceled', 'skipped'])
  const symbols: Record<string, string> = {
    pending: '○',
    running: '◐',
    success: '✓',
    failed: '✕',
    canceled: '⊘',
    skipped: '↷',
  }
  let check: DemoCheck[] = []
  const deadline = performance.now() + 120_000
  for (;;) {
    const statuses = simulator
      .statuses(projectId, sha)
      .filter(status => !status.retried && status.name !== 'compops/tree')
    const text = statuses
      .map(status => `${status.name.replace('compops/', '')} ${symbols[status.status] ?? '·'}`)
      .join('  ')
    const seconds = Math.round((performance.now() - from) / 1000)
    jobs.progress(
      text === '' ? 'the service reads .compops.yml' : text,
      statuses.filter(status => final.has(status.status)).length,
      3,
      `${seconds} s`,
    )
    check = await checkDemo(simulator, { projectId, sha, iid: opened.iid, branch: 'calc/heat' })
    if (check.every(one => one.ok) || performance.now() > deadline) break
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  jobs.end(`${Math.round((performance.now() - from) / 100) / 10} s`)
  check = [...check, ...(await growTree(simulator, seeded, terminal))]
  for (const one of check) terminal.line(one.what).end(one.ok ? one.found : `missing: ${one.found}`)
  return check
}

function withLogin(url: string, user: string): string {
  const address = new URL(`${url}/physics/heat.git`)
  address.username = user
  address.password = 'demo'
  return address.href
}

/** The wanted port where it is free, else any. */
function freePort(wanted: number): Promise<number> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => {
      const other = createServer()
      other.listen(0, '127.0.0.1', () => {
        const { port } = other.address() as { port: number }
        other.close(() => resolve(port))
      })
    })
    server.listen(wanted, '127.0.0.1', () => server.close(() => resolve(wanted)))
  })
}
