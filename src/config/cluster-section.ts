import type { Resources } from '../model/job-spec.ts'
import { type ResourceName, readResource, resourceKeys, resourceNames } from '../model/resources.ts'
import { asLine, asScalar, asSwitch, isEmpty, join, listOf, nameOf, type Read, type Report } from './fields.ts'
import { nearest } from './nearest.ts'
import { packagesReader } from './packages-section.ts'
import { type ClusterConfig, type Intervals, schedulers } from './schema.ts'
import { openSection } from './section.ts'
import { asTransport, sshReader } from './ssh-section.ts'
import { asInterval, readableFile, remoteDirectory, type Surroundings, sizeUpTo, wholeNumber } from './values.ts'
import { type Located, quote } from './yaml.ts'

const clusterKeys = [
  'scheduler',
  'ssh',
  'transport',
  'root',
  'poll_interval',
  'max_poll_interval',
  'max_submitted',
  'events',
  'allow_directives',
  'defaults',
  'keep',
  'path',
  'packages',
  'transfer_limit',
]

const gibi = 1024 ** 3

export function readCluster(
  name: string,
  node: Located,
  path: string,
  intervals: Intervals,
  around: Surroundings,
  report: Report,
): ClusterConfig | undefined {
  const section = openSection(node, path, 'a cluster', clusterKeys, report)
  if (section === undefined) return undefined
  const scheduler = section.need(
    'scheduler',
    asScheduler(around),
    `Write \`scheduler: slurm\`; it is ${schedulerNames}, the last to run jobs without a scheduler.`,
  )
  const transport = section.read('transport', asTransport) ?? 'ssh2'
  const ssh = section.has('ssh') ? section.read('ssh', sshReader(transport, around)) : null
  if (ssh === null && section.has('transport'))
    section.complain('transport', '`transport` needs `ssh`.', 'Leave it out: commands run on this machine.')
  const root = section.need(
    'root',
    remoteDirectory,
    'Write the directory on the cluster where runs shall live, for example `root: /scratch/compops`.',
  )
  const pollInterval = section.read('poll_interval', asInterval) ?? (scheduler === 'local' ? 2_000 : 15_000)
  if (scheduler !== 'local' && pollInterval < intervals.shortestPoll)
    section.complain(
      'poll_interval',
      `\`poll_interval\` is shorter than ${intervals.shortestPoll / 1_000} s.`,
      'Write at least `5s`: every manual of a scheduler asks not to poll faster.',
    )
  if (scheduler === 'local' && pollInterval < 50)
    section.complain('poll_interval', '`poll_interval` is shorter than 50 ms.', 'Write for example `1s`.')
  const maxPollInterval = section.read('max_poll_interval', asInterval) ?? Math.max(120_000, pollInterval)
  if (maxPollInterval < pollInterval)
    section.complain(
      'max_poll_interval',
      '`max_poll_interval` is shorter than `poll_interval`.',
      'Make it at least as long.',
    )
  const maxSubmitted = section.read('max_submitted', wholeNumber(1, 1_000_000)) ?? 500
  const allowDirectives = section.read('allow_directives', listOf(asDirectivePattern)) ?? []
  const events = section.read('events', asSwitch) ?? true
  const defaults = section.read('defaults', readDefaults) ?? {}
  const searchPath = section.read('path', asSearchPath)
  const keepDays = section.read('keep', readKeep)
  const transferLimit = section.read('transfer_limit', sizeUpTo(1024 * gibi)) ?? gibi
  const packages = section.read('packages', packagesReader(around)) ?? null
  if (scheduler === undefined || ssh === undefined || root === undefined) return undefined
  return {
    name,
    scheduler,
    ssh,
    root,
    pollInterval,
    maxPollInterval,
    maxSubmitted,
    transferLimit,
    events,
    allowDirectives,
    defaults,
    ...(searchPath === undefined ? {} : { path: searchPath }),
    ...(keepDays === undefined ? {} : { keepDays }),
    ...(packages === null ? {} : { packages }),
  }
}

/** `slurm`, `lsf`, `pbs`, `sge` or `local` */
const schedulerNames = schedulers
  .map(name => `\`${name}\``)
  .join(', ')
  .replace(/, ([^,]*)$/, ' or $1')

/** A name that we know, or a file of the site's own, by a path as a module has it: `./my_scheduler.ts`. */
function asScheduler(around: Surroundings): Read<ClusterConfig['scheduler']> {
  return (node, path, report) => {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return undefined
    const { value } = scalar
    const known = schedulers.find(name => name === value)
    if (known !== undefined) return known
    if (typeof value === 'string' && /^(\.{1,2}|~)?\//.test(value)) {
      if (/\.m?[jt]s$/.test(value)) return readableFile(around)(node, path, report)
      report(
        node,
        path,
        `${quote(value)} is no module.`,
        "Name a file of the site's own that ends in `.ts`, `.mts`, `.js` or `.mjs`.",
      )
      return undefined
    }
    const near = nearest(scalar.source, schedulers)
    report(
      node,
      path,
      `There is no scheduler ${quote(scalar.source)}.`,
      `${near === null ? '' : `Did you mean \`${near}\`? `}It is ${schedulerNames}.`,
    )
    return undefined
  }
}

/** `keep: { days: 30 }` */
const readKeep: Read<number> = (node, path, report) =>
  openSection(node, path, '`keep`', ['days'], report)?.need(
    'days',
    wholeNumber(1, 36_500),
    'Write after how many days run directories are removed, for example `keep: { days: 30 }`.',
  )

export const asDirectivePattern: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined || /^--?[A-Za-z*]/.test(text)) return text
  report(
    node,
    path,
    `${quote(text)} is not an option.`,
    'Write an option of the scheduler, `*` for anything: `--hint=*`.',
  )
  return undefined
}

const asSearchPath: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined || text.split(':').every(part => part.startsWith('/'))) return text
  report(
    node,
    path,
    `${nameOf(path)} must hold whole paths.`,
    'Write directories of the cluster with `:` between, for example `/opt/slurm/bin`.',
  )
  return undefined
}

/** Resources as a job would ask for them, other tools' names included. */
export const readDefaults: Read<Resources> = (node, path, report) => {
  const section = openSection(node, path, '`defaults` of a cluster', everyName, report)
  if (section === undefined) return undefined
  const resources: Record<string, unknown> = {}
  for (const name of resourceNames) {
    const { kind, aliases } = resourceKeys[name]
    const found = [[name, kind] as const, ...Object.entries(aliases)].filter(([key]) => section.has(key))
    const [first, second] = found
    if (first === undefined) continue
    if (second !== undefined)
      section.complain(second[0], `\`${first[0]}\` and \`${second[0]}\` mean the same.`, 'Keep one of them.')
    const value = section.read(first[0], (at, where, tell) => {
      const scalar = isEmpty(at) ? undefined : asScalar(at, where, tell)
      if (scalar === undefined) return undefined
      const parsed = readResource(first[1], scalar.value, !scalar.plain)
      if (parsed.ok) return parsed.value
      tell(at, where, `${nameOf(where)}: ${parsed.message}`, parsed.remedy)
      return undefined
    })
    if (value !== undefined) resources[name] = value
  }
  if (section.has('mem') && section.has('mem_per_cpu'))
    section.complain('mem_per_cpu', '`mem` and `mem_per_cpu` exclude each other.', 'Keep one of them.')
  return resources as Resources
}

const everyName: readonly string[] = resourceNames.flatMap((name: ResourceName) => [
  name,
  ...Object.keys(resourceKeys[name].aliases),
])

/** The map of clusters, each under its name. */
export function readClusters(
  node: Located,
  path: string,
  intervals: Intervals,
  around: Surroundings,
  report: Report,
): { clusters: ClusterConfig[]; names: string[] } {
  const clusters: ClusterConfig[] = []
  const names: string[] = []
  if (node.kind !== 'map') {
    report(
      node,
      path,
      '`clusters` must hold a name and, below it, keys for each cluster.',
      'Write `falcon:` and below it `scheduler: slurm`.',
    )
    return { clusters, names }
  }
  for (const entry of node.entries) {
    const here = join(path, entry.key)
    names.push(entry.key)
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(entry.key))
      report(
        entry,
        here,
        `${quote(entry.key)} cannot be the name of a cluster.`,
        'Use letters, digits, `_`, `.` and `-`.',
      )
    if (entry.value.kind !== 'map') reportUnknownShape(entry.value, here, report)
    else {
      const cluster = readCluster(entry.key, entry.value, here, intervals, around, report)
      if (cluster !== undefined) clusters.push(cluster)
    }
  }
  if (names.length === 0) report(node, path, 'There is no cluster.', 'Name at least one.')
  return { clusters, names }
}

function reportUnknownShape(node: Located, path: string, report: Report): void {
  report(
    node,
    path,
    `${nameOf(path)} must hold the keys of a cluster.`,
    'Write at least `scheduler` and `root` below it.',
  )
}
