import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ConfigError, describeError } from '../errors.ts'
import type { Report } from './fields.ts'
import { asDatabaseUrl, asTimeZone } from './load.ts'
import { openSection } from './section.ts'
import { substitute } from './substitute.ts'
import { localPath } from './values.ts'
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
  const entries = yaml.root.entries.filter(entry => keys.includes(entry.key))
  const root = substitute({ ...yaml.root, entries }, '', env, report)
  const section = openSection(root, '', 'the configuration', keys, report)
  const around = { folder: dirname(file), env, warn: () => {} }
  const dataDir = section?.read('data_dir', localPath(around)) ?? resolve(around.folder, 'data')
  const timeZone = section?.read('time_zone', asTimeZone) ?? 'UTC'
  const databaseUrl = section?.read('database_url', asDatabaseUrl) ?? null
  const refuse = (key: string) => {
    const mistake = mistakes.get(key)
    if (mistake !== undefined) throw new ConfigError(path, [mistake])
  }
  refuse('data_dir')
  return {
    file,
    dataDir,
    timeZone,
    databaseUrl() {
      refuse('database_url')
      return databaseUrl
    },
  }
}
