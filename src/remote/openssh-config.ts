import { createHash, randomBytes } from 'node:crypto'
import { access, constants, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describeError } from '../errors.ts'
import { prepareControlDir } from './control-socket.ts'
import { RemoteError } from './remote.ts'

/** Who is asked where ssh has a question: nobody, or the person at the keyboard. */
export type Asking = 'nobody' | 'person'

/**
 * What holds on every hop, before anything of the user's ssh_config: of options on the command line the ssh that ProxyJump starts gets none, it is given
 * the file of `-F` alone (ssh(1)). The first value of an option holds (ssh_config(5)), also inside of what is included.
 */
export function configText(asking: Asking, included: readonly string[]): string {
  return [
    '# Made by ComputationalOps, and made anew when it is needed.',
    'Host *',
    // A host key that is not known is refused, in the service and at the keyboard.
    '  StrictHostKeyChecking yes',
    '  UpdateHostKeys no',
    ...(asking === 'nobody' ? ['  BatchMode yes'] : []),
    // Below `Host *`: what is included holds for every host, and opens and closes its own blocks.
    ...included.map(path => `  Include "${includable(path)}"`),
    '',
  ].join('\n')
}

/** Include takes a pattern of glob(7), between quotes; newer versions of ssh also expand `%` and `${` in it. */
function includable(path: string): string {
  if (/["\\\n\r%]|\$\{/.test(path))
    throw new RemoteError(
      'unreachable',
      `ssh cannot be told to read ${JSON.stringify(path)}: a path with a quotation mark, backslash, line break, % or \${ cannot be written in ssh_config. Move it`,
      { transient: false },
    )
  return path.replace(/[*?[\]{}~]/g, '\\$&')
}

/** What ssh reads of itself, or `config_file` instead of both. Include refuses a file that others may write, as /dev/null is. */
function userFiles(configFile: string | undefined): string[] {
  if (configFile === undefined) return [join(userInfo().homedir, '.ssh/config'), '/etc/ssh/ssh_config']
  return configFile === '/dev/null' ? [] : [configFile]
}

/**
 * Writes the file for `-F` into the directory of the control sockets. Returns its bare name: ssh is started in that directory, and hands the name on to
 * the ssh of a hop through a shell, without quotes.
 */
export async function writeConfig(controlDir: string, configFile: string | undefined, asking: Asking): Promise<string> {
  await prepareControlDir(controlDir)
  const text = configText(asking, userFiles(configFile))
  const name = `${createHash('sha256').update(text).digest('hex').slice(0, 20)}.conf`
  const file = join(controlDir, name)
  try {
    // A file that is not there would be passed over by Include, unlike by -F.
    if (configFile !== undefined) await access(configFile, constants.R_OK)
    if ((await readFile(file, 'utf8').catch(() => null)) === text) return name
    const unfinished = join(controlDir, `${randomBytes(10).toString('hex')}.new`)
    try {
      await writeFile(unfinished, text, { mode: 0o600, flag: 'wx' })
      await rename(unfinished, file)
    } finally {
      await rm(unfinished, { force: true })
    }
    return name
  } catch (error) {
    throw new RemoteError('unreachable', `the ssh_config for the connection: ${describeError(error)}`, {
      transient: false,
      cause: error,
    })
  }
}
