import { until } from '../support/until.ts'
import { atMost, atMostMs, type Bench, type Figure, median, round } from './figure.ts'
import { benchLoop } from './news-loop.ts'
import { fileOf, startBenchWorld } from './world.ts'

const interval = 5
const rounds = 5

/** From the end of a job on the cluster until GitLab has its status: found by a poll, to the interval between two; and told by the job, to a second. */
export async function benchEvents(bench: Bench): Promise<Figure[]> {
  const polled = await measure(bench, 'polled', `poll_interval: ${interval}s, events: off`)
  // Polls alone would take some seven seconds.
  const told = await measure(bench, 'told', 'poll_interval: 15s')
  return [
    atMost(
      'end of a job to its commit status sent, polls alone, to the poll interval',
      median(polled) / interval,
      1,
      `median ${round(median(polled))} of ${interval} s`,
    ),
    atMostMs(
      '  with news of the job itself, polls every 15 s',
      median(told) * 1000,
      1_000,
      `median of ${told.length}, the longest ${round(Math.max(...told) * 1000)} ms`,
    ),
    ...(await benchLoop(bench)),
  ]
}

async function measure(bench: Bench, name: string, how: string): Promise<number[]> {
  const world = await startBenchWorld({
    place: bench.place,
    name: `events-${name}`,
    databaseUrl: await bench.freshDatabase(),
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: SLURM, ${how} }`,
    more: 'intervals: { note: 1s }',
  })
  const { gitlab, slurm } = world
  try {
    await world.hook()
    await world.start()
    const took: number[] = []
    for (let n = 0; n < rounds; n++) {
      const sha = await gitlab.push(`calc/${n}`, fileOf(1, String(n)))
      await until('the job to run', async () => (await gitlab.states([sha])).running === 2, 90)
      // At any moment between two polls, not just behind one.
      await new Promise(resolve => setTimeout(resolve, ((n + 0.5) / rounds) * interval * 1000))
      await slurm.endAll()
      const ended = performance.now()
      await until('the status', async () => ((await gitlab.states([sha])).success ?? 0) > 0, 90)
      took.push((performance.now() - ended) / 1000)
      bench.progress(`${name}: a status ${round(took.at(-1)!)} s after its job ended`)
      await world.over([sha])
    }
    return took
  } finally {
    await world.close()
  }
}
