import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { CompopsError, describeError } from '../../errors.ts'
import type { Io } from '../command.ts'

type Env = Io['env']

const one = {
  url: z.url({ protocol: /^https?$/ }).optional(),
  token: z.string().min(1).optional(),
  token_file: z.string().min(1).optional(),
}

const Settings = z.strictObject({
  ...one,
  services: z.record(z.string(), z.strictObject(one)).default({}),
})

/** Where the service of a GitLab is, and the token for it. */
export interface ServiceSettings {
  readonly url: string | null
  token(): Promise<string | null>
}

const none: ServiceSettings = { url: null, token: async () => null }

export function settingsFile(env: Env): string {
  return join(env.XDG_CONFIG_HOME || join(homeOf(env), '.config'), 'compops', 'config.yml')
}

const homeOf = (env: Env) => env.HOME || homedir()

/**
 * A person's own file: `url`, `token` or `token_file`, and under `services` the same for each GitLab by its host. Only theirs: nothing in a repository says where a token is
 * sent.
 */
export async function readSettings(env: Env, hosts: readonly string[]): Promise<ServiceSettings> {
  const file = settingsFile(env)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw new CompopsError(`${file} cannot be read: ${error.message}`)
  })
  if (text === null) return none
  const settings = readYaml(file, text)
  const host = hosts.find(name => Object.hasOwn(settings.services, name))
  const { url, token, token_file } = host === undefined ? settings : { url: settings.url, ...settings.services[host] }
  return {
    url: url ?? null,
    async token() {
      if (token !== undefined) {
        await mustBePrivate(file)
        return token
      }
      if (token_file === undefined) return null
      const path = token_file.replace(/^~(?=\/)/, homeOf(env))
      await mustBePrivate(path)
      return (await readFile(path, 'utf8')).trim()
    },
  }
}

function readYaml(file: string, text: string): z.infer<typeof Settings> {
  let value: unknown
  try {
    value = parse(text) ?? {}
  } catch (error) {
    throw new CompopsError(`${file}: ${describeError(error, 200)}`)
  }
  const read = Settings.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new CompopsError(`${file}: ${[issue?.path.join('.'), issue?.message].filter(Boolean).join(': ')}`)
}

async function mustBePrivate(path: string): Promise<void> {
  const { mode } = await stat(path).catch(error => {
    throw new CompopsError(`${path} cannot be read: ${describeError(error)}`)
  })
  if ((mode & 0o077) !== 0) throw new CompopsError(`${path} holds a token, and others may read it: chmod 600 ${path}`)
}

const Glab = z.object({
  hosts: z.record(z.string(), z.object({ token: z.string().nullish() }).loose().nullable()).nullish(),
})

/** The token that GitLab's own command line has for a host; null where it has none, or keeps it in the system's keyring. */
export async function tokenOfGlab(env: Env, host: string): Promise<string | null> {
  const home = homeOf(env)
  const folders = [
    env.GLAB_CONFIG_DIR,
    join(env.XDG_CONFIG_HOME || join(home, '.config'), 'glab-cli'),
    join(home, 'Library', 'Application Support', 'glab-cli'),
  ]
  for (const folder of folders) {
    if (folder === undefined || folder === '') continue
    const text = await readFile(join(folder, 'config.yml'), 'utf8').catch(() => null)
    if (text === null) continue
    try {
      // glab writes `token: !!null glpat-…`, which its own reader takes for text.
      const found = Glab.safeParse(parse(text.replace(/!!null[ \t]+(?=\S)/g, ''), { logLevel: 'silent' }))
      const token = found.data?.hosts?.[host]?.token ?? ''
      if (token !== '') return token
    } catch {
      // Not ours to complain about.
    }
  }
  return null
}
