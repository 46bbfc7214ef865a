import { sql } from 'drizzle-orm'
import { parse } from 'yaml'
import { openStore, rows, type Store } from '../../src/store/open.ts'
import { beganOn, ended, proofsOn } from './kill-cluster.ts'
import { type KillStory, pollMs } from './kill-story.ts'

interface RunFound {
  id: string
  ref: string
  sha: string
  cause: string
  state: string
  ended_at: string | null
}
interface JobFound {
  id: string
  run_id: string
  name: string
  state: string
  reason: string | null
  cancel_reason: string | null
}
interface AttemptFound {
  id: string
  job_id: string
  run_id: string
  number: number
  native_id: string | null
  state: string
  final: boolean
  submitted_at: Date | string | null
  created_at: Date | string
  exit_code: number | null
}
interface DeliveryFound {
  id: string
  key: string
  outcome: string
  result: string | null
  done_at: Date | string | null
  received_at: Date | string
}

export interface Verdict {
  /** Each a promise that was broken, with what is known of it. Empty: all is well. */
  readonly broken: string[]
  readonly counts: Record<string, number>
  /** ms from the last start until everything was resolved that the world had decided before. */
  readonly resolvedAfter: number
}

const time = (value: Date | string | null) => (value === null ? null : new Date(value).getTime())

/** Compares what the service says with what GitLab got, what the cluster did and what was acknowledged. The service must be silent. */
export async function judge(story: KillStory, lastStart: number): Promise<Verdict> {
  const store = await openStore({ databaseUrl: story.options.databaseUrl, dataDir: `${story.place}/data-0` })
  try {
    return await judgeRows(story, store, lastStart)
  } finally {
    await store.close()
  }
}

async function judgeRows(story: KillStory, { db }: Store, lastStart: number): Promise<Verdict> {
  const { simulator, project, cluster, bot } = story
  const broken: string[] = []
  const runs = await rows<RunFound>(db, sql`select id, ref, sha, cause, state, ended_at from runs order by id`)
  const jobs = await rows<JobFound>(
    db,
    sql`select id, run_id, name, state, reason, cancel_reason from jobs order by run_id, position`,
  )
  const attempts = await rows<AttemptFound>(db, sql`select * from attempts order by id`)
  const deliveries = await rows<DeliveryFound>(
    db,
    sql`select id, key, outcome, result, done_at, received_at from deliveries`,
  )
  const reports = await rows<Record<string, unknown>>(
    db,
    sql`select kind, key, run_id, desired, sent_hash = desired_hash as told, refused, tries, last_error, parked_at, lease_until, next_at from reports`,
  )
  const accepted = await cluster.accepted()
  const began = beganOn(cluster)
  const proofs = proofsOn(cluster)
  const calls = cluster.calls()

  /** Everything that is known of some ids, in the order of the path. */
  const tell = (what: string, ...ids: (string | null | undefined)[]) => {
    const wanted = ids.filter((id): id is string => typeof id === 'string' && id !== '')
    const about = (value: unknown) => wanted.some(id => JSON.stringify(value).includes(id))
    const lines = [...deliveries, ...runs, ...jobs, ...attempts, ...reports]
      .filter(about)
      .map(row => `  row ${JSON.stringify(row)}`)
    const heard = story.logged.filter(line => about(line) || line.includes(' -- ')).map(line => `  log ${line}`)
    const asked = calls.filter(about).map(call => `  call ${call.slice(0, 200)}`)
    const ran = [...accepted, ...began].filter(about).map(job => `  cluster ${JSON.stringify(job)}`)
    const shown = runs
      .filter(about)
      .flatMap(run =>
        simulator
          .statuses(project.id, run.sha, { all: true })
          .map(
            ({ id, pipelineId, ref, name, status, retried, createdAt, finishedAt, description }) =>
              `  status ${JSON.stringify({ id, pipelineId, ref, name, status, retried, createdAt, finishedAt, description })}`,
          ),
      )
    broken.push([what, ...lines, ...ran, ...shown, ...asked, ...heard.slice(-120)].join('\n'))
  }

  // Nothing acknowledged is lost.
  const byKey = new Map(deliveries.map(delivery => [delivery.key, delivery]))
  for (const ack of story.door.acknowledged) {
    const found = [...byKey].find(([key]) => key.includes(ack.key))?.[1]
    if (found === undefined) tell(`lost: the delivery ${ack.key} (${ack.event}) was answered ${ack.answer}`, ack.key)
    else if (found.done_at === null || found.result === null) tell(`without outcome: the delivery ${ack.key}`, found.id)
  }

  // What should have run has run, once.
  const gone = new Set(
    (await rows<{ ref: string }>(db, sql`select ref from branches where state = 'gone'`)).map(branch => branch.ref),
  )
  const computedElsewhere = (ref: string, sha: string) =>
    runs.some(run => run.sha === sha && run.ref !== ref && !gone.has(run.ref) && /^(completed|failed)$/.test(run.state))
  const runsAt = (ref: string, sha: string) => runs.filter(run => run.ref === ref && run.sha === sha)
  for (const branch of story.branches) {
    const ref = `refs/heads/${branch.name}`
    const head = branch.shas.at(-1)!
    if (!branch.deleted && runsAt(ref, head).length === 0 && !computedElsewhere(ref, head))
      tell(`never run: ${branch.name} at ${head}`, ref, head)
    for (const sha of new Set(branch.shas)) {
      const same = runsAt(ref, sha)
      if (same.length > 1) tell(`run twice: ${branch.name} at ${sha}`, ...same.map(run => run.id))
    }
  }
  for (const run of runs) if (run.ended_at === null) tell(`not ended: run ${run.id} is ${run.state}`, run.id, run.sha)

  // One submission per attempt, one beginning per attempt, nothing on the cluster that nobody knows.
  const attemptOf = new Map(attempts.map(attempt => [`compops-${attempt.id}`, attempt]))
  for (const [name, copies] of Map.groupBy(accepted, job => job.name)) {
    const attempt = attemptOf.get(name)
    if (copies.length > 1) tell(`submitted ${copies.length} times: ${name}`, name.slice(8))
    if (attempt === undefined) tell(`on the cluster and unknown: ${name}`, name.slice(8))
    // One that was given up while in doubt was accepted for nothing: the fence turned it away.
    else if (attempt.native_id === null && attempt.state === 'canceled') {
      if (began.some(job => job.nativeId === copies[0]!.id))
        tell(`began, and is called canceled in doubt: ${name}`, attempt.id)
    } else if (attempt.native_id !== copies[0]!.id)
      tell(`known as ${attempt.native_id}, is ${copies[0]!.id}: ${name}`, attempt.id)
    for (const copy of copies)
      if (!ended.test(copy.state)) tell(`left on the cluster: ${name} is ${copy.state}`, name.slice(8))
  }
  for (const attempt of attempts) {
    if (!attempt.final) tell(`not concluded: attempt ${attempt.id} is ${attempt.state}`, attempt.id)
    if (attempt.native_id !== null && !accepted.some(job => job.name === `compops-${attempt.id}`))
      tell(`has a native id, but the cluster has no such job: ${attempt.id}`, attempt.id)
  }
  const jobOf = new Map(jobs.map(job => [job.id, job]))
  for (const [key, times] of Map.groupBy(began, one => `${one.run} ${one.job} ${one.attempt}`))
    if (times.length > 1) tell(`began ${times.length} times: ${key}`, times[0]!.run)
  for (const attempt of attempts) {
    const job = jobOf.get(attempt.job_id)!
    const before = attempts.filter(one => one.job_id === attempt.job_id && one.number < attempt.number)
    // Another attempt only follows one that was cancelled (the commit was wanted again).
    for (const one of before)
      if (one.state !== 'canceled')
        tell(`attempt ${attempt.number} of ${job.name} after one that is ${one.state}`, job.id)
  }

  // No false success, at any time: GitLab's history is kept with its times.
  const proofOf = (runId: string, name: string) => proofs.get(`${runId} ${name}`)
  for (const run of runs) {
    const own = jobs.filter(job => job.run_id === run.id)
    for (const job of own) {
      const proof = proofOf(run.id, job.name)
      if (job.state === 'completed' && proof === undefined) tell(`completed without proof: ${job.name}`, run.id)
      if (job.state === 'failed' && proof !== undefined) tell(`failed although it came to its end: ${job.name}`, run.id)
      if (job.state === 'failed' && job.reason !== 'exit') tell(`failed for ${job.reason}: ${job.name}`, run.id)
      if (job.state === 'canceled' && proof !== undefined)
        tell(`canceled although it came to its end: ${job.name}`, run.id)
      if (job.state === 'canceled' && job.cancel_reason === null) tell(`canceled by nobody: ${job.name}`, run.id)
    }
    const branch = run.ref.replace('refs/heads/', '')
    for (const status of simulator.statuses(project.id, run.sha, { all: true })) {
      if (status.status !== 'success' || status.ref !== branch) continue
      const names = status.name === 'compops/tree' ? own.map(job => job.name) : [status.name.replace('compops/', '')]
      for (const name of names) {
        const proof = proofOf(run.id, name)
        if (proof === undefined || proof.getTime() > (status.finishedAt?.getTime() ?? 0) + 5)
          tell(`GitLab was told ${status.name} success, without proof of ${name}`, run.id, run.sha)
      }
    }
    // Every status ends, and as the run did.
    const shown = simulator.statuses(project.id, run.sha).filter(status => status.ref === branch)
    for (const status of shown)
      if (!/^(success|failed|canceled|skipped)$/.test(status.status))
        tell(`GitLab shows ${status.name} as ${status.status} for ever`, run.id, run.sha)
    const expected: Record<string, RegExp> = {
      completed: /^success$/,
      failed: /^failed$/,
      canceled: /^canceled$/,
      skipped: /^(skipped|canceled)$/,
    }
    for (const [name, state] of [...own.map(job => [job.name, job.state] as const), ['tree', run.state] as const]) {
      const status = shown.filter(one => one.name === `compops/${name}`)
      if (status.length !== 1 || !expected[state]?.test(status[0]!.status))
        tell(
          `compops/${name} is ${status.map(one => one.status).join(' and ') || 'missing'}, the job ${state}`,
          run.id,
          run.sha,
        )
    }
  }

  // One note a merge request, one reply per run.
  for (const branch of story.branches) {
    if (branch.mergeRequest === null) continue
    const iid = branch.mergeRequest
    const ours = simulator.notes(project.id, iid).filter(note => note.authorId === bot.id && !note.system)
    const notes = ours.filter(note => note.body.includes('<!-- compops:tree'))
    const run = runsAt(`refs/heads/${branch.name}`, branch.shas.at(-1)!)[0]
    if (notes.length > 1) tell(`${notes.length} notes on !${iid}`, `note ${project.id} ${iid}`, run?.id)
    if (notes.length === 0 && run !== undefined && !branch.deleted)
      tell(`no note on !${iid} of ${branch.name}`, `refs/heads/${branch.name}`, run?.id)
    const markers = ours.flatMap(note => /<!-- compops:reply run=(\S+) mr=\d+ -->/.exec(note.body)?.[1] ?? [])
    for (const [id, same] of Map.groupBy(markers, marker => marker))
      if (same.length > 1) tell(`${same.length} replies to run ${id} on !${iid}`, id)
    for (const report of reports)
      if (report.kind === 'reply' && report.told !== true) tell(`a reply on !${iid} was never sent`, String(report.key))
  }

  // The evidence of each run, once.
  const files = (await simulator.files(project.id, 'compops/evidence')) ?? []
  for (const run of runs) {
    const branch = run.ref.replace('refs/heads/', '')
    const own = files.filter(path => path.startsWith('runs/') && path.endsWith(`-${run.id}.yml`))
    if (own.length !== 1) {
      tell(`${own.length} records of run ${run.id} of ${branch}`, run.id)
      continue
    }
    const record = parse((await simulator.readFile(project.id, 'compops/evidence', own[0]!)) ?? '')
    if (record.state !== run.state) tell(`the evidence says ${record.state}, the run is ${run.state}`, run.id)
  }

  // What the world had decided before the last start is resolved soon after it.
  const late: number[] = [0]
  for (const delivery of deliveries)
    if (time(delivery.received_at)! < lastStart && delivery.outcome === 'accepted')
      late.push((time(delivery.done_at) ?? Number.POSITIVE_INFINITY) - lastStart)
  for (const attempt of attempts)
    if (time(attempt.created_at)! < lastStart && attempt.submitted_at !== null)
      late.push(time(attempt.submitted_at)! - lastStart)
  for (const run of runs)
    for (const job of jobs.filter(one => one.run_id === run.id)) {
      const proof = proofOf(run.id, job.name)
      if (proof === undefined || proof.getTime() > lastStart - 1000) continue
      const status = simulator.statuses(project.id, run.sha).find(one => one.name === `compops/${job.name}`)
      late.push((status?.finishedAt?.getTime() ?? Number.POSITIVE_INFINITY) - lastStart)
    }

  return {
    broken,
    counts: {
      kills: [...story.killed.values()].reduce((sum, n) => sum + n, 0),
      acknowledged: story.door.acknowledged.length,
      missed: story.door.failed(),
      runs: runs.length,
      jobs: jobs.length,
      attempts: attempts.length,
      submitted: accepted.length,
      doubled: accepted.length - new Set(accepted.map(job => job.name)).size,
      proofs: proofs.size,
      polls: pollMs,
    },
    resolvedAfter: Math.max(...late),
  }
}
