import { spawn } from 'node:child_process'
import { CompopsError, describeError } from '../errors.ts'
import { knock } from './control-socket.ts'
import { nameOf, type OpensshOptions, sessionSocketOf, targetOf } from './openssh.ts'
import { exitArguments, sessionArguments } from './openssh-arguments.ts'
import { writeConfig } from './openssh-config.ts'

/** A login node's session that a person opened: whether it stands, opening it at the keyboard, ending it. */
export interface Session {
  /** e.g. `phys@falcon`. */
  readonly name: string
  stands(): Promise<boolean>
  /** ssh asks here, on the terminal of this process, for whatever the site wants. False where it did not get in; ssh has said why. */
  open(): Promise<boolean>
  end(): Promise<void>
}

/** One for each login node, in the order in which the service looks for them. */
export function sessionsOf(options: OpensshOptions): Session[] {
  const { controlDir } = options
  return [options.host, ...(options.fallbacks ?? [])].map(host => {
    const target = targetOf(options, host)
    const controlName = sessionSocketOf(options, target)
    const ssh = async (args: readonly string[], stdio: 'inherit' | 'ignore'): Promise<boolean> => {
      const child = spawn('ssh', args, { cwd: controlDir, stdio })
      return new Promise((resolve, reject) => {
        child.once('error', error =>
          reject(new CompopsError(`ssh cannot be started: ${describeError(error)}; install openssh-client`)),
        )
        // Not `close`: the session stays behind, and may hold what it inherited.
        child.once('exit', code => resolve(code === 0))
      })
    }
    const place = async () => ({
      ...{ target, controlName },
      config: await writeConfig(controlDir, target.configFile, 'person'),
    })
    async function stands(): Promise<boolean> {
      const socket = await knock(controlDir, controlName)
      socket?.destroy()
      return socket !== null
    }
    return {
      name: nameOf(target),
      stands,
      async open() {
        return (await ssh(sessionArguments(await place()), 'inherit')) && (await stands())
      },
      async end() {
        await ssh(exitArguments(await place()), 'ignore')
      },
    }
  })
}
