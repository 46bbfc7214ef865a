import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pgliteMajor } from '../../src/store/pglite-directory.ts'
import { freePort } from '../support/proxy.ts'
import { asCommandLine, endChild, hear, startChild } from './child.ts'
import { atMost, type Bench, type Figure, median, round, timed } from './figure.ts'

const rounds = 3
const modes = ['bare', 'store', 'service'] as const
type Mode = (typeof modes)[number]

/** From the start of a process until it is ready on an existing directory, and its memory once nothing happens any more. */
export async function benchStart(bench: Bench): Promise<Figure[]> {
  const dataDir = join(bench.place, 'start')
  const arguments_: Record<Mode, string> = {
    bare: join(dataDir, `pglite-${pgliteMajor}`),
    store: dataDir,
    service: await writeConfig(bench.place, dataDir),
  }
  // Made by a child too: this process must stay small for the benches after it. A first start also fills the cache of what was compiled.
  const maker = startChild('start-child.ts', ['service', arguments_.service], asCommandLine)
  try {
    await hear(maker)
  } finally {
    await endChild(maker)
  }
  const ms: Record<Mode, number[]> = { bare: [], store: [], service: [] }
  const rss: Record<Mode, number[]> = { bare: [], store: [], service: [] }
  for (let n = 1; n <= rounds; n++) {
    for (const mode of modes) {
      const child = startChild('start-child.ts', [mode, arguments_[mode]], mode === 'bare' ? [] : asCommandLine)
      try {
        ms[mode].push(await timed(() => hear(child)))
        rss[mode].push((await hear<{ rss: number }>(child)).rss / 2 ** 20)
      } finally {
        await endChild(child)
      }
      bench.progress(`round ${n}, ${mode}: ready after ${round(ms[mode].at(-1)!)} ms, ${round(rss[mode].at(-1)!)} MB`)
    }
  }
  const compare = (what: string, mode: Mode, of: Record<Mode, number[]>, goal: number, unit: string) =>
    atMost(
      what,
      median(of[mode].map((value, n) => value / of.bare[n]!)),
      goal,
      `${round(median(of[mode]))} to ${round(median(of.bare))} ${unit}`,
    )
  return [
    compare('start to ready: the store, to bare PGlite', 'store', ms, 2, 'ms'),
    compare('start to ready: the whole service, to bare PGlite', 'service', ms, 2, 'ms'),
    compare('idle memory: the store, to bare PGlite', 'store', rss, 1.3, 'MB'),
    compare('idle memory: the whole service, to bare PGlite', 'service', rss, 1.3, 'MB'),
  ]
}

/** A service with one cluster, this machine, and a GitLab that nobody answers for. */
async function writeConfig(place: string, dataDir: string): Promise<string> {
  const file = join(place, 'compops.config.yml')
  const [own, gitlab] = [await freePort(), await freePort()]
  await writeFile(
    file,
    `listen: 127.0.0.1:${own}
public_url: http://127.0.0.1:${own}
data_dir: ${dataDir}
gitlab:
  url: http://127.0.0.1:${gitlab}
  token: \${BENCH_TOKEN}
  webhook_secret: \${BENCH_SECRET}
clusters:
  laptop: { scheduler: local, root: ${join(place, 'cluster')} }
projects:
  - path: physics/*
    clusters: [laptop]
`,
  )
  return file
}
