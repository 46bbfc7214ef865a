import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { nextState } from '../../src/model/next-state.ts'
import type { AccountingRow, QueueRow, Seen } from '../../src/model/observation.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { makeSource, submitRequest, watched } from '../cluster/requests.ts'
import { jobRequest } from '../scheduler/requests.ts'
import { type SgeLab, sgeLabUp } from '../support/sge-lab.ts'
import { until } from '../support/until.ts'
import { startWorld } from '../support/world.ts'

/** The cluster room, and one path from a push to its evidence, on a real Grid Engine behind a real sshd. */

const sge = dialectOf('sge')
const source = makeSource({
  'README.md': 'a computation\n',
  // Read by qsub in its working directory, were it started there.
  '.sge_request': '-l h_rt=1\n-N stolen\n-b y\n',
  'jobs/simulate.sh': '#!/bin/bash\n#$ -l h_rt=0:1:0\n#$ -o never-used.txt\necho "$JOB_NAME"; exit 4\n',
})
let lab: SgeLab
let cluster: Cluster
const open: Cluster[] = []

beforeAll(async () => {
  lab = await sgeLabUp()
  cluster = service()
})
afterAll(async () => {
  await Promise.all(open.map(one => one.close()))
})

function remote() {
  const { host, port, user, identityFile, knownHostsFile } = lab
  return createSsh2Remote({ host, port, user, identityFile, knownHostsFile })
}

function service(settle = 90): Cluster {
  const opened = openCluster({ name: 'lab', dialect: sge, remote: remote(), root: lab.root, settle })
  open.push(opened)
  return opened
}

const request = (spec: Partial<JobSpec>, changes: Partial<Omit<SubmitRequest, 'spec'>> = {}) =>
  submitRequest({ source, ...changes, spec: { resources: { time: 300 }, ...spec } })

async function start(job: SubmitRequest, on = cluster): Promise<WatchedAttempt> {
  const outcome = await on.submit(job)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return watched(job, outcome.nativeId)
}

const look = async (attempt: WatchedAttempt): Promise<Seen> => (await cluster.observe([attempt])).seen.get(attempt.id)!

/** Until accounting has said how it ended. */
const ended = (attempt: WatchedAttempt) =>
  until(
    `the end of job ${attempt.nativeId}`,
    async () => {
      const seen = await look(attempt)
      const accounted = seen.accounting as AccountingRow | null
      return accounted?.verdict != null && seen.queue === null ? seen : null
    },
    60,
  )

const running = (attempt: WatchedAttempt) =>
  until('it to run', async () => (await cluster.collect(attempt)).logTail.includes('\nready\n'), 60)

/** What the service would conclude of what was seen. */
async function conclude(attempt: WatchedAttempt, seen: Seen, cancelRequested = false) {
  const before = { state: 'running', nativeId: attempt.nativeId!, restarts: 0, misses: 0, missedSince: null } as const
  const facts = await cluster.facts()
  const options = { facts, now: new Date(), accountingWait: 60_000, inWords: cluster.inWords }
  return nextState({ ...before, awaiting: null, cancelRequested }, seen, options)
}

const directory = (job: SubmitRequest) => join(lab.root, '42/runs', job.runId, 'jobs', job.jobId, job.attemptId)

test('what the cluster tells about itself', async () => {
  expect(await cluster.facts()).toEqual({
    version: `sge ${lab.version}`,
    accounting: true,
    remembers: 60,
    nativeDependencies: false,
    maxArraySize: 75_000,
  })
})

test('its queues, hosts and what waits', async () => {
  const told = await cluster.capacity()
  expect(told.queues?.find(one => one.name === 'all.q')).toMatchObject({ open: true })
  expect(Object.values(told.nodes ?? {})).toEqual([1])
  expect(told.cores?.total).toBeGreaterThan(0)
  expect(told.waiting?.jobs).toEqual(expect.any(Number))
})

test('a job from submission to its end and results, hostile names and all', async () => {
  const hostile = `$(touch pwned)'"\`id\`\n#$ -q nosuch.q`
  const job = request(
    {
      script: [
        'mkdir -p results; echo 1 > results/x.csv; ln -s /etc/passwd results/p.csv',
        'echo "{\\"energy\\": -1.5}" > m.json',
        'printf "<%s>" "$COMPOPS_BRANCH" "$TZ" "$LC_ALL" "$PWD" "$JOB_NAME" "$NSLOTS"',
      ],
      outputs: ['results/**/*.csv'],
      metrics: 'm.json',
      resources: { partition: 'all.q', time: 300, cpus_per_task: 2, mem: 600, nice: 1 },
      directives: ['-pe smp 2'],
    },
    { branch: hostile },
  )
  const attempt = await start(job)
  expect(await cluster.submit(job)).toEqual({ kind: 'accepted', nativeId: attempt.nativeId, roundTrips: 1 })
  const seen = await ended(attempt)
  expect(seen).toMatchObject({
    accounting: { verdict: 'completed', exitCode: 0, queue: 'all.q', name: `compops-${attempt.id}`, cpus: 2 },
    exit: { nativeId: attempt.nativeId, restarts: 0, code: 0 },
    started: { nativeId: attempt.nativeId },
  })
  expect(await conclude(attempt, seen)).toMatchObject({ state: 'completed', exitCode: 0 })
  const collected = await cluster.collect(attempt)
  expect(collected.outputs).toMatchObject([{ path: 'results/x.csv', size: 2 }])
  expect(collected.metrics).toEqual({ energy: -1.5 })
  const work = `${lab.root}/42/runs/${job.runId}/work`
  expect(collected.logTail).toContain(`<${hostile}><><><${work}><compops-${attempt.id}><2>`)
  expect(collected.environment).toMatchObject({ nodes: 'localhost' })
  expect((await cluster.observe([attempt])).commands).toBe(2)
})

test('jobs that end badly say so, each in its own way; exit codes 99 and 100 are exit codes', async () => {
  const memory = 'head -c 400000000 /dev/zero | tail -c 300000000 | wc -c'
  const cases = [
    [{ script: ['exit 3'] }, { accounting: { verdict: 'exit', exitCode: 3 }, exit: { code: 3 } }],
    [{ script: ['kill -SEGV $$'] }, { accounting: { verdict: 'exit', exitCode: 139 }, exit: { code: 139 } }],
    // To Grid Engine 99 would be "start it again" and 100 "hold it in error".
    [{ script: ['exit 99'] }, { accounting: { verdict: 'exit', exitCode: 1 }, exit: { code: 99 } }],
    [{ script: ['exit 100'] }, { accounting: { verdict: 'exit', exitCode: 1 }, exit: { code: 100 } }],
    [
      { script: ['sleep 300'], resources: { time: 3 } },
      { accounting: { verdict: 'timeout', exitCode: 137, signal: 9 }, exit: null },
    ],
    [{ script: [memory], resources: { mem: 100 } }, { accounting: { verdict: 'exit' } }],
    [
      { script: null, file: { path: 'jobs/simulate.sh', interpreter: ['/bin/bash'] } },
      { accounting: { verdict: 'exit', exitCode: 4 }, exit: { code: 4 } },
    ],
  ] as const
  const started = await Promise.all(cases.map(async ([spec]) => await start(request(spec as Partial<JobSpec>))))
  for (const [i, [spec, expected]] of cases.entries())
    expect(await ended(started[i]!), JSON.stringify(spec)).toMatchObject(expected)
  const [, , again] = started
  expect(await conclude(again!, await look(again!))).toMatchObject({ state: 'failed', reason: 'exit', exitCode: 99 })
  const late = started[4]!
  expect(await conclude(late, await look(late))).toMatchObject({ state: 'failed', reason: 'timeout' })
})

test.each([
  ['queue', { partition: 'nosuch.q' }, 'job requests unknown queue "nosuch.q"'],
  ['project', { account: 'nosuch' }, 'the requested project "nosuch" does not exist'],
  ['complex', { gres: 'nosuch=1' }, 'unknown resource "nosuch"'],
])('a refusal, in the words of qsub: %s', async (_, resources, words) => {
  const job = request({ resources })
  const outcome = await cluster.submit(job)
  expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringContaining(words) })
  expect(await service().submit(job)).toEqual(outcome)
})

test('ten submissions of one attempt at once, by two services, are one job', async () => {
  const job = request({ script: ['true'] })
  const other = service()
  const ids = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      until('a native id', async () => {
        const outcome = await (i % 2 === 0 ? cluster : other).submit(job)
        return outcome.kind === 'accepted' ? outcome.nativeId : null
      }),
    ),
  )
  expect(new Set(ids).size).toBe(1)
})

describe('killed between submission and the saved id', () => {
  test('the job is found by its name in the queue, and afterwards in accounting', async () => {
    const job = request({ script: ['echo ready; until [ -e ../go ]; do sleep 0.1; done'] })
    const attempt = await start(job)
    const forget = () => {
      for (const file of ['id', 'started.0']) rmSync(join(directory(job), file), { force: true })
    }
    await running(attempt)
    forget()
    expect(await cluster.submit(job)).toMatchObject({ kind: 'accepted', nativeId: attempt.nativeId })
    await lab.as('touch', join(lab.root, '42/runs', job.runId, 'go'))
    await ended(attempt)
    forget()
    expect(await cluster.submit(job)).toMatchObject({ kind: 'accepted', nativeId: attempt.nativeId })
  })
})

describe('cancellation, verified', () => {
  test('of a waiting and of a running job; a stranger’s of the same account stays', async () => {
    const waiting = await start(request({ directives: ['-a 203001010000'] }))
    const busy = await start(request({ script: ['echo ready', 'sleep 300'] }))
    const saves = await start(
      request({
        script: ['trap "echo saved > saved; exit 9" USR2', 'echo ready', 'while :; do sleep 0.1 || :; done'],
        outputs: ['saved'],
        directives: ['-notify'],
      }),
    )
    const theirs = (await lab.as('qsub', '-terse', '-h', '-N', 'theirs', '-b', 'y', 'true')).trim()
    await running(busy)
    await running(saves)
    expect((await look(waiting)).queue).toMatchObject({ state: 'queued', nativeState: 'qw' })
    expect(await cluster.cancel([waiting, busy, saves, watched(request({}), theirs)])).toEqual(
      new Map([
        [waiting.id, 'gone'],
        [busy.id, 'gone'],
        [saves.id, 'gone'],
        [expect.any(String), 'gone'],
      ]),
    )
    expect(await conclude(busy, await ended(busy), true)).toMatchObject({ state: 'canceled' })
    // qdel kills at once; only -notify leaves time.
    expect((await look(busy)).exit).toBeNull()
    const seen = await ended(saves)
    expect(seen.exit).toMatchObject({ code: 9 })
    expect((await cluster.collect(saves)).outputs).toMatchObject([{ path: 'saved' }])
    expect(await lab.as('qstat', '-j', theirs)).toContain('theirs')
    await lab.as('qdel', theirs)
  })
})

test('a job that cannot be started never started, in the words of Grid Engine; removed, it is the same', async () => {
  await lab.operator('qmod', '-d', 'all.q')
  let attempt: WatchedAttempt
  try {
    const job = request({})
    attempt = await start(job)
    rmSync(join(lab.root, '42/runs', job.runId, 'work'), { recursive: true })
  } finally {
    await lab.operator('qmod', '-e', 'all.q')
  }
  const seen = await until('its error state', async () => {
    const now = await look(attempt)
    return now.queue?.nativeState === 'Eqw' && now.accounting !== null ? now : null
  })
  expect(seen).toMatchObject({
    queue: { state: 'ended', verdict: 'never started', reason: expect.stringContaining("can't chdir to") },
    accounting: { verdict: 'never started', exitCode: null },
  })
  expect(await conclude(attempt, seen)).toMatchObject({
    state: 'failed',
    reason: 'submit',
    message: expect.stringMatching(/before it started \(failed 28 .*can't chdir to .*No such file or directory\)/),
  })
  expect(await cluster.cancel([attempt], { fence: true })).toEqual(new Map([[attempt.id, 'gone']]))
  expect(await conclude(attempt, await ended(attempt))).toMatchObject({ state: 'failed', reason: 'submit' })
})

test('states in which it waits or stands still', async () => {
  const job = await start(request({ script: ['echo ready', 'sleep 300'], requeue: true }))
  await running(job)
  // The job is faster than the report that it runs; until then (`t`) qmod refuses.
  await until('the scheduler to know that it runs', async () => (await look(job)).queue?.nativeState === 'r')
  await lab.as('qmod', '-sj', job.nativeId!)
  const suspended = await until('it to be suspended', async () => {
    const { queue } = await look(job)
    return queue?.state === 'suspended' ? queue : null
  })
  expect(suspended).toMatchObject({ nativeState: 's', reason: 's' })
  await lab.as('qmod', '-usj', job.nativeId!)
  await lab.as('qmod', '-rj', job.nativeId!)
  const again = await until('it to be put back', async () => {
    const { queue } = await look(job)
    return queue !== null && queue.restarts === 1 ? queue : null
  })
  expect(['queued', 'running']).toContain(again.state)
  await until('it to run again', async () =>
    (await cluster.collect(job)).logTail.includes('compops: started again by the scheduler (1)'),
  )
  await cluster.cancel([job])
  expect(await ended(job)).toMatchObject({ accounting: { verdict: 'exit', signal: 9 } })
})

test('an array: rows of tasks in the queue and in accounting', async () => {
  const name = `compops-${randomUUID()}`
  const array = { numbers: [1, 3, 5, 7], throttle: 2 }
  const work = lab.root
  const words = sge.submitArguments(jobRequest({}, { name, directory: lab.root, work, array }))
  const line = remote()
  const program = async (call: string, input = '') => {
    const answer = await line.run({ program: `${sge.shell}\n${call}`, input })
    expect(answer).toMatchObject({ rc: 0 })
    return answer.stdout
  }
  try {
    const script = `${lab.root}/task`
    await lab.as('sh', '-c', `printf '%s\\n' 'sleep 2' 'exit $((SGE_TASK_ID == 5 ? 99 : SGE_TASK_ID))' >${script}`)
    const quoted = [script, ...words].map(word => `'${word}'`).join(' ')
    // Task 5 leaves by hand with the code that starts it again.
    const id = sge.readSubmit(await program(`scheduler_submit ${quoted}`))
    const queued = async () =>
      [...sge.readQueue(await program('scheduler_queue'))].filter((row: QueueRow) => row.name === name)
    const first = await until('two of its tasks to run', async () => {
      const rows = await queued()
      return rows.filter(row => row.state === 'running').length === 2 ? rows : null
    })
    expect(first.map(row => [row.nativeId, row.state, row.tasks])).toEqual([
      [id, 'running', [{ from: 1, to: 1, step: 1 }]],
      [id, 'running', [{ from: 3, to: 3, step: 1 }]],
      [
        id,
        'queued',
        [
          { from: 5, to: 5, step: 1 },
          { from: 7, to: 7, step: 1 },
        ],
      ],
    ])
    const past = async () =>
      [...sge.readPast(await program('scheduler_past', `${id} ${name} ${lab.root}\n`))].map(
        one => one.row as AccountingRow,
      )
    const rows = await until('a task to be started again', async () => {
      const found = await past()
      return found.some(row => row.verdict === null) ? found : null
    })
    expect(rows.filter(row => row.tasks?.[0]?.from === 3)).toMatchObject([{ verdict: 'exit', exitCode: 3 }])
    await lab.as('qdel', id)
    await until('the array to be gone', async () => (await queued()).length === 0)
  } finally {
    await line.close()
  }
})

test('from a push to its evidence', async () => {
  const { host, port, user, identityFile, knownHostsFile, root } = lab
  const world = await startWorld({
    clusters: `  falcon:
    scheduler: sge
    ssh: { host: ${host}, port: ${port}, user: ${user}, identity_file: ${identityFile}, known_hosts_file: ${knownHostsFile} }
    root: ${root}
    poll_interval: 5s
    max_poll_interval: 5s
    allow_directives: ["-pe smp *"]
    defaults: { partition: all.q, time: 5m }`,
    rule: '    clusters: [falcon]\n    notify: finished',
  })
  try {
    const sha = await world.push(
      'calc/heat',
      {
        '.compops.yml': `jobs:
  mesh:
    script: [mkdir -p results, "echo 1,2 > results/mesh.csv"]
    outputs: [results/*.csv]
  simulate:
    needs: [mesh]
    file: jobs/simulate.sh
    metrics: metrics.json
  again:
    script: [exit 99]
  sweep:
    array: 0-3%2
    script: ['test "$COMPOPS_ARRAY_INDEX" = "$SGE_TASK_ID"', 'exit $((COMPOPS_ARRAY_INDEX == 2 ? 99 : 0))']
`,
        'jobs/simulate.sh': `#!/bin/bash
#$ -N heat -cwd -j y
#$ -l h_vmem=300M -pe smp 2
test -f results/mesh.csv && echo "{\\"slots\\": $NSLOTS}" > metrics.json
`,
      },
      'finer mesh',
    )
    await world.treeEnds(sha, ['failed'], 120)
    expect(world.statuses(sha)).toEqual({
      'compops/mesh': 'success',
      'compops/simulate': 'success',
      'compops/again': 'failed',
      'compops/sweep': 'failed',
      'compops/tree': 'failed',
    })
    const record = parse(await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60))
    expect(record.jobs.simulate).toMatchObject({
      state: 'completed',
      scheduler: `sge ${lab.version}`,
      metrics: { slots: 2 },
      attempts: [
        { native_id: expect.stringMatching(/^\d+$/), exit_code: 0, queue: 'all.q', requested: { mem_per_cpu: '300M' } },
      ],
    })
    expect(record.jobs.again.attempts).toMatchObject([{ exit_code: 99 }])
    // Grid Engine knows no task 0: there they are 1 to 4.
    expect(record.jobs.sweep.tasks).toMatchObject({
      completed: '0-1,3',
      failed: '2',
      failures: [{ task: 2, reason: 'exit', exit_code: 99 }],
    })
  } finally {
    await world.close()
  }
})
