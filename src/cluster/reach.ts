import { Readable } from 'node:stream'
import { CompopsError, UnreadableError } from '../errors.ts'
import type { ClusterFacts } from '../model/observation.ts'
import type { RemoteAnswer } from '../remote/remote.ts'
import type { Dialect } from '../scheduler/dialect.ts'
import type { ClusterOptions, ClusterStats } from './contract.ts'
import { checkRoot } from './layout.ts'
import { compact, preamble } from './preamble.ts'
import { openPlaces } from './shared-root.ts'

/** What the verbs of a cluster share: its language, its root, and one way to run a program there. */
export interface Reach {
  readonly name: string
  readonly dialect: Dialect
  readonly root: string
  /** Whole seconds. */
  readonly settle: number
  /** Whether jobs leave news. */
  readonly events: boolean
  now(): Date
  /** `<project id> <sha>` of sources that were seen there: only a hint. */
  readonly brought: Set<string>
  /** Large data go through another machine than commands. */
  readonly ownTransfer: boolean
  facts(): Promise<ClusterFacts>
  run(program: Program): Promise<RemoteAnswer>
  stats(): ClusterStats
  /** Counts commands of the scheduler that a program turned out to run. */
  count(schedulerCommands: number): void
}

export interface Program {
  readonly text: string
  /** Values, one a line. */
  readonly lines: readonly string[]
  /** What follows the lines. */
  readonly rest?: string | Uint8Array | Readable
  readonly urgent?: boolean
  /** ms */
  readonly deadline?: number
  /** As in RemoteRequest. */
  onStdout?(bytes: Buffer): void
  /** Carries data by the way that is meant for it, without commands of the scheduler. */
  readonly bulk?: boolean
}

export function openReach(options: ClusterOptions): Reach {
  const { name, dialect, remote, settle = 90, shellPath = '', now = () => new Date() } = options
  const root = checkRoot(options.root)
  const { transfer = null, nodes = 1, mark } = options
  const places =
    options.lookOnly === true
      ? { login: remote, bulk: remote }
      : openPlaces({ name, root, login: remote, transfer, nodes, ...(mark === undefined ? {} : { mark }) })
  if (!Number.isFinite(settle) || settle < 0)
    throw new CompopsError(`cluster ${name}: settle must be a number of seconds, not ${settle}`)
  const probeProgram = `${preamble}\n${dialect.shell}\nscheduler_probe\n`
  let roundTrips = 0
  let schedulerCommands = 0
  let probed: { readonly facts: Promise<ClusterFacts>; connects: number } | null = null

  function run({ text, lines, rest, urgent, deadline, onStdout, bulk }: Program): Promise<RemoteAnswer> {
    roundTrips++
    const head = [shellPath, ...lines].map(line => `${oneLine(line)}\n`).join('')
    const input =
      rest === undefined
        ? head
        : typeof rest === 'string'
          ? head + rest
          : rest instanceof Uint8Array
            ? Buffer.concat([Buffer.from(head), rest])
            : joined(head, rest)
    return (bulk === true ? places.bulk : places.login).run({
      program: compact(text),
      input,
      ...(urgent === true ? { lane: 'urgent' as const } : {}),
      ...(deadline === undefined ? {} : { deadline }),
      ...(onStdout === undefined ? {} : { onStdout }),
    })
  }

  /** A cluster does not change its version within a connection, so it is asked once in each. */
  function facts(): Promise<ClusterFacts> {
    if (probed !== null && probed.connects === remote.stats().connects) return probed.facts
    const asked = probe()
    const mine = { facts: asked, connects: remote.stats().connects }
    probed = mine
    asked.then(
      // The first command makes the connection.
      () => {
        mine.connects = remote.stats().connects
      },
      () => {
        if (probed === mine) probed = null
      },
    )
    return asked
  }

  async function probe(): Promise<ClusterFacts> {
    schedulerCommands++
    const answer = await run({ text: probeProgram, lines: [] })
    if (answer.rc !== 0) throw notWhole(name, 'it did not tell about itself', answer)
    return dialect.readFacts(answer.stdout)
  }

  return {
    name,
    dialect,
    root,
    settle: Math.ceil(settle),
    events: options.events ?? false,
    now,
    brought: new Set(),
    ownTransfer: transfer !== null,
    facts,
    run,
    stats: () => {
      const stats = remote.stats()
      return { ...stats, logins: stats.connects + (transfer?.stats().connects ?? 0), schedulerCommands, roundTrips }
    },
    count(commands) {
      schedulerCommands += commands
    },
  }
}

function oneLine(value: string): string {
  if (/[\n\r\0]/.test(value)) throw new CompopsError(`${JSON.stringify(value)} must be one line`)
  return value
}

function joined(head: string, rest: Readable): Readable {
  // It is read when the connection is there. What goes wrong with it until then is told to who reads it, and must not end the process.
  rest.on('error', () => {})
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(head)
    yield* rest
  }
  return Readable.from(bytes(), { objectMode: false })
}

/** An answer that says nothing about any job. Asking again makes sense. */
export function notWhole(cluster: string, what: string, { rc, stderr }: RemoteAnswer): UnreadableError {
  const said = stderr.replace(/\s+/g, ' ').trim().slice(0, 400)
  return new UnreadableError(`${cluster}: ${what} (exit code ${rc})${said === '' ? '' : `: ${said}`}`, {
    transient: true,
  })
}
