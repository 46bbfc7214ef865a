import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { nextState } from '../../src/model/next-state.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { atLeast, atMostMs, type Bench, type Figure, informs, median, round, thousands, timed } from './figure.ts'
import { watchLoop } from './loop-delay.ts'
import { contextFor } from './poll-context.ts'
import { openRecordedSlurm, type QueuedJob } from './queue.ts'
import { seedJobs } from './seed-jobs.ts'
import type { Engine } from './stores.ts'

const count = 10_000
const rounds = 3
const changed = 500
type Slurm = Awaited<ReturnType<typeof openRecordedSlurm>>
interface Measured {
  readonly ms: number
  readonly blocked: number
}

/** A poll of 10,000 jobs, without and with the store, to one command a job. */
export async function benchPoll(bench: Bench): Promise<Figure[]> {
  // Before any store: starting a process from one that holds PGlite's memory takes ten times as long, which would flatter us.
  const perJob = await oneCommand()
  bench.progress(`one command takes ${round(perJob)} ms`)
  const slurm = await openRecordedSlurm(bench.place)
  const read = await benchReading(slurm)
  bench.progress(`read and concluded in ${round(read.ms)} ms, blocked for ${round(read.blocked)} ms`)
  const engines = await bench.engines()
  try {
    const against = (what: string, { ms, blocked }: Measured) => [
      atLeast(what, (perJob * count) / ms, 100, `${round(ms)} ms to ${thousands((perJob * count) / 1000)} s`),
      atMostMs('  event loop blocked meanwhile', blocked, 50, 'the longest'),
    ]
    const figures = against('poll of 10,000 jobs, read and concluded, to a command a job', read)
    for (const engine of engines) {
      const { quiet, busy, commands } = await benchPolling(slurm, engine, bench)
      figures.push(
        ...against(`whole poll of 10,000, nothing changed, ${engine.name}`, quiet),
        ...against(`whole poll of 10,000, ${changed} changed, ${engine.name}`, busy),
      )
      if (engine === engines[0])
        figures.push({
          what: 'scheduler commands a poll',
          measured: String(commands),
          promise: '<= 2',
          kept: commands <= 2,
        })
    }
    figures.push(informs('one command', `${round(perJob)} ms, the median of 200 /bin/true on this machine, no network`))
    return figures
  } finally {
    await slurm.cluster.close()
  }
}

/** The queue asked, its answer read, every job concluded about. */
async function benchReading({ cluster, show }: Slurm): Promise<Measured> {
  const jobs = Array.from({ length: count }, (_, n): QueuedJob => {
    return { id: randomUUID(), nativeId: String(100_000 + n), running: n % 2 === 0 }
  })
  await show(jobs)
  const attempts = jobs.map(job => ({ ...job, projectId: 1, runId: randomUUID(), jobId: randomUUID() }))
  const facts = await cluster.facts()
  const known = { restarts: 0, misses: 0, missedSince: null, awaiting: null, cancelRequested: false }
  return repeat(async () => {
    const { at, seen } = await cluster.observe(attempts)
    for (const { id, nativeId, running } of attempts) {
      const after = nextState({ ...known, nativeId, state: running ? 'running' : 'queued' }, seen.get(id)!, {
        facts,
        now: at,
        accountingWait: 60_000,
        inWords: cluster.inWords,
      })
      if (after.state !== (running ? 'running' : 'queued')) throw new Error(`${nativeId} was read as ${after.state}`)
    }
  })
}

/** The same with its rows: read, written, and told on. */
async function benchPolling(slurm: Slurm, { name, store }: Engine, bench: Bench) {
  const context = contextFor(slurm.cluster, store)
  const jobs = await seedJobs(store.db, slurm.cluster.name, count)
  const expect = async (changes: number) => {
    const result = await pollCluster(context, slurm.cluster.name)
    if (result.watched !== count || result.changed !== changes)
      throw new Error(`${name}: ${result.watched} watched, ${result.changed} changed, ${changes} expected`)
  }
  await slurm.show(jobs)
  await expect(0)
  const before = slurm.cluster.stats().schedulerCommands
  const quiet = await repeat(() => expect(0))
  const commands = (slurm.cluster.stats().schedulerCommands - before) / (rounds + 1)
  bench.progress(`${name}, nothing changed: ${round(quiet.ms)} ms, blocked for ${round(quiet.blocked)} ms`)
  const waiting = jobs.filter(job => !job.running).map(job => job.id)
  const now = new Map(jobs.map(job => [job.id, job]))
  const busy = await repeat(
    () => expect(changed),
    async () => {
      for (const id of waiting.splice(0, changed)) now.set(id, { ...now.get(id)!, running: true })
      await slurm.show([...now.values()])
    },
  )
  bench.progress(`${name}, ${changed} changed: ${round(busy.ms)} ms, blocked for ${round(busy.blocked)} ms`)
  return { quiet, busy, commands }
}

/** Once to warm up, then the medians of some rounds. */
async function repeat(work: () => Promise<void>, prepare = async () => {}): Promise<Measured> {
  const measured: Measured[] = []
  for (let n = 0; n <= rounds; n++) {
    await prepare()
    measured.push(await watchLoop(work))
  }
  measured.shift()
  return { ms: median(measured.map(one => one.ms)), blocked: median(measured.map(one => one.blocked)) }
}

/** The median of one local command: the least that asking for each job by itself could cost. */
async function oneCommand(): Promise<number> {
  const run = promisify(execFile)
  const times: number[] = []
  for (let n = 0; n < 200; n++) times.push(await timed(() => run('/bin/true')))
  return median(times)
}
