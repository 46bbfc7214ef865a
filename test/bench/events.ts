import { until } from '../support/until.ts'
import { atMost, type Bench, type Figure, median, round } from './figure.ts'
import { fileOf, startBenchWorld } from './world.ts'

const interval = 5
const rounds = 5

/** From the end of a job on the cluster until GitLab has its status, to the interval between two polls. */
export async function benchEvents(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({
    place: bench.place,
    name: 'events',
    databaseUrl: await bench.freshDatabase(),
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: SLURM, poll_interval: ${interval}s }`,
    more: 'intervals: { note: 1s }',
  })
  const { gitlab, slurm } = world
  try {
    await world.hook()
    await world.start()
    const took: number[] = []
    for (let n = 0; n < rounds; n++) {
      const sha = await gitlab.push(`calc/${n}`, fileOf(1, String(n)))
      await until('the job to run', async () => (await gitlab.states([sha])).running === 2)
      // At any moment between two polls, not just behind one.
      await new Promise(resolve => setTimeout(resolve, ((n + 0.5) / rounds) * interval * 1000))
      await slurm.endAll()
      const ended = performance.now()
      await until('the status', async () => ((await gitlab.states([sha])).success ?? 0) > 0)
      took.push((performance.now() - ended) / 1000)
      bench.progress(`a status ${round(took.at(-1)!)} s after its job ended`)
      await world.over([sha])
    }
    return [
      atMost(
        'end of a job to its commit status sent, to the poll interval',
        median(took) / interval,
        1,
        `median ${round(median(took))} of ${interval} s`,
      ),
    ]
  } finally {
    await world.close()
  }
}
