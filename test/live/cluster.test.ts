import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import type { Seen } from '../../src/model/observation.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { makeSource, submitRequest, watched } from '../cluster/requests.ts'
import { type Lab, labDown, labUp } from '../support/lab.ts'
import { until } from '../support/until.ts'

/** The cluster room on a real Slurm behind a real sshd. */

const run = promisify(execFile)
const source = makeSource({
  'README.md': 'a computation\n',
  'jobs/simulate.sh': '#!/bin/bash\n#SBATCH -p short\nexit 4\n',
})
let lab: Lab
let cluster: Cluster

beforeAll(async () => {
  lab = await labUp()
  cluster = service()
})
afterAll(() => cluster?.close())

function service(): Cluster {
  const remote = createSsh2Remote({
    host: lab.host,
    port: lab.port,
    user: lab.user,
    identityFile: lab.identityFile,
    knownHostsFile: lab.knownHostsFile,
  })
  return openCluster({ name: 'lab', dialect: dialectOf('slurm'), remote, root: lab.root })
}

const request = (spec: Partial<JobSpec>, changes: Partial<Omit<SubmitRequest, 'spec'>> = {}) =>
  submitRequest({ source, ...changes, spec: { resources: { partition: 'main', time: 300, mem: 100 }, ...spec } })

async function start(job: SubmitRequest, on = cluster): Promise<WatchedAttempt> {
  const outcome = await on.submit(job)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return watched(job, outcome.nativeId)
}

const look = async (attempt: WatchedAttempt, on = cluster): Promise<Seen> =>
  (await on.observe([attempt])).seen.get(attempt.id)!

/** Until accounting (or without it the queue) has said how it ended. */
const ended = (attempt: WatchedAttempt, on = cluster) =>
  until(
    `the end of job ${attempt.nativeId}`,
    async () => {
      const seen = await look(attempt, on)
      const verdict = seen.accounting === 'off' ? seen.queue?.verdict : seen.accounting?.verdict
      return verdict == null ? null : seen
    },
    60,
  )

const slurm = (command: string, ...words: string[]) =>
  run(command, words, { env: { ...process.env, SLURM_CONF: lab.slurmConf } })

test('what the cluster tells about itself', async () => {
  expect(await cluster.facts()).toEqual({
    version: `slurm ${lab.slurmVersion}`,
    accounting: true,
    remembers: 300,
    nativeDependencies: true,
    maxArraySize: 20001,
  })
})

test('its partitions, nodes, GPUs, what waits and reservations', async () => {
  const before = cluster.stats().schedulerCommands
  const told = await cluster.capacity()
  expect(cluster.stats().schedulerCommands).toBe(before + 4)
  expect(told.queues?.map(({ name, open }) => [name, open])).toEqual(
    ['main', 'short', 'gpu', 'low'].map(name => [name, true]),
  )
  expect(Object.values(told.nodes ?? {}).reduce((all, n) => all + n, 0)).toBe(6)
  expect(told.cores?.total).toBe(64)
  expect(told.gpus).toEqual([{ type: 'a100', total: 8, free: expect.any(Number) }])
  expect(told.waiting?.jobs).toEqual(expect.any(Number))
  expect(told.reservations).toEqual([])
})

test('a job from submission to its end and results, hostile names and all', async () => {
  const hostile = `$(touch pwned)'"\`id\`\n#SBATCH --uid=0`
  const job = request(
    {
      script: [
        `mkdir -p results; echo 1 > results/x.csv; echo 2 > $'results/new\\nline "\\'$(id).csv'; ln -s /etc/passwd results/p.csv`,
        'echo "{\\"energy\\": -1.5}" > m.json',
        'printf "<%s>" "$COMPOPS_BRANCH" "$TZ" "$LC_ALL" "$SLURM_SUBMIT_DIR" "$SLURM_JOB_NAME"',
      ],
      outputs: ['results/**/*.csv'],
      metrics: 'm.json',
      resources: { partition: 'main', time: 300, ntasks: 2, mem: 100, nice: 1 },
    },
    { branch: hostile },
  )
  const attempt = await start(job)
  expect(await cluster.submit(job)).toEqual({ kind: 'accepted', nativeId: attempt.nativeId, roundTrips: 1 })
  const seen = await ended(attempt)
  expect(seen).toMatchObject({
    accounting: {
      verdict: 'completed',
      exitCode: 0,
      queue: 'main',
      account: 'research',
      name: `compops-${attempt.id}`,
      cpus: 2,
    },
    exit: { nativeId: attempt.nativeId, restarts: 0, code: 0 },
    started: { nativeId: attempt.nativeId },
  })
  const collected = await cluster.collect(attempt)
  const work = `${lab.root}/42/runs/${job.runId}/work`
  expect(collected.outputs.map(({ path }) => path)).toEqual([`results/new\nline "'$(id).csv`, 'results/x.csv'])
  expect(collected.outputs[1]).toMatchObject({ size: 2, at: `${work}/results/x.csv` })
  expect(collected.metrics).toEqual({ energy: -1.5 })
  expect(collected.logTail).toContain(`<${hostile}><><><${work}><compops-${attempt.id}>`)
  expect(collected.environment).toMatchObject({ host: expect.any(String), nodes: expect.stringMatching(/^n\d$/) })
  // One command more for a whole round of it, from an account with start files of its own.
  expect((await cluster.observe([attempt])).commands).toBe(2)
})

test.each([
  ['exit 3', { accounting: { verdict: 'exit', exitCode: 3 }, exit: { code: 3 } }],
  ['kill -SEGV $$', { accounting: { verdict: 'exit', exitCode: 11 }, exit: { code: 139 } }],
])('a job that ends badly: %s', async (line, expected) => {
  expect(await ended(await start(request({ script: [line] })))).toMatchObject(expected)
})

test('a batch script of the repository', async () => {
  const attempt = await start(request({ script: null, file: { path: 'jobs/simulate.sh', interpreter: ['/bin/bash'] } }))
  expect(await ended(attempt)).toMatchObject({ accounting: { verdict: 'exit', exitCode: 4 }, exit: { code: 4 } })
})

test('more memory than it asked for', async () => {
  const attempt = await start(
    request({
      script: ['head -c 600000000 /dev/zero | tail -c 500000000 | wc -c'],
      resources: { partition: 'main', mem: 50 },
    }),
  )
  const seen = await ended(attempt)
  // Without a cgroup v1 Slurm polls memory itself and kills (deploy/lab/slurm-up): the job ends FAILED by a signal.
  expect(['memory', 'exit']).toContain(seen.accounting === 'off' ? null : seen.accounting?.verdict)
})

test.each([
  ['partition', { partition: 'nosuch' }, 'invalid partition specified: nosuch'],
  ['account', { account: 'nosuch' }, 'Invalid account or account/partition combination specified'],
  ['qos', { qos: 'nosuch' }, 'Invalid qos specification'],
  ['more memory than any node has', { mem: 1_000_000_000 }, 'Requested node configuration is not available'],
])('a refusal, in the words of sbatch: %s', async (_, resources, words) => {
  const job = request({ resources })
  const outcome = await cluster.submit(job)
  expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringContaining(words) })
  expect(await service().submit(job)).toEqual(outcome)
})

describe('cancellation, verified', () => {
  test('of a waiting and of a running job', async () => {
    const waiting = await start(request({ directives: ['--begin=now+1hour'] }))
    const running = await start(
      request({
        script: ['trap "echo saved > saved; exit 9" TERM', 'echo ready; while :; do sleep 0.1 || :; done'],
        outputs: ['saved'],
      }),
    )
    await until('it to run', async () => (await cluster.collect(running)).logTail.includes('\nready\n'), 60)
    expect((await look(waiting)).queue).toMatchObject({ state: 'queued', reason: 'BeginTime' })
    expect(cluster.inWords('BeginTime')).toBe('its begin time has not come yet')
    expect(await cluster.cancel([waiting, running])).toEqual(
      new Map([
        [waiting.id, 'gone'],
        [running.id, 'gone'],
      ]),
    )
    expect(await ended(running)).toMatchObject({ accounting: { verdict: 'canceled' } })
    expect((await look(waiting)).queue).toMatchObject({ state: 'ended', verdict: 'canceled' })
    // The wrapper came to its last act between TERM and KILL.
    expect((await look(running)).exit).toMatchObject({ code: 9 })
    expect((await cluster.collect(running)).outputs).toMatchObject([{ path: 'saved' }])
  })

  test('somebody else’s job of the same account stays', async () => {
    const { stdout } = await run(
      'runuser',
      ['-u', lab.user, '--', 'sbatch', '--parsable', '-J', 'theirs', '--begin=now+1hour', '--wrap', 'true'],
      {
        cwd: '/tmp',
        env: { ...process.env, SLURM_CONF: lab.slurmConf },
      },
    )
    const id = stdout.trim()
    const attempt = watched(request({}), id)
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    expect((await slurm('squeue', '-h', '-j', id, '-o', '%T')).stdout.trim()).toBe('PENDING')
    expect((await look(attempt)).queue).toBeNull()
    await slurm('scancel', id)
  })
})

describe('native dependencies', () => {
  test('a job waits for another one', async () => {
    const first = await start(request({ script: ['sleep 2'] }))
    const second = await start(request({ script: ['true'] }, { dependsOn: [first.nativeId!] }))
    expect((await look(second)).queue).toMatchObject({ state: 'queued', reason: 'Dependency' })
    expect(await ended(second)).toMatchObject({ accounting: { verdict: 'completed' }, exit: { code: 0 } })
    expect((await look(first)).exit?.code).toBe(0)
  })

  test('one whose need failed stays and says so, until it is cancelled', async () => {
    const first = await start(request({ script: ['exit 1'] }))
    const second = await start(request({ script: ['true'] }, { dependsOn: [first.nativeId!] }))
    await until('Slurm to notice', async () => (await look(second)).queue?.reason === 'DependencyNeverSatisfied', 60)
    expect(await cluster.cancel([second])).toEqual(new Map([[second.id, 'gone']]))
  })
})

test('a copy of a job, submitted by hand, leaves at once', async () => {
  const job = request({ script: ['sleep 3; echo once >> ran'] })
  const attempt = await start(job)
  const script = `${lab.root}/42/runs/${job.runId}/jobs/${job.jobId}/${job.attemptId}/script`
  await until('it to run', async () => (await look(attempt)).queue?.state === 'running', 60)
  const { stdout } = await run('runuser', ['-u', lab.user, '--', 'sbatch', '--parsable', '-o', '/dev/null', script], {
    cwd: '/tmp',
    env: { ...process.env, SLURM_CONF: lab.slurmConf },
  })
  const copy = stdout.trim()
  const state = await until(
    'the copy to end',
    async () =>
      (await slurm('sacct', '-n', '-X', '-P', '-j', copy, '-o', 'State,ExitCode')).stdout.match(
        /^(FAILED|COMPLETED).*/,
      )?.[0],
    60,
  )
  expect(state).toBe('FAILED|75:0')
  expect(await ended(attempt)).toMatchObject({ exit: { nativeId: attempt.nativeId, code: 0 } })
})

test('requeued by the scheduler it goes on, and only the last run counts', async () => {
  const job = request({
    requeue: true,
    script: ['echo "run ${SLURM_RESTART_COUNT:-0}"', '[ -n "$SLURM_RESTART_COUNT" ] || sleep 300', 'exit 5'],
  })
  const attempt = await start(job)
  await until('it to run', async () => (await cluster.collect(attempt)).logTail.includes('run 0'), 60)
  await slurm('scontrol', 'requeue', attempt.nativeId!)
  const seen = await until(
    'its second end',
    async () => {
      const now = await look(attempt)
      return now.exit?.restarts === 1 && now.queue?.state === 'ended' ? now : null
    },
    200,
  )
  expect(seen.exit).toMatchObject({ nativeId: attempt.nativeId, restarts: 1, code: 5 })
  expect((await cluster.collect(attempt)).logTail).toContain('compops: started again by the scheduler (1)')
})

test('ten submissions of one attempt at once, by two services, are one job', async () => {
  const job = request({})
  const other = service()
  const ids = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      until('a native id', async () => {
        const outcome = await (i % 2 === 0 ? cluster : other).submit(job)
        return outcome.kind === 'accepted' ? outcome.nativeId : null
      }),
    ),
  )
  await other.close()
  expect(new Set(ids).size).toBe(1)
  const { stdout } = await slurm('squeue', '-h', '-t', 'all', '-n', `compops-${job.attemptId}`, '-o', '%i')
  expect(stdout.trim()).toBe(ids[0])
})

test('without slurmdbd the queue and our own files tell the end', async () => {
  const options = { dbd: false, port: 27_800, minJobAge: 30 }
  const bare = await labUp(options)
  const remote = createSsh2Remote({
    host: bare.host,
    port: bare.port,
    user: bare.user,
    identityFile: bare.identityFile,
    knownHostsFile: bare.knownHostsFile,
  })
  const without = openCluster({ name: 'bare', dialect: dialectOf('slurm'), remote, root: bare.root })
  try {
    expect(await without.facts()).toMatchObject({ accounting: false, remembers: 30 })
    const attempt = await start(request({ script: ['exit 3'] }), without)
    expect(await ended(attempt, without)).toMatchObject({
      queue: { state: 'ended', verdict: 'exit' },
      accounting: 'off',
      exit: { code: 3 },
    })
    expect((await without.observe([attempt])).commands).toBe(1)
    expect(await start(request({ script: ['sleep 100'] }), without).then(a => without.cancel([a]))).toHaveProperty(
      'size',
      1,
    )
  } finally {
    await without.close()
    await labDown(options)
  }
})

test('on the login node itself: the scheduler’s commands of this machine', async () => {
  const remote = createLocalRemote({ env: { PATH: process.env.PATH, HOME: '/root', SLURM_CONF: lab.slurmConf } })
  const here = openCluster({ name: 'here', dialect: dialectOf('slurm'), remote, root: lab.root })
  try {
    expect((await here.facts()).version).toBe(`slurm ${lab.slurmVersion}`)
    expect(await here.cancel([])).toEqual(new Map())
  } finally {
    await here.close()
  }
})

test('what a job left behind is read piece by piece over ssh, and its directory removed', async () => {
  const job = request({
    script: [
      'head -c 6000000 /dev/urandom > large.bin',
      "echo 'a b' > \"it's here.txt\"",
      'ln -s /etc/passwd link',
      'echo done',
    ],
    outputs: ['*.bin', '*.txt'],
  })
  const attempt = await start(job)
  await ended(attempt)
  const { outputs } = await cluster.collect(attempt)
  const large = outputs.find(output => output.path === 'large.bin')!
  const pieces = await cluster.files.read(attempt, [
    { in: 'checkout', path: 'large.bin', offset: 0, bytes: 4_000_000 },
    { in: 'checkout', path: 'large.bin', offset: 4_000_000, bytes: 4_000_000 },
    { in: 'checkout', path: "it's here.txt", offset: 0, bytes: 100 },
    { in: 'checkout', path: 'link', offset: 0, bytes: 100 },
  ])
  const bytes = pieces.map(piece => ('problem' in piece ? piece.problem : piece.bytes))
  expect(createHash('sha256').update(bytes[0]!).update(bytes[1]!).digest('hex')).toBe(large.sha256)
  expect(bytes.slice(2).map(String)).toEqual(['a b\n', 'is a link'])
  const log = await cluster.files.log(attempt, { offset: -5, bytes: 100 })
  expect('bytes' in log && log.bytes.toString()).toBe('done\n')

  const { gone } = await cluster.directories.removeRuns(job.projectId, [job.runId])
  expect(gone).toEqual(new Set([job.runId]))
  expect(await cluster.files.read(attempt, [{ in: 'checkout', path: 'link', offset: 0, bytes: 1 }])).toEqual([
    { problem: 'is not there any more' },
  ])
  await expect(cluster.collect(attempt)).rejects.toThrow('was removed')
})
