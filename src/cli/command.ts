import { parseArgs } from 'node:util'
import { CompopsError } from '../errors.ts'

/** What a command may touch of its process. */
export interface Io {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: { write(text: string): unknown }
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What each command's file exports as `run`: resolves with the exit code when the command is done. A CompopsError it throws is shown as a sentence. */
export type RunCommand = (args: readonly string[], io: Io) => Promise<number>

/** What a script may go by; gitlab/README.md tells them. */
export const exitCodes = {
  /** A run failed, or what was asked for could not be done. */
  failed: 1,
  usage: 2,
  /** Not signed in, or GitLab does not let this person. */
  refused: 3,
  /** The service cannot be reached, or cannot answer at present. */
  unreachable: 4,
  /** There is no such project, branch, run or job, or GitLab does not show it. */
  unknown: 5,
} as const

/** Ends a command with this exit code, and the sentence. */
export class CommandError extends CompopsError {
  readonly exitCode: number

  constructor(exitCode: number, message: string, options: { cause?: unknown; transient?: boolean } = {}) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** The command line is wrong: shown, exit code 2. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(exitCodes.usage, message)
  }
}

export interface CommandLine {
  /** `--config FILE`, else COMPOPS_CONFIG, else `compops.config.yml` in the current folder. */
  readonly config: string
  readonly flags: ReadonlySet<string>
  /** Options with a value. */
  readonly values: ReadonlyMap<string, string>
  /** Options that may stand there several times, each with a value. */
  readonly lists: ReadonlyMap<string, readonly string[]>
  /** What stands there without a name: files, or whatever the command is about. */
  readonly files: readonly string[]
}

/** Reads a command's arguments: `--config FILE`, these flags, these options with a value, at most so many files. Anything else is a UsageError. */
export function readCommandLine(
  args: readonly string[],
  env: Io['env'],
  allowed: {
    readonly flags?: readonly string[]
    readonly values?: readonly string[]
    readonly lists?: readonly string[]
    readonly files?: number
    /** Letters for flags: `{ follow: 'f' }`. */
    readonly short?: Readonly<Record<string, string>>
  } = {},
): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        ...Object.fromEntries(
          (allowed.flags ?? []).map(flag => {
            const short = allowed.short?.[flag]
            return [flag, { type: 'boolean' as const, ...(short === undefined ? {} : { short }) }]
          }),
        ),
        ...Object.fromEntries((allowed.values ?? []).map(name => [name, { type: 'string' as const }])),
        ...Object.fromEntries((allowed.lists ?? []).map(name => [name, { type: 'string' as const, multiple: true }])),
      },
      strict: true,
      allowPositionals: (allowed.files ?? 0) > 0,
    })
    if (positionals.length > (allowed.files ?? 0)) throw new Error(`Unexpected argument '${positionals.at(-1)}'`)
    const given = new Map<string, unknown>(Object.entries(values))
    return {
      config: values.config ?? (env.COMPOPS_CONFIG || 'compops.config.yml'),
      flags: new Set((allowed.flags ?? []).filter(flag => given.get(flag) === true)),
      values: new Map(
        (allowed.values ?? []).flatMap(name => {
          const value = given.get(name)
          return typeof value === 'string' ? [[name, value] as const] : []
        }),
      ),
      lists: new Map(
        (allowed.lists ?? []).map(name => {
          const value = given.get(name)
          return [name, Array.isArray(value) ? value.map(String) : []] as const
        }),
      ),
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

/** Colours and width only where a person looks; https://no-color.org is honoured. */
export function terminalStyle({ stdout, env }: Io): { colour: boolean; width: number | undefined } {
  const person = stdout.isTTY === true
  return { colour: person && !env.NO_COLOR && env.TERM !== 'dumb', width: person ? stdout.columns : undefined }
}
