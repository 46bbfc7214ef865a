import {
  type ClusterConfig,
  type Config,
  loadConfig,
  type PackagesConfig,
  type ProjectConfig,
  type SecretSource,
  type SshConfig,
  type StationConfig,
  sharedAccounts,
} from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { CopyLimits } from '../model/copies.ts'
import { formatResource, type ResourceName } from '../model/resources.ts'
import { formatWalltime } from '../model/walltime.ts'
import { formatSize } from '../render/amounts.ts'
import { loadDialects } from '../scheduler/index.ts'
import { openTemplates } from '../spec/index.ts'
import { configPath, type RunCommand } from './command.ts'
import { formatTable } from './table.ts'

/** `compops check`: reads the configuration as the service would and says what it means. Exit code 1 where anything is wrong. Connects to nothing. */
export const run: RunCommand = async (args, io) => {
  const path = configPath(args, io.env)
  try {
    const config = await loadConfig(path, io.env)
    const own = await loadDialects(config.clusters.map(cluster => cluster.scheduler))
    const verdicts = own.map(
      ({ file, asked, dialect }) =>
        `  ${file} keeps the contract of a scheduler as ${dialect.name}: ${asked} members and questions.\n`,
    )
    io.stdout.write(`${describeConfig(config)}\n${verdicts.length === 0 ? '' : `\n${verdicts.join('')}`}`)
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    io.stderr.write(`${error.message}\n`)
    return 1
  }
}

/** What a configuration means, for people. Never shows a secret. */
export function describeConfig(config: Config): string {
  const { gitlab } = config
  const parts = [
    `${config.file} is right. Nothing was contacted: whether token, keys and clusters work, /readyz says once the service runs.`,
    formatTable([
      ['listens on', `${config.listen.host}:${config.listen.port}`],
      ['links lead to', config.publicUrl],
      [
        'database',
        config.databaseUrl === null
          ? 'embedded, under the data directory'
          : `PostgreSQL at ${hostOf(config.databaseUrl)}`,
      ],
      ['data directory', config.dataDir],
      ['time zone', config.timeZone],
      ['GitLab', gitlab.url],
      ['  token', describe(gitlab.token)],
      ...(gitlab.webhook
        ? [
            ['  webhook secret', describe(gitlab.webhookSecret)],
            ['  webhook signing token', describe(gitlab.webhookSigningToken)],
          ]
        : [['  webhooks', `off: heads and merge requests are looked at every ${formatInterval(gitlab.pollInterval)}`]]),
      ['  certificates', gitlab.caFile ?? 'those of the system'],
      [
        'templates',
        `${openTemplates(config.templates).names.join(', ')}${config.templates === null ? '' : ` (${config.templates})`}`,
      ],
    ]),
    formatTable([
      ['CLUSTER', 'SCHEDULER', 'REACHED BY', 'ROOT', 'POLLED EVERY', 'AT MOST', 'DEFAULTS', 'DIRECTIVES'],
      ...config.clusters.map(clusterRow),
    ]),
    config.projects.length === 0
      ? '  No projects.'
      : formatTable([
          ['PROJECTS', 'CLUSTERS', 'RUN AS', 'BRANCHES', 'STATUSES', 'NOTIFY', 'EVIDENCE', 'COLLECT', 'OWN SECRETS'],
          ...config.projects.map(projectRow),
        ]),
  ]
  const shared = sharedAccounts(config)
  if (shared.length > 0)
    parts.push(
      `  Accounts that projects share\n${formatTable(
        shared.map(s => [
          `${s.account}:`,
          s.projects.join(', '),
          s.agreed ? '(shared_account: true)' : '(not agreed, see below)',
        ]),
        '    ',
      )}`,
    )
  if (config.warnings.length > 0) parts.push(`  Worth knowing\n${config.warnings.map(w => `    ! ${w}`).join('\n')}`)
  return parts.join('\n\n')
}

function clusterRow(cluster: ClusterConfig): string[] {
  const defaults = Object.entries(cluster.defaults).map(
    ([name, value]) => `${name} ${formatResource(name as ResourceName, value)}`,
  )
  return [
    cluster.name,
    cluster.scheduler,
    describeWay(cluster.ssh),
    [
      cluster.root,
      ...(cluster.keepDays === undefined ? [] : [`runs kept ${cluster.keepDays} days`]),
      ...(cluster.packages === undefined ? [] : [`the service fetches packages (${namesOf(cluster.packages)})`]),
    ].join(', '),
    `${formatInterval(cluster.pollInterval)} to ${formatInterval(cluster.maxPollInterval)}`,
    `${cluster.maxSubmitted} jobs`,
    defaults.join(', ') || '-',
    cluster.allowDirectives.join(' ') || '-',
  ]
}

/** `python by pip` */
const namesOf = ({ by }: PackagesConfig) =>
  Object.entries(by)
    .map(([kind, program]) => `${kind} by ${program}`)
    .join(', ')

/** e.g. `ssh compops@falcon:22, through root@mack:22, data through compops@files:22`. */
function describeWay(ssh: SshConfig | null): string {
  if (ssh === null) return 'this machine'
  const at = (host: string) =>
    `${ssh.user === null ? '' : `${ssh.user}@`}${host}${ssh.port === null ? '' : `:${ssh.port}`}`
  const nodes = [ssh.host, ...ssh.fallbacks].map(at).join(' or ')
  if (ssh.transport === 'openssh') {
    const parts = [`openssh ${nodes}`]
    if (ssh.configFile !== null) parts.push(`as ${ssh.configFile} says`)
    if (ssh.session === 'required') parts.push('in sessions of `compops connect`')
    if (ssh.transfer !== null) parts.push(`data through ${ssh.transfer.host}`)
    return parts.join(', ')
  }
  const name = ({ user, host, port }: StationConfig) => `${user}@${host}:${port}`
  const parts = [`ssh ${nodes}`]
  if (ssh.jump.length > 0) parts.push(`through ${ssh.jump.map(name).join(', then ')}`)
  if (ssh.transfer !== null) parts.push(`data through ${name(ssh.transfer)}`)
  if (ssh.passphrase !== null) parts.push(`passphrase ${ssh.passphrase.describe()}`)
  return parts.join(', ')
}

function projectRow(project: ProjectConfig): string[] {
  const secrets = [
    ['token', project.token],
    ['webhook secret', project.webhookSecret],
    ['signing token', project.webhookSigningToken],
  ] as const
  const jobSecrets = Object.entries(project.secrets).map(
    ([name, secret]) => [`${name}${secret.protected ? ' (protected branches)' : ''}`, secret.source] as const,
  )
  return [
    project.path,
    project.clusters.join(', '),
    project.runAs === null ? "the cluster's account" : `${project.runAs.user} in ${project.runAs.root}`,
    project.branches?.join(' ') ?? 'with a .compops.yml',
    project.statuses,
    project.notify,
    project.evidence.branch,
    collectOf(project.collect),
    [...secrets, ['to read CI variables', project.ciVariables ?? null] as const, ...jobSecrets]
      .flatMap(([name, source]) => (source === null ? [] : [`${name} ${source.describe()}`]))
      .join(', ') || '-',
  ]
}

/** Small outputs that go into the evidence, e.g. `1.0 MiB a file, 10 MiB a run`. */
function collectOf({ file, run }: CopyLimits): string {
  return file === 0 || run === 0 ? 'off' : `${formatSize(file)} a file, ${formatSize(run)} a run`
}

function describe(source: SecretSource | null): string {
  return source === null ? 'not set' : source.describe()
}

function formatInterval(milliseconds: number): string {
  return milliseconds < 1_000 ? `${milliseconds} ms` : formatWalltime(milliseconds / 1_000)
}

function hostOf(url: string): string {
  const parsed = URL.parse(url)
  return parsed === null ? '?' : `${parsed.host}${parsed.pathname}`
}
