import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ConfigError, describeError } from '../errors.ts'
import { readClusters } from './cluster-section.ts'
import type { Report } from './fields.ts'
import { asDatabaseUrl, asTimeZone, defaultIntervals } from './load.ts'
import { readProjects } from './project-section.ts'
import type { ClusterConfig, RunAs } from './schema.ts'
import { openSection } from './section.ts'
import { substitute } from './substitute.ts'
import { localPath, type Surroundings } from './values.ts'
import { locateYaml } from './yaml.ts'

/** Where the service keeps its data. */
export interface Place {
  readonly file: string
  readonly dataDir: string
  readonly timeZone: string
  /** null: the embedded database. A function, since whoever only speaks to the running service need not have the variables that it names. */
  readonly databaseUrl: () => string | null
}

const keys = ['data_dir', 'database_url', 'time_zone']

/**
 * The few lines of the configuration that an operator's command needs. An operator's shell has not the service's secrets in its environment;
 * what is wrong or missing elsewhere in the file is of no concern here.
 */
export async function readPlace(path: string, env: Readonly<Record<string, string | undefined>>): Promise<Place> {
  const { file, section, around, refuse } = await openSome(path, env, keys)
  const dataDir = section?.read('data_dir', localPath(around)) ?? resolve(around.folder, 'data')
  const timeZone = section?.read('time_zone', asTimeZone) ?? 'UTC'
  const databaseUrl = section?.read('database_url', asDatabaseUrl) ?? null
  refuse(key => key === 'data_dir')
  return {
    file,
    dataDir,
    timeZone,
    databaseUrl() {
      refuse(key => key === 'database_url')
      return databaseUrl
    },
  }
}

/** Clusters and the accounts on them, for a command that reaches them without the service. */
export interface Site {
  readonly file: string
  readonly dataDir: string
  readonly clusterNames: readonly string[]
  /** null where there is none of that name; throws ConfigError where it is written wrongly. */
  cluster(name: string): ClusterConfig | null
  /** The account that a project has of its own on a cluster. */
  runAs(cluster: string, user: string): RunAs | null
}

export async function readSite(path: string, env: Readonly<Record<string, string | undefined>>): Promise<Site> {
  const { file, section, around, report, refuse } = await openSome(path, env, ['data_dir', 'clusters', 'projects'])
  const dataDir = section?.read('data_dir', localPath(around)) ?? resolve(around.folder, 'data')
  refuse(key => key === 'data_dir')
  const clusters = section?.read('clusters', (node, at) =>
    readClusters(node, at, { ...defaultIntervals, shortestPoll: 0 }, around, report),
  )
  const names = clusters?.names ?? []
  const projects = section?.read('projects', (node, at) => readProjects(node, at, names, around, report)) ?? []
  return {
    file,
    dataDir,
    clusterNames: names,
    cluster(name) {
      if (!names.includes(name)) return null
      refuse(key => key.startsWith(`clusters.${name}.`))
      return clusters?.clusters.find(cluster => cluster.name === name) ?? null
    },
    runAs: (cluster, user) =>
      projects.find(project => project.runAs?.user === user && project.clusters.includes(cluster))?.runAs ?? null,
  }
}

/** Some top-level keys of the file; mistakes are kept until somebody needs what they are in. */
async function openSome(path: string, env: Readonly<Record<string, string | undefined>>, wanted: readonly string[]) {
  const file = resolve(path)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new ConfigError(path, [
      `The file cannot be read: ${describeError(error)}. Give its path with \`--config FILE\` or in COMPOPS_CONFIG.`,
    ])
  }
  const yaml = locateYaml(text)
  if (!yaml.ok || yaml.root.kind !== 'map')
    throw new ConfigError(path, [`It is no configuration. \`compops check\` says what is wrong with it.`])
  const mistakes = new Map<string, string>()
  const report: Report = (at, key, message, remedy) => {
    if (!mistakes.has(key))
      mistakes.set(key, `line ${at.line}, ${key}: ${message}${remedy === null ? '' : ` ${remedy}`}`)
  }
  const entries = yaml.root.entries.filter(entry => wanted.includes(entry.key))
  const root = substitute({ ...yaml.root, entries }, '', env, report)
  const section = openSection(root, '', 'the configuration', wanted, report)
  const around: Surroundings = { folder: dirname(file), env, warn: () => {} }
  return {
    file,
    section,
    around,
    report,
    refuse(concerns: (key: string) => boolean): void {
      const found = [...mistakes].filter(([key]) => concerns(key)).map(([, mistake]) => mistake)
      if (found.length > 0) throw new ConfigError(path, found)
    },
  }
}
