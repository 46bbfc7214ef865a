/**
 * `npm run bench [-- --only NAME] [--write]`: our promises as figures, most of them ratios taken in one run on one machine. Progress on stderr, one table on
 * stdout, and with `--write` in test/README.md.
 */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchAck } from './ack.ts'
import { killChildren } from './child.ts'
import { benchCi } from './ci.ts'
import { benchElsewhere } from './elsewhere.ts'
import { benchEvents } from './events.ts'
import type { Bench, Figure } from './figure.ts'
import { benchGitLab } from './gitlab.ts'
import { describeMachine } from './machine.ts'
import { benchMemory } from './memory.ts'
import { benchPages } from './pages.ts'
import { benchPoll } from './poll.ts'
import { benchLoad } from './scheduler-load.ts'
import { benchSsh } from './ssh.ts'
import { benchStart } from './start.ts'
import { keepEngines } from './stores.ts'
import { benchSubmit } from './submit.ts'
import { formatTable } from './table.ts'
import { benchWebhook } from './webhook.ts'
import { writeTable } from './write-table.ts'

const benches: Readonly<Record<string, (bench: Bench) => Promise<Figure[]>>> = {
  // First what starts processes, while this one is small.
  ssh: benchSsh,
  start: benchStart,
  submit: benchSubmit,
  gitlab: benchGitLab,
  ack: benchAck,
  events: benchEvents,
  memory: benchMemory,
  pages: benchPages,
  ci: benchCi,
  poll: benchPoll,
  load: benchLoad,
  webhook: benchWebhook,
  elsewhere: benchElsewhere,
}

process.exitCode = await main()

async function main(): Promise<number> {
  const chosen = readArguments()
  if (chosen === null) return 2
  const loadBefore = loadavg()[0]!
  const started = performance.now()
  const place = await mkdtemp(join(tmpdir(), 'bench-'))
  process.env.CACHE_DIRECTORY = join(place, 'cache')
  const leave = () => {
    killChildren()
    rmSync(place, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      leave()
      process.exit(130)
    })
  const figures: Figure[] = []
  let failed = false
  let databases: string[] = []
  const say = (text: string) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0)
    process.stderr.write(`${seconds.padStart(4)} s  ${text}\n`)
  }
  const engines = keepEngines(place, say)
  try {
    for (const name of chosen.names) {
      const progress = (text: string) => say(`${name}: ${text}`)
      try {
        figures.push(
          ...(await benches[name]!({ place, engines: engines.get, freshDatabase: engines.freshDatabase, progress })),
        )
      } catch (error) {
        failed = true
        progress(error instanceof Error ? (error.stack ?? error.message) : String(error))
        figures.push({ what: name, measured: 'could not be measured, see above', promise: '', kept: null })
      }
    }
    databases = await engines.versions()
  } finally {
    await engines.close()
    leave()
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  const machine = await describeMachine(loadBefore, databases)
  process.stdout.write(`${formatTable(figures)}\n\n${machine}; the run took ${seconds} s\n`)
  if (chosen.write) await writeTable(figures, { command: 'npm run bench -- --write', machine, seconds })
  return failed ? 1 : 0
}

function readArguments(): { names: string[]; write: boolean } | null {
  const names = Object.keys(benches)
  try {
    const options = { only: { type: 'string' }, write: { type: 'boolean', default: false } } as const
    const { only, write } = parseArgs({ options }).values
    if (only === undefined) return { names, write }
    if (write) throw new Error('the table that is kept holds every bench: --write goes without --only')
    if (names.includes(only)) return { names: [only], write }
    process.stderr.write(`there is no bench ${JSON.stringify(only)}; there are ${names.join(', ')}\n`)
  } catch (error) {
    const usage = 'usage: npm run bench -- [--only NAME] [--write]'
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${usage}\n`)
  }
  return null
}
