import { access } from 'node:fs/promises'
import { CommandError, type CommandLine, exitCodes, type Io, readCommandLine, UsageError } from '../command.ts'
import { askAbout, openService, type Service } from './ask.ts'
import { type Clone, projectOf, readClone } from './clone.ts'
import { readSettings, settingsFile, tokenOfGlab } from './settings.ts'

type Allowed = NonNullable<Parameters<typeof readCommandLine>[2]>

/**
 * Whose command it is, where both have one of that name. The nearest word counts: an option, the environment, then the folder. `--config` (or COMPOPS_CONFIG, or a
 * `compops.config.yml` here) is the operator's, who asks the service on this machine; `--url` (or COMPOPS_URL), or nothing at all, the person's, who asks it over HTTP.
 */
export async function isPersons(args: readonly string[], env: Io['env']): Promise<boolean> {
  const end = args.indexOf('--')
  const options = end === -1 ? args : args.slice(0, end)
  const given = (name: string) => options.some(arg => arg === `--${name}` || arg.startsWith(`--${name}=`))
  const person = given('url') || given('project')
  if (given('config') && person)
    throw new UsageError("--config is the operator's, --url and --project are a person's: which is meant?")
  if (given('config') || person) return person
  if (env.COMPOPS_CONFIG && env.COMPOPS_URL)
    throw new UsageError(
      'COMPOPS_CONFIG and COMPOPS_URL are both set: say --config FILE (operator) or --url URL (person)',
    )
  if (env.COMPOPS_CONFIG || env.COMPOPS_URL) return !env.COMPOPS_CONFIG
  return !(await access('compops.config.yml').then(
    () => true,
    () => false,
  ))
}

/** Options that all commands of a person take: where the service is, and which project is meant where the folder does not say. */
export function readPersonLine(args: readonly string[], env: Io['env'], allowed: Allowed = {}): CommandLine {
  return readCommandLine(args, env, {
    ...allowed,
    flags: ['json', ...(allowed.flags ?? [])],
    values: ['url', 'project', ...(allowed.values ?? [])],
  })
}

export interface Person {
  readonly service: Service
  /** Path of the project, as GitLab has it. */
  readonly project: string
  readonly timeZone: string
  /** null outside of a clone, or where another project was named. */
  readonly clone: Clone | null
  /** The address of something of the project. */
  at(path: string): string
}

/** Finds service, token, project and branch: by option, environment, the person's own file, and the clone in this folder. */
export async function openPerson(line: CommandLine, io: Io): Promise<Person> {
  const clone = await readClone()
  const settings = await readSettings(io.env, clone?.remotes.map(remote => remote.host) ?? [])
  const url = checkUrl(line.values.get('url') ?? (io.env.COMPOPS_URL || settings.url), io.env)
  const about = await askAbout(url)
  const { hostname } = new URL(about.gitlab)
  const named = line.values.get('project')
  const own = clone === null ? null : (projectOf(clone, about.gitlab) ?? behindAlias(clone))
  const project = named ?? own
  if (project === null) throw new UsageError(noProject(clone, about.gitlab))
  const token =
    io.env.COMPOPS_TOKEN ||
    io.env.GITLAB_TOKEN ||
    (await settings.token()) ||
    // Only for a GitLab that the person works with: a service does not choose whose token it gets.
    (isTheirs(clone, hostname, io.env) ? await tokenOfGlab(io.env, hostname) : null)
  if (!token)
    throw new CommandError(
      exitCodes.refused,
      `a token of yours from ${about.gitlab} is needed (scope api, or read_api to look only): put it into COMPOPS_TOKEN or GITLAB_TOKEN, name its file as token_file in ${settingsFile(io.env)}, or sign in with glab`,
    )
  const service = openService(url, token)
  return {
    service,
    project,
    timeZone: about.time_zone,
    clone: named === undefined || named === own ? clone : null,
    at: path => `/projects/${encodeURIComponent(project)}${path}`,
  }
}

function checkUrl(given: string | null | undefined, env: Io['env']): string {
  if (!given)
    throw new UsageError(
      `where is the service? Set COMPOPS_URL, give --url https://compops.example.org, or write \`url:\` into ${settingsFile(env)} (as operator: --config FILE)`,
    )
  const url = URL.parse(given)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError(`${JSON.stringify(given)} is no address`)
  const here = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !here && env.COMPOPS_ALLOW_HTTP !== '1')
    throw new UsageError(
      `${given}: a token must not travel in the clear; give an https address (COMPOPS_ALLOW_HTTP=1 sends it all the same)`,
    )
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** ssh may go to another name of the same GitLab. With one address to go by, that one is meant. */
function behindAlias(clone: Clone): string | null {
  const [remote, ...others] = clone.remotes
  return remote !== undefined && !remote.http && others.length === 0 ? remote.path : null
}

function isTheirs(clone: Clone | null, host: string, env: Io['env']): boolean {
  return (
    clone?.remotes.some(remote => remote.host === host) === true ||
    env.GITLAB_HOST?.replace(/^https?:\/\//, '') === host
  )
}

function noProject(clone: Clone | null, gitlab: string): string {
  if (clone === null) return 'of which project? This folder is no clone of one; give --project group/name'
  const places = clone.remotes.map(remote => remote.host).join(', ') || 'nowhere'
  return `of which project? This clone leads to ${places}, and the service works for ${gitlab}; give --project group/name`
}
