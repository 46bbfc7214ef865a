/** Runs to render: one story, alice's heat equation on falcon, at several moments. Times are UTC; people read them in Berlin. */
import type { JobSpec, Resources } from '../../src/model/job-spec.ts'
import type { JobState } from '../../src/model/job-state.ts'
import { runState } from '../../src/model/job-state.ts'
import type { AccountingRow, Collected } from '../../src/model/observation.ts'
import type { Attempt, Job, Run } from '../../src/model/run.ts'

export const timeZone = 'Europe/Berlin'
export const publicUrl = 'https://compops.example.org'
export const options = { publicUrl, timeZone }
export const at = (clock: string) => new Date(`2026-11-20T${clock}Z`)

export function spec(name: string, resources: Resources = {}, more: Partial<JobSpec> = {}): JobSpec {
  return {
    name,
    cluster: 'falcon',
    needs: [],
    setup: [],
    script: [`make ${name}`],
    file: null,
    resources,
    env: {},
    params: {},
    outputs: [],
    metrics: null,
    directives: [],
    requeue: false,
    origins: {},
    ...more,
  }
}

export function attempt(more: Partial<Attempt> = {}): Attempt {
  return {
    id: '0190f3c2-7d00-7abc-8def-aaaaaaaaaaaa',
    number: 1,
    nativeId: null,
    state: 'queued',
    reason: null,
    message: null,
    queue: 'main',
    nodes: [],
    submittedAt: null,
    queuedAt: null,
    startedAt: null,
    endedAt: null,
    exitCode: null,
    signal: null,
    accounting: null,
    collected: null,
    scriptSha256: null,
    restarts: 0,
    ...more,
  }
}

export function accounting(more: Partial<AccountingRow> = {}): AccountingRow {
  return {
    nativeId: '4711',
    tasks: null,
    name: 'compops-0190f3c2-7d00-7abc-8def-aaaaaaaaaaaa',
    nativeState: 'COMPLETED',
    verdict: 'completed',
    exitCode: 0,
    signal: null,
    queue: 'main',
    account: 'physics',
    submittedAt: null,
    startedAt: null,
    endedAt: null,
    nodes: ['n1'],
    cpus: 8,
    cpuSeconds: null,
    elapsedSeconds: null,
    maxRss: null,
    requestedTres: null,
    allocatedTres: null,
    ...more,
  }
}

export function collected(more: Partial<Collected> = {}): Collected {
  return {
    outputs: [],
    outputsOmitted: 0,
    metrics: {},
    metricsProblem: null,
    logTail: '',
    logSize: 0,
    environment: {},
    ...more,
  }
}

export function job(name: string, state: JobState, more: Partial<Job> = {}): Job {
  return {
    id: `0190f3c2-7d00-7abc-8def-${Buffer.from(name).toString('hex').padEnd(12, '0').slice(0, 12)}`,
    name,
    spec: spec(name),
    cluster: 'falcon',
    scheduler: 'slurm 22.05.8',
    state,
    reason: null,
    message: null,
    attempts: [],
    ...more,
  }
}

export function run(jobs: readonly Job[], more: Partial<Run> = {}): Run {
  return {
    id: '0190f3c2-7d00-7abc-8def-0123456789ab',
    projectId: 4217,
    projectPath: 'physics/heat',
    branch: 'calc/heat/4d',
    sha: '1adad2a7c0ffee00112233445566778899aabbcc',
    cause: 'head:3',
    causedBy: { id: 31, username: 'alice', name: 'Alice Example' },
    causedHow: 'push by alice',
    commit: { author: 'Alice Example <alice@example.org>', subject: 'finer mesh' },
    parent: { branch: 'calc/heat', why: 'target of merge request !7' },
    spec: { sha256: '5f'.repeat(32), problems: [] },
    problem: null,
    state: runState(jobs.map(each => each.state)),
    createdAt: at('14:25:00'),
    endedAt: null,
    jobs,
    supersededBy: null,
    ...more,
  }
}

export const mesh = job('mesh', 'completed', {
  spec: spec('mesh', { partition: 'main', ntasks: 8, mem: 16 * 1024, time: 1800 }, { outputs: ['mesh/*.msh'] }),
  attempts: [
    attempt({
      nativeId: '4711',
      state: 'completed',
      nodes: ['n1'],
      submittedAt: at('14:25:01'),
      queuedAt: at('14:25:01'),
      startedAt: at('14:25:13'),
      endedAt: at('14:27:23'),
      exitCode: 0,
      accounting: accounting({ cpuSeconds: 322, elapsedSeconds: 130, maxRss: 2.1 * 1024 ** 3 }),
      scriptSha256: 'ab'.repeat(32),
      collected: collected({
        outputs: [
          {
            path: 'mesh/domain.msh',
            size: 1_048_576,
            sha256: 'cd'.repeat(32),
            at: 'falcon:/scratch/compops/4217/runs/0190f3c2/work/mesh/domain.msh',
          },
          {
            path: 'mesh/boundary.msh',
            size: 20_480,
            sha256: 'ef'.repeat(32),
            at: 'falcon:/scratch/compops/4217/runs/0190f3c2/work/mesh/boundary.msh',
          },
          {
            path: 'mesh/big.msh',
            size: 5 * 1024 ** 3,
            sha256: null,
            at: 'falcon:/scratch/compops/4217/runs/0190f3c2/work/mesh/big.msh',
          },
        ],
        metrics: { cells: 41200 },
        environment: { LOADEDMODULES: 'gmsh/4.11:gcc/12', host: 'n1' },
      }),
    }),
  ],
})

export const simulate = job('simulate', 'running', {
  spec: spec(
    'simulate',
    { partition: 'main', ntasks: 16, cpus_per_task: 4, gpus: { type: 'a100', count: 2 }, time: 4 * 3600 },
    { needs: ['mesh'], params: { problem: '4d_benchmark', degree: 12 } },
  ),
  attempts: [
    attempt({
      nativeId: '4712',
      state: 'running',
      submittedAt: at('14:27:30'),
      queuedAt: at('14:27:30'),
      startedAt: at('14:30:30'),
    }),
  ],
})

export const post = job('post', 'waiting', { spec: spec('post', { ntasks: 1, time: 600 }, { needs: ['simulate'] }) })

export const sweep = job('sweep', 'failed', {
  reason: 'memory',
  message: null,
  spec: spec('sweep', { ntasks: 1, mem: 2048, time: 3600 }, { needs: ['mesh'] }),
  attempts: [
    attempt({
      number: 1,
      nativeId: '4713',
      state: 'failed',
      reason: 'node',
      startedAt: at('14:28:00'),
      endedAt: at('14:28:30'),
    }),
    attempt({
      number: 2,
      nativeId: '4714',
      state: 'failed',
      reason: 'memory',
      submittedAt: at('14:29:00'),
      queuedAt: at('14:29:00'),
      startedAt: at('14:30:00'),
      endedAt: at('14:33:00'),
      exitCode: 137,
      accounting: accounting({
        nativeId: '4714',
        nativeState: 'OUT_OF_MEMORY',
        verdict: 'memory',
        exitCode: 0,
        signal: 125,
        cpus: 1,
        cpuSeconds: 170,
        elapsedSeconds: 180,
        maxRss: 2.0 * 1024 ** 3,
      }),
      collected: collected({
        logSize: 81_920,
        logTail: [
          '$ module load gcc/12',
          '$ make sweep',
          '\x1b[32mstep 1\x1b[0m  residual 1.2e-01',
          'step 2  residual 8.1e-02',
          ' 10 %\r 20 %\r 30 %',
          'step 3  residual 4.4e-02',
          'slurmstepd: error: Detected 1 oom_kill event in StepId=4714.batch. Some of the step tasks have been OOM Killed.',
          '/bin/sh: line 3: 71822 Killed                  ./solver --degree 12',
          '',
        ].join('\n'),
      }),
    }),
  ],
})

export const running = run([mesh, simulate, post, sweep], { state: 'running' })

export const completed = run(
  [
    mesh,
    job('simulate', 'completed', {
      spec: { ...simulate.spec, better: { rmse: 'lower' }, noise: 0.01 },
      attempts: [
        attempt({
          nativeId: '4712',
          state: 'completed',
          nodes: ['n2', 'n3'],
          submittedAt: at('14:27:30'),
          queuedAt: at('14:27:30'),
          startedAt: at('14:30:30'),
          endedAt: at('15:34:30'),
          exitCode: 0,
          scriptSha256: '12'.repeat(32),
          accounting: accounting({
            nativeId: '4712',
            cpus: 64,
            cpuSeconds: 64 * 3840 * 0.87,
            elapsedSeconds: 3840,
            maxRss: 11 * 1024 ** 3,
          }),
          collected: collected({ metrics: { rmse: 0.0121, iterations: 4100 }, outputs: [] }),
        }),
      ],
    }),
  ],
  { endedAt: at('15:34:31') },
)

export const neighbours = {
  parent: { branch: 'calc/heat', state: 'completed', stale: false },
  children: [
    { branch: 'calc/heat/4d/fine', state: 'completed', stale: true },
    { branch: 'calc/heat/4d/gpu', state: null, stale: false },
  ],
} as const

export const comparisons = [
  { branch: 'calc/heat', isParent: true, metrics: { rmse: 0.0134, cells: 10300 }, wallSeconds: 3480 },
  { branch: 'main', isParent: false, metrics: { rmse: 0.015, iterations: 4100 }, wallSeconds: 2460 },
]

export const history = [
  {
    id: '0190f000-0000-7abc-8def-0123456789ab',
    sha: '62a2ce6f0011223344556677889900aabbccddee',
    state: 'failed',
    words: 'sweep failed: exit 127: command not found',
    createdAt: at('12:00:00'),
    endedAt: at('12:07:00'),
  },
  {
    id: '0190e000-0000-7abc-8def-0123456789ab',
    sha: '7f3e2c1a99887766554433221100ffeeddccbbaa',
    state: 'completed',
    words: '4 of 4 jobs completed',
    createdAt: new Date('2026-11-19T09:00:00Z'),
    endedAt: new Date('2026-11-19T10:20:00Z'),
  },
] as const
