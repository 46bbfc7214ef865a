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

export interface CommandLine {
  /** `--config FILE`, else COMPOPS_CONFIG, else `compops.config.yml` in the current folder. */
  readonly config: string
  readonly flags: ReadonlySet<string>
  readonly files: readonly string[]
}

/** Reads a command's arguments: `--config FILE`, these flags, at most so many files. Anything else is a UsageError. */
export function readCommandLine(
  args: readonly string[],
  env: Io['env'],
  allowed: { readonly flags?: readonly string[]; readonly files?: number } = {},
): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        ...Object.fromEntries((allowed.flags ?? []).map(flag => [flag, { type: 'boolean' as const }])),
      },
      strict: true,
      allowPositionals: (allowed.files ?? 0) > 0,
    })
    if (positionals.length > (allowed.files ?? 0)) throw new Error(`Unexpected argument '${positionals.at(-1)}'`)
    const given = new Map<string, unknown>(Object.entries(values))
    return {
      config: values.config ?? (env.COMPOPS_CONFIG || 'compops.config.yml'),
      flags: new Set((allowed.flags ?? []).filter(flag => given.get(flag) === true)),
      files: positionals,
    }
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('. ')[0] ?? error.message) : String(error))
  }
}

/** For commands that take nothing but `--config FILE`. */
export function configPath(args: readonly string[], env: Io['env']): string {
  return readCommandLine(args, env).config
}
