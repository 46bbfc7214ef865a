import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ConfigError, describeError } from '../errors.ts'
import { conflictingRoots, sharedAccounts } from './accounts.ts'
import { readClusters } from './cluster-section.ts'
import { readDashboard } from './dashboard-section.ts'
import { asLine, nameOf, type Read, type Report } from './fields.ts'
import { gitlabKeys, namesWebhookSecret, readGitLab } from './gitlab-section.ts'
import { matchGlob } from './glob.ts'
import { type LocatedProject, readProjects } from './project-section.ts'
import type { Config, Intervals, ProjectConfig, SecretSource, SshConfig } from './schema.ts'
import { openSection, type Section } from './section.ts'
import { substitute } from './substitute.ts'
import { asInterval, asUrl, localPath, readableDirectory, type Surroundings, sizeUpTo } from './values.ts'
import { type Located, locateYaml, quote } from './yaml.ts'

const topKeys = [
  'listen',
  'public_url',
  'data_dir',
  'bundles_limit',
  'database_url',
  'time_zone',
  'gitlab',
  'clusters',
  'projects',
  'templates',
  'dashboard',
  'intervals',
]

export const defaultIntervals: Intervals = {
  heads: 300_000,
  note: 10_000,
  accounting: 60_000,
  settle: 90_000,
  shortestPoll: 5_000,
  lease: 30_000,
  retry: 30_000,
}

const sizeLimit = 1_048_576

/** Reads `compops.config.yml`. Throws ConfigError with every mistake at once, each with its line, its key and what to do. */
export async function loadConfig(path: string, env: Readonly<Record<string, string | undefined>>): Promise<Config> {
  const file = resolve(path)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new ConfigError(path, [
      `The file cannot be read: ${describeError(error)}. Give its path with \`--config FILE\` or in COMPOPS_CONFIG.`,
    ])
  }
  const result = readConfig(text, file, env)
  if ('mistakes' in result) throw new ConfigError(path, result.mistakes)
  return result.config
}

interface Mistake {
  readonly line: number
  readonly column: number
  readonly path: string
  readonly text: string
}

/** The text of a configuration as a Config, or every mistake in it, sorted by line. Reads the files it names. */
export function readConfig(
  text: string,
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): { readonly config: Config } | { readonly mistakes: string[] } {
  const mistakes: Mistake[] = []
  const report: Report = (at, path, message, remedy) => {
    // What follows from a mistake already told about the same value (a variable that is not set) is no second mistake.
    if (mistakes.some(m => m.path === path && m.line === at.line)) return
    const where = `line ${at.line}${path === '' ? '' : `, ${path}`}`
    mistakes.push({
      line: at.line,
      column: at.column,
      path,
      text: `${where}: ${message}${remedy === null ? '' : ` ${remedy}`}`,
    })
  }
  const done = () => ({
    mistakes: mistakes.sort((a, b) => a.line - b.line || a.column - b.column).map(m => m.text),
  })
  if (Buffer.byteLength(text) > sizeLimit)
    return { mistakes: [`The file is larger than ${sizeLimit / 1_048_576} MiB. Is it the right one?`] }

  const yaml = locateYaml(text)
  if (!yaml.ok) {
    for (const m of yaml.mistakes) report(m, m.path, m.message, m.remedy)
    return done()
  }
  const warnings: string[] = []
  const around: Surroundings = { folder: dirname(file), env, warn: message => void warnings.push(message) }
  const root = substitute(yaml.root, '', env, report)
  const section = openSection(root, '', 'the configuration', topKeys, report)
  const config = section === undefined ? undefined : readTop(section, root, file, around, report)
  if (mistakes.length > 0 || config === undefined) return done()
  for (const shared of sharedAccounts(config))
    if (!shared.agreed)
      warnings.push(
        `${shared.projects.join(', ')}: jobs of all these projects run as ${shared.account} and can read and change each other's files. Give each a \`run_as\`, or say \`shared_account: true\` on each.`,
      )
  return { config: { ...config, warnings } }
}

function readTop(
  section: Section,
  root: Located,
  file: string,
  around: Surroundings,
  report: Report,
): Config | undefined {
  const listen = section.read('listen', asListen) ?? { host: '127.0.0.1', port: 8080 }
  const publicUrl = section.read('public_url', asUrl)
  if (!section.has('public_url'))
    around.warn('public_url is not set: links in GitLab lead to the address that the service listens on.')
  const dataDir = section.read('data_dir', localPath(around)) ?? resolve(around.folder, 'data')
  const bundlesLimit = section.read('bundles_limit', sizeUpTo(1024 ** 5)) ?? 50 * 1024 ** 3
  const databaseUrl = section.read('database_url', asDatabaseUrl) ?? null
  const timeZone = section.read('time_zone', asTimeZone) ?? 'UTC'
  const templates = section.read('templates', readableDirectory(around)) ?? null
  const intervals = section.read('intervals', readIntervals) ?? defaultIntervals

  const gitlabSection = section.need(
    'gitlab',
    (node, path, tell) => openSection(node, path, '`gitlab`', gitlabKeys, tell),
    'Write `gitlab:` and below it `url`, `token` and `webhook_secret`.',
  )
  const gitlab = gitlabSection === undefined ? undefined : readGitLab(gitlabSection, intervals, around)

  let clusterNames: readonly string[] = []
  const clusters = section.need(
    'clusters',
    (node, path, tell) => {
      const result = readClusters(node, path, intervals, around, tell)
      clusterNames = result.names
      return result.clusters
    },
    'Write `clusters:` and below it at least one, by name.',
  )
  const projects = section.need(
    'projects',
    (node, path, tell) => readProjects(node, path, clusterNames, around, tell),
    'Write `projects:` and below it, for example, `- path: group/project`.',
  )
  if (projects?.length === 0) around.warn('projects is empty: nothing will ever run.')
  if (gitlab?.webhook !== false) checkWebhookSecrets(gitlabSection, projects ?? [])
  if (gitlab === undefined || clusters === undefined || projects === undefined) return undefined

  const reached = publicUrl ?? `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
  const dashboard = section.read('dashboard', readDashboard({ publicUrl: reached, listen }, around)) ?? null
  const plainProjects = projects.map(({ place: _place, namesWebhookSecret: _names, ...project }) => project)
  projects.forEach((project, i) => {
    if (project.runAs === null) return
    const local = clusters.find(c => project.clusters.includes(c.name) && c.ssh === null)
    if (local !== undefined)
      report(
        project.place,
        `projects[${i}].run_as`,
        `\`run_as\` needs \`ssh\`, but the cluster ${quote(local.name)} has none.`,
        'Reach the cluster by `ssh`, or leave `run_as` out.',
      )
  })
  const config: Config = {
    file,
    listen,
    publicUrl: reached,
    dataDir,
    bundlesLimit,
    databaseUrl,
    timeZone,
    gitlab,
    clusters,
    projects: plainProjects,
    templates,
    dashboard,
    intervals,
    warnings: [],
  }
  for (const conflict of conflictingRoots(config)) {
    const i = plainProjects.indexOf(conflict.project as (typeof plainProjects)[number])
    report(
      projects[i]?.place ?? root,
      `projects[${i}]`,
      conflict.message,
      'Give each account a root of its own, side by side.',
    )
  }
  return config
}

/** A webhook that nothing protects would take orders from anybody who finds its address. */
function checkWebhookSecrets(gitlab: Section | undefined, projects: readonly LocatedProject[]): void {
  if (gitlab === undefined || namesWebhookSecret(gitlab)) return
  if (projects.length > 0 && projects.every(p => p.namesWebhookSecret)) return
  gitlab.complain(
    'webhook_secret',
    '`webhook_secret` is missing: anybody could send deliveries.',
    'Write `webhook_secret: "${COMPOPS_WEBHOOK_SECRET}"`, or `webhook_signing_token` (GitLab 19 and later), here or on each project.',
  )
}

const asListen: Read<{ host: string; port: number }> = (node, path, report) => {
  const text =
    node.kind === 'scalar' && typeof node.value === 'number' ? String(node.value) : asLine(node, path, report)
  if (text === undefined) return undefined
  const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9_.-]*)):(\d{1,9})$/.exec(text)
  const source = node.kind === 'scalar' ? node.source : text
  if (parts === null) {
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(source)} is not an address and a port.`,
      'Write for example `127.0.0.1:8080`.',
    )
    return undefined
  }
  const port = Number(parts[3])
  if (port > 65_535) {
    report(
      node,
      path,
      `${nameOf(path)}: ${port} is not a port.`,
      'Write a port from 1 to 65535, or 0 for any that is free.',
    )
    return undefined
  }
  return { host: parts[1] ?? (parts[2] || '0.0.0.0'), port }
}

export const asDatabaseUrl: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'postgres:' || url.protocol === 'postgresql:')) return text
  // Not shown: it holds a password.
  report(
    node,
    path,
    '`database_url` is not an address of PostgreSQL.',
    'Write `postgres://user:password@host/database`, or leave it out for the embedded database.',
  )
  return undefined
}

export const asTimeZone: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    report(node, path, `${quote(text)} is not a time zone.`, 'Write a name like `Europe/Berlin` or `UTC`.')
    return undefined
  }
}

const readIntervals: Read<Intervals> = (node, path, report) => {
  const section = openSection(
    node,
    path,
    '`intervals`',
    ['heads', 'note', 'accounting', 'settle', 'shortest_poll', 'lease', 'retry'],
    report,
  )
  if (section === undefined) return undefined
  return {
    heads: section.read('heads', asInterval) ?? defaultIntervals.heads,
    note: section.read('note', asInterval) ?? defaultIntervals.note,
    accounting: section.read('accounting', asInterval) ?? defaultIntervals.accounting,
    settle: section.read('settle', asInterval) ?? defaultIntervals.settle,
    shortestPoll: section.read('shortest_poll', asInterval) ?? defaultIntervals.shortestPoll,
    lease: section.read('lease', asInterval) ?? defaultIntervals.lease,
    retry: section.read('retry', asInterval) ?? defaultIntervals.retry,
  }
}

/** The entry that holds for a project: the first whose path matches; null where none does. */
export function projectFor(config: Pick<Config, 'projects'>, pathWithNamespace: string): ProjectConfig | null {
  return config.projects.find(project => matchGlob(project.path, pathWithNamespace)) ?? null
}

function passphrasesOf(ssh: SshConfig | null): (SecretSource | null)[] {
  if (ssh === null || ssh.transport === 'openssh') return []
  const stations = [ssh, ...ssh.jump, ...(ssh.transfer === null ? [] : [ssh.transfer, ...ssh.transfer.jump])]
  return [...new Set(stations.map(station => station.passphrase))]
}

/** Every secret source of a configuration. */
export function secretSources(config: Config): SecretSource[] {
  const { token, webhookSecret, webhookSigningToken } = config.gitlab
  return [
    token,
    webhookSecret,
    webhookSigningToken,
    config.dashboard?.kind === 'sign in' ? config.dashboard.secret : null,
    ...config.clusters.flatMap(c => passphrasesOf(c.ssh)),
    ...config.projects.flatMap(p => [
      p.token,
      p.webhookSecret,
      p.webhookSigningToken,
      p.runAs?.passphrase,
      ...Object.values(p.secrets).map(secret => secret.source),
      p.ciVariables,
    ]),
  ].filter(source => source !== null && source !== undefined)
}

/** Every value that must not reach a log line, the password of the database included. */
export function secretValues(config: Config): string[] {
  const url = config.databaseUrl === null ? null : URL.parse(config.databaseUrl)
  const password = url === null || url.password === '' ? [] : [url.password, decoded(url.password)]
  return [...new Set([...secretSources(config).flatMap(source => source.values()), ...password])]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
