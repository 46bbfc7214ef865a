/** `npm run bench [-- --only NAME]`: our promises as figures, each a ratio taken in one run on one machine. Progress on stderr, one table on stdout. */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killChildren } from './child.ts'
import type { Bench, Figure } from './figure.ts'
import { benchGitLab } from './gitlab.ts'
import { describeMachine } from './machine.ts'
import { benchPoll } from './poll.ts'
import { benchSsh } from './ssh.ts'
import { benchStart } from './start.ts'
import { keepEngines } from './stores.ts'
import { formatTable } from './table.ts'
import { benchWebhook } from './webhook.ts'

const benches: Readonly<Record<string, (bench: Bench) => Promise<Figure[]>>> = {
  // First what starts processes, while this one is small.
  ssh: benchSsh,
  start: benchStart,
  gitlab: benchGitLab,
  poll: benchPoll,
  webhook: benchWebhook,
}

process.exitCode = await main()

async function main(): Promise<number> {
  const chosen = readArguments()
  if (chosen === null) return 2
  const started = performance.now()
  const place = await mkdtemp(join(tmpdir(), 'bench-'))
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
  const say = (text: string) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0)
    process.stderr.write(`${seconds.padStart(4)} s  ${text}\n`)
  }
  const engines = keepEngines(place, say)
  try {
    for (const name of chosen) {
      const progress = (text: string) => say(`${name}: ${text}`)
      try {
        figures.push(...(await benches[name]!({ place, engines: engines.get, progress })))
      } catch (error) {
        failed = true
        progress(error instanceof Error ? (error.stack ?? error.message) : String(error))
        figures.push({ what: name, measured: 'could not be measured, see above', promise: '', kept: null })
      }
    }
  } finally {
    await engines.close()
    leave()
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  process.stdout.write(`${formatTable(figures)}\n\n${await describeMachine()}; the run took ${seconds} s\n`)
  return failed ? 1 : 0
}

function readArguments(): string[] | null {
  const names = Object.keys(benches)
  try {
    const { only } = parseArgs({ options: { only: { type: 'string' } } }).values
    if (only === undefined) return names
    if (names.includes(only)) return [only]
    process.stderr.write(`there is no bench ${JSON.stringify(only)}; there are ${names.join(', ')}\n`)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nusage: npm run bench -- [--only NAME]\n`)
  }
  return null
}
