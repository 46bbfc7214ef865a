/** A scheduler of the site's own: a file that exports the adapter object. Loaded once, judged, and never believed more than the text of a cluster. */
import { spawn } from 'node:child_process'
import { registerHooks } from 'node:module'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { CompopsError, ConfigError, describeError, UnreadableError } from '../errors.ts'
import { capacityShape } from '../model/capacity.ts'
import type { Dialect, Refusal } from './dialect.ts'
import { judgeDialect } from './judge.ts'

export interface OwnDialect {
  readonly file: string
  readonly dialect: Dialect
  /** Members and questions that it stood. */
  readonly asked: number
}

const author = new URL('./author.ts', import.meta.url).href
let hooked = false

/** `import { UnreadableError } from 'compops/scheduler'` works wherever the site keeps its file. */
function letAuthorsImport(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'compops/scheduler' ? { url: author, shortCircuit: true } : next(specifier, context),
  })
}

/** Imports the file and judges what it exports. Throws ConfigError with everything that is wrong. */
export async function loadOwnDialect(file: string): Promise<OwnDialect> {
  letAuthorsImport()
  let module: { readonly default?: unknown; readonly dialect?: unknown }
  try {
    module = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as typeof module
  } catch (error) {
    throw new ConfigError(file, [`It cannot be loaded: ${describeError(error)}`])
  }
  const exported = module.default ?? module.dialect
  const verdict = judgeDialect(exported)
  const complaints = [...verdict.complaints]
  const dialect = exported as Dialect
  if (complaints.length === 0) {
    for (const [name, shell, text] of [
      ['shell', 'sh', dialect.shell],
      ['identify', 'bash', dialect.identify],
      ['hooks', 'bash', dialect.hooks],
      ['capacity.shell', 'sh', dialect.capacity?.shell ?? ''],
    ] as const) {
      const mistake = await shellMistake(shell, text)
      if (mistake !== null) complaints.push(`${name} cannot be read by \`${shell} -n\`: ${mistake}`)
    }
  }
  if (complaints.length > 0) throw new ConfigError(file, complaints)
  return {
    file,
    dialect: guarded(dialect, basename(file)),
    asked: verdict.asked + (dialect.capacity === undefined ? 3 : 4),
  }
}

/** What the shell says of a text that it only reads; null where that is nothing, or where this machine has no such shell. */
function shellMistake(shell: string, text: string): Promise<string | null> {
  return new Promise(resolve => {
    const child = spawn(shell, ['-n'], { stdio: ['pipe', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', chunk => {
      said = (said + chunk).slice(0, 300)
    })
    child.on('error', () => resolve(null))
    child.on('close', code => resolve(code === 0 ? null : said.trim().split('\n')[0] || `exit code ${code}`))
    child.stdin.on('error', () => {})
    child.stdin.end(text)
  })
}

/**
 * The same dialect with its answers checked. A mistake of the site's file is an answer that cannot be read: it changes no state and names the file, instead of
 * looking like a mistake of ours.
 */
function guarded(own: Dialect, file: string): Dialect {
  const said = (name: string, error: unknown) => `${file}: ${name}: ${describeError(error, 300)}`
  function reading<T>(name: string, read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw error instanceof UnreadableError ? error : new UnreadableError(said(name, error), { cause: error })
    }
  }
  function asking<T>(name: string, ask: () => T): T {
    try {
      return ask()
    } catch (error) {
      throw error instanceof CompopsError ? error : new CompopsError(said(name, error), { cause: error })
    }
  }
  function* rows<T>(name: string, read: () => Iterable<T>, check: (row: T) => string | null): Generator<T> {
    const iterator = reading(name, () => read()[Symbol.iterator]())
    for (;;) {
      const next = reading(name, () => iterator.next())
      if (next.done === true) return
      const complaint = check(next.value)
      if (complaint !== null) throw new UnreadableError(`${file}: ${name} gave a row that is none: ${complaint}`)
      yield next.value
    }
  }
  const oneLine = (name: string, values: readonly string[]) => {
    const bad = values.find(value => typeof value !== 'string' || /[\0\n\r]/.test(value))
    if (bad !== undefined) throw new CompopsError(`${file}: ${name} gave ${JSON.stringify(bad)}, which is not one line`)
  }
  const checks: Partial<Dialect> = {
    readSubmit: answer =>
      reading('readSubmit', () => {
        const id = own.readSubmit(answer)
        if (typeof id !== 'string' || !new RegExp(own.nativeId.source).test(id))
          throw new UnreadableError(`${file}: readSubmit gave ${JSON.stringify(id)}, which is no native id`)
        return id
      }),
    readFacts: text =>
      reading('readFacts', () => {
        const facts = own.readFacts(text)
        const complaint = complaintOf(factsShape, facts)
        if (complaint !== null) throw new UnreadableError(`${file}: readFacts: ${complaint}`)
        return facts
      }),
    readQueue: text =>
      rows(
        'readQueue',
        () => own.readQueue(text),
        row => complaintOf(queueRow, row),
      ),
    readPast: text =>
      rows(
        'readPast',
        () => own.readPast(text),
        past =>
          past?.kind === 'queue'
            ? complaintOf(queueRow, past.row)
            : past?.kind === 'accounting'
              ? complaintOf(accountingRow, past.row)
              : 'its kind is neither `queue` nor `accounting`',
      ),
    judgeRefusal(rc, stderr): Refusal {
      try {
        const judged = own.judgeRefusal(rc, stderr)
        // In doubt there may be a job.
        return judged === 'refused' || judged === 'transient' ? judged : 'unknown'
      } catch {
        return 'unknown'
      }
    },
    reasonInWords(reason) {
      try {
        return String(own.reasonInWords(reason))
      } catch {
        return reason
      }
    },
    directives: spec =>
      asking('directives', () => {
        const given = own.directives(spec)
        oneLine(
          'directives',
          given.map(({ option }) => option),
        )
        return given
      }),
    submitArguments: request =>
      asking('submitArguments', () => {
        const given = own.submitArguments(request)
        oneLine('submitArguments', given)
        return given
      }),
    readDirectives: text => asking('readDirectives', () => own.readDirectives(text)),
    allowedDirective: (allowed, directive) =>
      asking('allowedDirective', () => own.allowedDirective(allowed, directive)),
  }
  const { capacity } = own
  if (capacity !== undefined)
    Object.assign(checks, {
      capacity: {
        shell: capacity.shell,
        commands: capacity.commands,
        read: (text: string) =>
          reading('capacity.read', () => {
            const told = capacity.read(text)
            const complaint = complaintOf(capacityShape, told)
            if (complaint !== null) throw new UnreadableError(`${file}: capacity.read: ${complaint}`)
            return told
          }),
      },
    })
  // What is not checked stays as it is, also where the object is of a class.
  return Object.assign(Object.create(own) as Dialect, checks)
}

const time = z.date().nullable()
const word = z.string().nullable()
const tasks = z.array(z.object({ from: z.int(), to: z.int(), step: z.int().min(1) })).nullable()
const verdict = z
  .enum(['completed', 'exit', 'timeout', 'memory', 'node', 'preempted', 'canceled', 'never started'])
  .nullable()
const identity = { nativeId: z.string().min(1), tasks, name: z.string(), nativeState: z.string(), verdict }

const queueRow = z.object({
  ...identity,
  state: z.enum(['queued', 'held', 'running', 'suspended', 'completing', 'ended']),
  reason: word,
  queue: word,
  submittedAt: time,
  startAt: time,
  endAt: time,
  nodes: z.array(z.string()),
  restarts: z.int().min(0),
})

const number = z.number().nullable()
const accountingRow = z.object({
  ...identity,
  exitCode: z.int().nullable(),
  signal: z.int().nullable(),
  queue: word,
  account: word,
  submittedAt: time,
  startedAt: time,
  endedAt: time,
  nodes: z.array(z.string()),
  cpus: number,
  cpuSeconds: number,
  elapsedSeconds: number,
  maxRss: number,
  requestedTres: word,
  allocatedTres: word,
})

const factsShape = z.object({
  version: z.string().min(1),
  accounting: z.boolean(),
  remembers: z.number().min(0),
  nativeDependencies: z.boolean(),
  maxArraySize: z.int().min(1).nullable(),
})

function complaintOf(shape: z.ZodType, value: unknown): string | null {
  const result = shape.safeParse(value)
  if (result.success) return null
  const issue = result.error.issues[0]
  return `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'not what it should be'}`
}
