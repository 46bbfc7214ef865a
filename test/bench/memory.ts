import { until } from '../support/until.ts'
import { type Bench, type Figure, informs, round } from './figure.ts'
import { loopFigure } from './loop.ts'
import { fileOf, startBenchWorld } from './world.ts'

const hours = 24
const perHour = 10
const perRun = 1
/** Pushed at once: GitLab's hooks come one after the other anyway. */
const together = 5
/** The first hours fill what is kept on purpose: caches with a limit, compiled code. */
const warm = 6
/** What heap and rest may differ by without saying anything, MB over the day. */
const noise = 10

/** A day of runs, pressed into a minute: 240 in 24 hours of 10, from push to evidence, and how much the process is larger after each. */
export async function benchMemory(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({ place: bench.place, name: 'memory', databaseUrl: await bench.freshDatabase() })
  const { gitlab, service } = world
  try {
    await world.slurm.instant(true)
    await world.hook()
    await world.start()
    const heap: number[] = []
    const rss: number[] = []
    await service.loop()
    for (let hour = 0; hour < hours; hour++) {
      const shas: string[] = []
      for (let n = 0; n < perHour; n += together) {
        const pushed = Array.from({ length: Math.min(together, perHour - n) }, (_, i) => i).map(i =>
          gitlab.push(`calc/${n + i}`, fileOf(perRun, `${hour} ${n + i}`)),
        )
        shas.push(...(await Promise.all(pushed)))
      }
      await world.over(shas, 120)
      await until('the evidence', async () => (await gitlab.evidenceFiles()) >= (hour + 1) * perHour)
      const size = await service.memory()
      heap.push(size.heap)
      rss.push(size.rss)
      await gitlab.calls()
      if (hour % 6 === 5)
        bench.progress(`hour ${hour + 1}: heap ${round(size.heap)} MB, resident ${round(size.rss)} MB`)
    }
    const growth = slope(heap.slice(warm)) * (hours - warm)
    const total = hours * perHour
    return [
      {
        what: `memory after a day of ${total.toLocaleString('en')} runs: growth of the heap from hour ${warm} on`,
        measured: `${round(growth)} MB (${round(heap[warm]!)} to ${round(heap.at(-1)!)} MB, ${round((growth * 1024) / (perHour * (hours - warm)))} KB a run)`,
        promise: `flat: <= ${noise} MB`,
        kept: growth <= noise,
      },
      informs('  resident then', `${round(rss[warm]!)} to ${round(rss.at(-1)!)} MB`),
      loopFigure('through the day', await service.loop()),
    ]
  } finally {
    await world.close()
  }
}

/** Of the straight line through the values, by least squares. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [n, value] of values.entries()) {
    above += (n - middle) * (value - mean)
    below += (n - middle) ** 2
  }
  return above / below
}
