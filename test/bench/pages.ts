import { createHash } from 'node:crypto'
import { until } from '../support/until.ts'
import { atMostMs, type Bench, type Figure, median } from './figure.ts'
import { fileOf, startBenchWorld } from './world.ts'

const branches = 1_000
const jobsEach = 5
const most = 150
const rounds = 7

/**
 * The server's work for a page, where 5,000 jobs run on 1,000 branches of one tree: processor time of the whole process, the embedded database in it, without
 * what it takes at rest.
 */
export async function benchPages(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({
    ...{ place: bench.place, name: 'pages', databaseUrl: null },
    more: 'dashboard: { open: true }\nintervals: { shortest_poll: 1s }',
  })
  const { gitlab, service } = world
  try {
    await world.slurm.instant(true)
    await world.hook()
    await world.start()
    // In the likeness of a run that there was.
    await world.over([await gitlab.push('calc/first', fileOf(1, 'first'))], 120)
    await service.holdBack('falcon')
    bench.progress(`${branches} runs of ${jobsEach} jobs`)
    const runs = Array.from({ length: branches }, (_, n) => ({
      branch: `calc/b${n}`,
      sha: createHash('sha1').update(`b${n}`).digest('hex'),
    }))
    for (let from = 0; from < runs.length; from += 50)
      await service.seed(runs.slice(from, from + 50), jobsEach, world.root)
    await service.growTree()
    await until('the service to be at rest', async () => (await service.cpuAtRest(2_000)) < 0.25, 300)

    const figures: Figure[] = []
    for (const [what, path, marker] of [
      ['overview', '/', 'Under way'],
      ['scheduler', '/jobs', 'of 5000'],
      ['tree of 1,000 branches', '/projects/physics/heat', 'calc/b999'],
      ['clusters', '/clusters', 'falcon'],
    ] as const) {
      const spent: number[] = []
      for (let round = 0; round < rounds; round++) {
        const { ms, text } = await service.page(path)
        if (!text.includes(marker)) throw new Error(`${path} does not show ${marker}: ${text.slice(0, 500)}`)
        spent.push(ms)
        bench.progress(`${what}: ${ms.toFixed(0)} ms, ${(text.length / 1024).toFixed(0)} KB`)
      }
      figures.push(
        atMostMs(
          `work for a page with 5,000 jobs: ${what}`,
          median(spent),
          most,
          `processor time; the first ${spent[0]!.toFixed(0)} ms`,
        ),
      )
    }
    return figures
  } finally {
    await world.close()
  }
}
