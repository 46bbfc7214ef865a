import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.ts'
import { atMostMs, type Bench, counted, type Figure, informs, median, round, thousands } from './figure.ts'
import { loopFigure } from './loop.ts'
import { type BenchWorld, startBenchWorld } from './world.ts'

/** All in one pipeline, queued at once; COMPOPS_BENCH_GATES is for a quick look. */
const gates = Number(process.env.COMPOPS_BENCH_GATES ?? 2_000)
/** Until all of them run, or have been played: submissions are slower than anything else here. */
const patience = 60 + gates
/** Handed over side by side, as a pipeline's jobs are. */
const together = 10
const quiet = 20
const lines = 20

const sum = (calls: Record<string, number>) => Object.values(calls).reduce((all, n) => all + n, 0)

/** What a CI job costs: behind a gate while its batch job is queued, until the gate is played, and with its log followed. */
export async function benchCi(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({
    ...{ place: bench.place, name: 'ci', databaseUrl: await bench.freshDatabase() },
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: SLURM, poll_interval: 1s, max_submitted: 5000 }
  laptop: { scheduler: local, root: ROOT-laptop, poll_interval: 1s }`,
    rule: '    clusters: [falcon, laptop]\n    gates: ["g*"]',
  })
  try {
    await world.hook()
    await world.start()
    return [...(await behindGates(world, bench)), ...(await followed(world, bench))]
  } finally {
    await world.close()
  }
}

async function behindGates(world: BenchWorld, bench: Bench): Promise<Figure[]> {
  const { gitlab, service, slurm } = world
  const { sha, jobs } = await gitlab.pipelineOfGates('feature/gates', gates, world.url)
  const allRun = (many: number) =>
    until(`${many} batch jobs to run`, async () => ((await gitlab.states([sha])).running ?? 0) >= many, patience)
  const kilobytes = (megabytes: number) => (megabytes * 1024) / (gates / 2)
  const before = await service.memory()
  await gitlab.calls()
  await service.loop()
  const taken: number[] = []
  let half = before
  for (let from = 0; from < jobs.length; from += together) {
    if (from === Math.floor(jobs.length / 2 / together) * together) {
      await allRun(from)
      half = await service.memory()
      bench.progress(`${from} gates wait`)
    }
    await Promise.all(
      jobs.slice(from, from + together).map(async job => {
        const started = performance.now()
        await handOver(world, job)
        taken.push(performance.now() - started)
      }),
    )
  }
  await gitlab.endCiJobs(jobs.map(job => job.id))
  await allRun(gates)
  await gitlab.idle()
  const handing = await gitlab.calls()
  bench.progress(`${gates} gates wait`)
  const size = await service.memory()
  const commands = (await service.stats('falcon')).schedulerCommands
  await new Promise(resolve => setTimeout(resolve, quiet * 1_000))
  const waiting = await gitlab.calls()
  const asked = (await service.stats('falcon')).schedulerCommands - commands
  await slurm.endAll()
  await until('every gate to be played', async () => (await gitlab.played(sha)) === gates, patience)
  await until('every status to end', async () => ((await gitlab.states([sha])).success ?? 0) >= 2 * gates, patience)
  const playing = await gitlab.calls()
  const show = (calls: Record<string, number>) =>
    Object.entries(calls)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 4)
      .map(([route, n]) => `${n} ${route}`)
      .join(', ')
  const many = thousands(gates)
  const perHour = (n: number) => (n / quiet) * (3_600 / gates)
  const [first, second] = [kilobytes(half.heap - before.heap), kilobytes(size.heap - half.heap)]
  return [
    counted(
      `CI: GitLab calls an hour for each of ${many} queued jobs`,
      perHour(sum(waiting)),
      1,
      `${sum(waiting)} in ${quiet} s: ${show(waiting) || 'none'}`,
    ),
    counted(
      `CI: commands of the scheduler in ${quiet} s while ${many} jobs are queued, polled every second`,
      asked,
      2 * quiet,
      `${round(perHour(asked / 15))} an hour for each at the usual 15 s`,
    ),
    counted(
      'CI: GitLab calls for a job behind a gate, to its verdict',
      (sum(handing) + sum(playing)) / gates,
      5,
      show(playing),
    ),
    informs('  handing a job over', `median ${round(median(taken))} ms, ${together} side by side`),
    counted(
      `CI: heap for each queued job, KB, of the second half of ${many}`,
      second,
      8,
      `${round(first)} of the first; ${round(before.heap)} to ${round(half.heap)} to ${round(size.heap)} MB`,
    ),
    loopFigure(`with ${many} gates`, await service.loop()),
  ]
}

async function handOver(world: BenchWorld, job: { readonly name: string; readonly token: string }): Promise<void> {
  const gate = job.name.replace('s', 'g')
  await until(`${job.name} to be handed over`, async () => {
    const answer = await fetch(`${world.url}/bridge/v1/job`, {
      method: 'POST',
      body: new URLSearchParams({ mode: 'gate', gate, name: job.name, script: 'true' }),
      headers: { authorization: `Bearer ${job.token}`, 'compops-holder': `the-secret-of-${job.name}-itself` },
    })
    const said = await answer.text()
    // Busy is no answer yet; a refusal is one.
    if (!answer.ok && answer.status !== 503) throw new Error(`${job.name} was refused: ${said}`)
    return answer.ok
  })
}

/** The real script of the templates follows a job that writes what time it is. */
async function followed(world: BenchWorld, bench: Bench): Promise<Figure[]> {
  const { jobs } = await world.gitlab.pipelineOfGates('feature/log', 1, world.url)
  const script = fileURLToPath(new URL('../../ci-templates/compops.sh', import.meta.url))
  const child = spawn('sh', ['-c', '. "$1"; compops_attach', 'sh', script], {
    env: {
      ...{ PATH: process.env.PATH, HOME: world.place, CI_PROJECT_DIR: world.place, CI_JOB_ID: String(jobs[0]!.id) },
      ...{ CI_JOB_NAME: 's0', COMPOPS_URL: world.url, COMPOPS_ID_TOKEN: jobs[0]!.token, COMPOPS_CLUSTER: 'laptop' },
      COMPOPS_SCRIPT: `n=0; while [ $n -lt ${lines} ]; do echo "at $(date +%s%3N)"; n=$((n + 1)); sleep 0.7; done`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const late: number[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    for (const [, at] of chunk.toString().matchAll(/^at (\d+)$/gm)) late.push(Date.now() - Number(at))
  })
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  if (code !== 0 || late.length < lines) throw new Error(`the followed job ended with ${code}, ${late.length} lines`)
  bench.progress(`a log was followed: ${late.length} lines`)
  return [
    atMostMs(
      'CI: a line of a followed log, from the cluster to the CI log',
      median(late),
      5_000,
      `median of ${late.length}, longest ${round(Math.max(...late))} ms`,
    ),
  ]
}
