import { type Config, secretValues } from '../config/index.ts'
import { CompopsError } from '../errors.ts'
import { createSecrets } from '../log.ts'
import type { Io } from './command.ts'

/**
 * Runs a command that holds secrets and repeats what others said: nothing that it writes or throws has one of them in it. A file of a token is read anew
 * while the command runs, so the values are asked for at each word.
 */
export async function hidingSecrets(
  config: Config,
  io: Io,
  more: readonly (string | null)[],
  act: (io: Io) => Promise<number>,
): Promise<number> {
  const hide = (text: string) => {
    const secrets = createSecrets()
    for (const value of [...more, ...secretValues(config)]) if (value !== null) secrets.add(value)
    // `https://user:password@host` in somebody's words.
    return secrets.redact(text).replace(/\/\/[^\s/@:]*:[^\s/@]*@/g, '//')
  }
  const hiding = (sink: Io['stdout']) => ({ write: (text: string) => sink.write(hide(text)) })
  try {
    return await act({ ...io, stdout: hiding(io.stdout), stderr: hiding(io.stderr) })
  } catch (error) {
    // Without its cause, which nobody shows, and which would bring the words back.
    if (error instanceof CompopsError) throw new CompopsError(hide(error.message), { transient: error.transient })
    throw error
  }
}
