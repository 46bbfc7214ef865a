import { parseArgs } from 'node:util'
import { CompopsError } from '../errors.ts'

/** What a command may touch of its process. */
export interface Io {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What each command's file exports as `run`: resolves with the exit code when the command is done. A CompopsError it throws is shown as a sentence. */
export type RunCommand = (args: readonly string[], io: Io) => Promise<number>

/** The command line is wrong: shown, exit code 2. */
export class UsageError extends CompopsError {}

/** `--config FILE`, else COMPOPS_CONFIG, else `compops.config.yml` in the current folder; any other argument is a UsageError. */
export function configPath(args: readonly string[], env: Io['env']): string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string' } },
      strict: true,
      allowPositionals: false,
    })
    return values.config ?? (env.COMPOPS_CONFIG || 'compops.config.yml')
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('. ')[0] ?? error.message) : String(error))
  }
}
