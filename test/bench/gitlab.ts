import { until } from '../support/until.ts'
import { atMost, type Bench, counted, type Figure, informs, round } from './figure.ts'
import { loopFigure } from './loop.ts'
import { type BenchWorld, fileOf, startBenchWorld } from './world.ts'

const sum = (calls: Record<string, number>) => Object.values(calls).reduce((all, n) => all + n, 0)
const refused = (calls: Record<string, number>) =>
  Object.entries(calls).reduce((all, [route, n]) => all + (route.endsWith(' 429') ? n : 0), 0)

/** Calls of GitLab: for a run of one job and of a hundred, while nothing changes, when a thousand jobs end at once, and while it is away. */
export async function benchGitLab(bench: Bench): Promise<Figure[]> {
  return [...(await perJob(bench)), ...(await together(bench))]
}

/** Every state of every job is shown: a job waits, runs, and ends. */
async function perJob(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({ place: bench.place, name: 'calls' })
  try {
    await world.hook()
    await world.start()
    await ofRun(world, 'calc/warm', 1)
    const one = await ofRun(world, 'calc/one', 1)
    bench.progress(`a run of one: ${show(one)}`)
    const hundred = await ofRun(world, 'calc/hundred', 100)
    bench.progress(`a run of a hundred: ${show(hundred)}`)
    return [
      counted('GitLab calls of a run of one job, with a merge request', sum(one), 12, show(one)),
      counted('GitLab calls per finished job, run of 100', sum(hundred) / 100, 4, show(hundred)),
    ]
  } finally {
    await world.close()
  }
}

async function ofRun(
  { gitlab, slurm, over }: BenchWorld,
  branch: string,
  jobs: number,
): Promise<Record<string, number>> {
  await gitlab.calls()
  const evidence = await gitlab.evidenceFiles()
  await gitlab.push(branch, fileOf(jobs))
  const { iid, sha } = await gitlab.openMergeRequest(branch)
  await until('every job to run', async () => ((await gitlab.states([sha])).running ?? 0) > jobs, 120)
  await slurm.endAll()
  await over([sha], 120)
  await until('the final note', async () => (await gitlab.finalNotes([iid])) === 1, 60)
  await until('the evidence', async () => (await gitlab.evidenceFiles()) > evidence)
  await gitlab.idle()
  return gitlab.calls()
}

const runs = 10
const jobsEach = 100
const perMinute = 100
const speed = 20

/** A thousand jobs of ten merge requests end at the same moment, where GitLab allows a hundred calls a minute; then ten minutes without GitLab. All of it twenty times as fast. */
async function together(bench: Bench): Promise<Figure[]> {
  const world = await startBenchWorld({
    place: bench.place,
    name: 'together',
    speed,
    databaseUrl: await bench.freshDatabase(),
    clusters: '  falcon: { scheduler: slurm, root: ROOT, path: SLURM, poll_interval: 15s, max_submitted: 5000 }',
  })
  const { gitlab, slurm } = world
  try {
    await world.hook()
    await world.start()
    // One as people make it; the others are made in its likeness.
    await slurm.instant(true)
    await gitlab.push('calc/first', fileOf(1))
    await world.over([(await gitlab.openMergeRequest('calc/first')).sha])
    await slurm.instant(false)
    const started = await startRuns(world, 'calc/together', runs, jobsEach)
    bench.progress(`${runs * jobsEach} jobs run`)
    const { polls, calls: quiet } = await rest(world)
    // What no hook told of is looked for with the heads: projects, and merge requests of each project.
    const { 'GET /projects': projects = 0, 'GET /projects/:id/merge_requests': requests = 0, ...others } = quiet
    bench.progress(`${polls} polls in which nothing changed: ${show(quiet)}`)

    // GitLab takes nothing until every end is known and written down: collecting a thousand results takes its real time, and that is not what is asked here.
    await gitlab.set({ requestsPerMinute: 0, notesPerMinute: 60 })
    await world.service.loop()
    await slurm.endAll()
    await until('every run to have ended', async () => (await world.service.unfinished()) === 0, 300)
    await gitlab.calls()
    await gitlab.set({ requestsPerMinute: perMinute })
    const began = world.clock()
    // What GitLab must be told at the least: an end of each job and of each run, one edit of each note.
    const least = runs * jobsEach + runs + runs
    const shas = started.map(one => one.sha)
    await world.over(shas, 200)
    await until('the notes', async () => (await gitlab.finalNotes(started.map(one => one.iid))) === runs, 60)
    const took = (world.clock() - began) / 1000
    const calls = await gitlab.calls()
    const loop = await world.service.loop()
    // The limit counts by the minute of the clock: the first minute's share goes at once.
    const minutes = Math.ceil(least / perMinute) - 1
    const allowed = 60 - ((began / 1000) % 60) + (minutes - 1) * 60
    bench.progress(`drained in ${round(took)} s of ${round(allowed)}: ${show(calls)}`)
    const notes = Math.max(...(await Promise.all(started.map(one => gitlab.ourNotes(one.iid)))))
    await gitlab.set({ requestsPerMinute: null, notesPerMinute: null })

    const figures = [
      counted(
        'GitLab calls while 1,000 jobs run and nothing changes',
        sum(others),
        0,
        `${polls} polls; beside them ${projects + requests} in five minutes to look for what no hook told of`,
      ),
      atMost(
        '1,000 finishes at once, told within what the rate limit allows',
        took / allowed,
        1.2,
        `${round(took)} to ${round(allowed)} s at ${perMinute} calls a minute, ${sum(calls)} calls, ${refused(calls)} refused`,
      ),
      counted('  notes of each merge request then', notes, 1, `${runs} merge requests of ${jobsEach} jobs`),
      loopFigure('while 1,000 jobs end', loop),
    ]
    return [...figures, ...(await outage(world, bench))]
  } finally {
    await world.close()
  }
}

const items = 100

/** A hundred jobs end while GitLab is away for ten minutes. */
async function outage(world: BenchWorld, bench: Bench): Promise<Figure[]> {
  const { gitlab, slurm } = world
  const started = await startRuns(world, 'calc/away', 4, items / 4)
  const before = await world.service.asked()
  await gitlab.fault({ status: 503 })
  const began = world.clock()
  await slurm.endAll()
  await until('ten minutes', () => world.clock() - began > 600_000, 100)
  const asked = (await world.service.asked()) - before
  await gitlab.fault(null)
  const back = world.clock()
  await world.over(
    started.map(one => one.sha),
    100,
  )
  const drained = (world.clock() - back) / 1000
  const bound = items * Math.log2(600)
  bench.progress(`${asked} calls in ten minutes without GitLab, all told ${round(drained)} s after it was back`)
  return [
    atMost(
      `calls in 10 min without GitLab, ${items} jobs ended, to items x log2 of the seconds`,
      asked / bound,
      1.1,
      `${asked} to ${round(bound)}`,
    ),
    informs('  all told after GitLab is back', `${round(drained)} s`),
  ]
}

/** Runs on merge requests, their jobs under way as after an hour: submitting a thousand is another bench's business. */
async function startRuns({ gitlab, service, slurm, root }: BenchWorld, prefix: string, many: number, jobs: number) {
  const started: { branch: string; sha: string; iid: number }[] = []
  for (let n = 0; n < many; n++) {
    const branch = `${prefix}/${n}`
    await gitlab.push(branch, { 'README.md': `# ${branch}\n` })
    started.push({ branch, ...(await gitlab.openMergeRequest(branch)) })
  }
  await gitlab.idle()
  await slurm.add(await service.seed(started, jobs, root))
  const shas = started.map(one => one.sha)
  await until('all jobs to run', async () => ((await gitlab.states(shas)).running ?? 0) >= many * (jobs + 1), 300)
  return started
}

/** Five minutes of the world's time after all has come to rest. */
async function rest(world: BenchWorld) {
  let last = ''
  let since = world.clock()
  await until('a minute without news', async () => {
    const now = JSON.stringify(await world.gitlab.calls())
    if (now !== '{}' && now !== last) since = world.clock()
    last = now
    return world.clock() - since > 60_000
  })
  const before = (await world.service.stats('falcon')).schedulerCommands
  const began = world.clock()
  await until('five minutes', () => world.clock() - began > 300_000, 200)
  return { polls: (await world.service.stats('falcon')).schedulerCommands - before, calls: await world.gitlab.calls() }
}

function show(calls: Record<string, number>): string {
  const list = Object.entries(calls)
    .sort((a, b) => b[1] - a[1])
    .map(([route, n]) => `${n} ${route.replace('/projects/:id', '').replace('/merge_requests', '/mr')}`)
  return list.length === 0 ? 'none' : list.join(', ')
}
