import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { attempts, jobs } from '../../src/store/schema.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// A job that fails is tried again by itself, as its file says: with more memory, elsewhere, later. GitLab sees one status, which fails once at most.
let world: World
let slurm: FakeSlurm

beforeEach(() => {
  slurm = startFakeSlurm()
})
afterEach(async () => {
  await world?.close()
  slurm.stop()
})

async function start(retry = '300ms'): Promise<void> {
  world = await startWorld({
    database: 'postgres',
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s }`,
    rule: '    clusters: [falcon]',
    more: `intervals: { note: 200ms, accounting: 2s, shortest_poll: 1s, retry: ${retry} }`,
  })
}

/** What sacct says of this job's end is written by the job. */
const endsAs = (word: string) =>
  `{ echo "${word}" > "$FAKE_SLURM/jobs/$SLURM_JOB_ID/accounted"; echo "ends as ${word}"; exit 137; }`
const options = (name: string) =>
  slurm.calls('sbatch').map(call => new RegExp(`--${name}=(\\S+)`).exec(call)?.[1] ?? null)
const shown = (sha: string, name: string) =>
  world.simulator
    .statuses(world.project.id, sha)
    .filter(status => status.name === name)
    .map(status => status.status)
const record = async (branch: string, sha: string) =>
  parse(await until('the evidence', () => world.evidenceOf(branch, sha)))

describe('a job that runs out of memory', () => {
  it('is given more twice, and what needs it waits for the attempt that completes', async () => {
    await start()
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:
  solve:
    mem: 1G
    retry: { memory: { mem: x1.5, max: 2G } }
    script:
      - echo "begun $COMPOPS_RESTART times before" >> "$COMPOPS_CHECKPOINT_DIR/history"
      - '[ "$COMPOPS_RESTART" -eq 2 ] || ${endsAs('OUT_OF_MEMORY 0:125')}'
      - cp "$COMPOPS_CHECKPOINT_DIR/history" history.txt
    outputs: [history.txt]
  plot:
    needs: [solve]
    script: ['[ "$(wc -l < history.txt)" -eq 3 ]']
`,
    })
    const { iid } = await world.openMergeRequest('calc/heat')
    await until('the second attempt in the note', () =>
      /attempt 2 of 3 after out of memory, mem 1 G → 1.5 G/.test(world.note(iid)?.body ?? ''),
    )
    expect(await world.treeEnds(sha, ['success'])).toMatchObject({
      'compops/solve': 'success',
      'compops/plot': 'success',
    })
    expect(options('mem')).toEqual(['1024M', '1536M', '2048M', null])
    expect(options('dependency')).toEqual([null, null, null, null])
    expect(shown(sha, 'compops/solve')).toEqual(['success'])
    expect(world.description(sha, 'compops/solve')).toMatch(/^falcon 3 · completed in .* · 3 attempts$/)
    const { solve } = (await record('calc/heat', sha)).jobs
    expect(solve.attempts).toMatchObject([
      { state: 'failed', reason: 'memory', requested: { mem: '1G' } },
      { step: 'attempt 2 of 3 after out of memory, mem 1 G → 1.5 G', state: 'failed', requested: { mem: '1536M' } },
      { state: 'completed', requested: { mem: '2G' } },
    ])
  })

  it('fails with the words of the last attempt when it had all that it may have', async () => {
    await start()
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:
  solve:
    mem: 1G
    retry: { memory: { times: 5, mem: x4, max: 2G } }
    script: ['${endsAs('OUT_OF_MEMORY 0:125').replaceAll("'", "''")}']
`,
    })
    const { iid } = await world.openMergeRequest('calc/heat')
    expect(await world.treeEnds(sha)).toMatchObject({ 'compops/solve': 'failed' })
    expect(options('mem')).toEqual(['1024M', '2048M'])
    expect(world.description(sha, 'compops/solve')).toMatch(/out of memory \(asked 2 G\).* · 2 attempts/)
    await until('the reason in the note', () =>
      world.note(iid)?.body.includes('it had 2 G, the most that its `retry` allows'),
    )
  })
})

describe('a job that the cluster does not finish', () => {
  it('runs on another node, where its file keeps it away from the one that failed', async () => {
    await start()
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:
  solve:
    retry: { node: { times: 2, exclude: true } }
    script: ['[ "$SLURM_JOB_NODELIST" = n3 ] || ${endsAs('NODE_FAIL 0:0')}']
`,
    })
    expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/solve': 'success' })
    expect(options('exclude')).toEqual([null, 'n1', 'n1,n2'])
    const { solve } = (await record('calc/heat', sha)).jobs
    expect(solve.attempts).toMatchObject([
      { reason: 'node', nodes: ['n1'] },
      { reason: 'node', nodes: ['n2'], excluded_nodes: ['n1'] },
      { state: 'completed', nodes: ['n3'], excluded_nodes: ['n1', 'n2'] },
    ])
  })

  it('is canceled in GitLab, never red, when its retries are used up', async () => {
    await start()
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:\n  solve:\n    retry: { preempted: 1 }\n    script: ['${endsAs('PREEMPTED 0:0')}']\n`,
    })
    expect(await world.treeEnds(sha)).toEqual({ 'compops/solve': 'canceled', 'compops/tree': 'canceled' })
    expect(shown(sha, 'compops/solve')).toEqual(['canceled'])
    expect(world.description(sha, 'compops/solve')).toMatch(/preempted.*: the cluster, not the commit · 2 attempts$/)
    expect(slurm.calls('sbatch')).toHaveLength(2)
  })

  it('is tried again by a service that was killed between the attempts, once', async () => {
    await start('5s')
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:\n  solve:\n    retry: { preempted: 1 }\n    script: ['[ "$COMPOPS_ATTEMPT" = 2 ] || ${endsAs('PREEMPTED 0:0')}']\n`,
    })
    await until('the job to wait for its retry', async () => {
      const [job] = await world.service.context.db.select().from(jobs)
      return job?.state === 'waiting' && job.retryAt !== null
    })
    await world.stopService()
    expect(slurm.calls('sbatch')).toHaveLength(1)
    await world.start()
    expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/solve': 'success' })
    expect(slurm.calls('sbatch')).toHaveLength(2)
    expect(await world.service.context.db.select().from(attempts)).toHaveLength(2)
  })
})

describe('of an array', () => {
  it('only the tasks that failed go again, with what they lacked', async () => {
    await start()
    const ends = endsAs('OUT_OF_MEMORY 0:125').replace(
      '$SLURM_JOB_ID',
      '$SLURM_ARRAY_JOB_ID/tasks/$SLURM_ARRAY_TASK_ID',
    )
    const sha = await world.push('calc/sweep', {
      '.compops.yml': `jobs:
  sweep:
    array: 0-3
    mem: 1G
    retry: { memory: 1 }
    script: ['[ "$COMPOPS_RESTART" = 1 ] || [ $((COMPOPS_ARRAY_INDEX % 2)) = 0 ] || ${ends}']
`,
    })
    expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/sweep': 'success' })
    expect(options('array')).toEqual(['0-3', '1,3'])
    expect(options('mem')).toEqual(['1024M', '1536M'])
    expect(shown(sha, 'compops/sweep')).toEqual(['success'])
    expect((await record('calc/sweep', sha)).jobs.sweep).toMatchObject({
      state: 'completed',
      tasks: { completed: '0-3' },
      attempts: [{ tasks: '0-3' }, { tasks: '1,3', step: expect.stringContaining('2 of its tasks again') }],
    })
  })
})
