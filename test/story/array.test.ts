import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { retryJob } from '../../src/run/rerun.ts'
import { acts, jobs } from '../../src/store/schema.ts'
import { compops } from '../support/compops.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 })

// One job of many tasks, from the push to the note: some fail, those alone run again.
let world: World
let slurm: FakeSlurm

beforeEach(() => {
  slurm = startFakeSlurm()
})
afterEach(async () => {
  await world?.close()
  slurm.stop()
})

async function start(cluster = ''): Promise<void> {
  world = await startWorld({
    database: 'postgres',
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 5s${cluster} }`,
    rule: '    clusters: [falcon]',
    more: 'intervals: { note: 200ms, accounting: 2s }',
  })
}

it('shows how many of its tasks failed and why, and runs only those again', async () => {
  await start()
  const sha = await world.push('calc/sweep', {
    '.compops.yml': `jobs:
  sweep:
    array: 0-5%3
    script:
      - printf '{"rmse":0.%s}' "$COMPOPS_ARRAY_INDEX" > "$COMPOPS_OUTPUT_DIR/metrics.json"
      - mkdir -p results && echo "$COMPOPS_ATTEMPT" > "results/$COMPOPS_ARRAY_INDEX.txt"
      - echo "task $COMPOPS_ARRAY_INDEX of $COMPOPS_ARRAY_COUNT says hello"
      - '[ "$COMPOPS_ATTEMPT" -gt 1 ] || [ "$COMPOPS_ARRAY_INDEX" -lt 4 ] || exit $COMPOPS_ARRAY_INDEX'
    outputs: [results/*.txt]
    metrics: metrics.json
  plot:
    needs: [sweep]
    script: ["true"]
`,
  })
  const { iid } = await world.openMergeRequest('calc/sweep')
  expect(await world.treeEnds(sha)).toMatchObject({ 'compops/sweep': 'failed', 'compops/tree': 'failed' })
  expect(world.description(sha, 'compops/sweep')).toMatch(/^falcon 1 · 2 of 6 tasks failed: 1 exit \d, 1 exit \d/)
  const note = await until('the final note', () => {
    const body = world.note(iid)?.body ?? ''
    return body.includes('rmse.max') && body
  })
  expect(note).toMatch(/\| sweep `2\/6 failed` \| falcon\s1 \|/)
  expect(note).toContain('▇▇▇▇▁▁')
  expect(note).toContain('task 4 of 6 says hello')
  const first = parse(await until('the evidence', () => world.evidenceOf('calc/sweep', sha)))
  expect(first.jobs.sweep).toMatchObject({
    state: 'failed',
    array: { tasks: '0-5', throttle: 3 },
    tasks: {
      completed: '0-3',
      failed: '4-5',
      failures: [
        { task: 4, reason: 'exit', exit_code: 4, native_id: '1_4', attempt: 1 },
        { task: 5, reason: 'exit', exit_code: 5, native_id: '1_5', attempt: 1 },
      ],
    },
    metrics: { 'rmse.min': 0, 'rmse.max': 0.5 },
  })
  expect(first.jobs.sweep.outputs.map((file: { path: string }) => file.path)).toEqual(
    [0, 1, 2, 3, 4, 5].map(n => `results/${n}.txt`),
  )

  const { context } = world.service
  const rows = await context.db.select().from(jobs)
  const job = rows.find(row => row.name === 'sweep')!
  const retry = { runId: job.runId, name: 'sweep' }
  await world.simulator.createNote({
    projectId: world.project.id,
    mrIid: iid,
    authorId: world.alice.id,
    body: '/compops retry sweep',
  })
  await until('the answer', async () => {
    const said = (await context.db.select().from(acts)).map(act => act.said)
    return said.includes('again: sweep')
  })
  expect(world.logged.join('')).toContain('`sweep` runs again: 2 tasks that had not completed (`4-5`).')
  expect(await world.treeEnds(sha, ['success'])).toMatchObject({
    'compops/sweep': 'success',
    'compops/plot': 'success',
  })
  expect(
    slurm
      .calls('sbatch')
      .filter(call => call.includes('--array='))
      .map(call => /--array=(\S+)/.exec(call)![1]),
  ).toEqual(['0-5%3', '4-5%3'])
  const second = await until('the new evidence', async () => {
    const record = parse((await world.evidenceOf('calc/sweep', sha)) ?? '')
    return record?.state === 'completed' && record
  })
  expect(second.jobs.sweep).toMatchObject({
    state: 'completed',
    tasks: { completed: '0-5' },
    attempts: [
      { native_id: '1', tasks: '0-5', state: 'failed' },
      { tasks: '4-5', state: 'completed' },
    ],
    metrics: { 'rmse.min': 0, 'rmse.max': 0.5 },
  })
  expect(second.jobs.sweep.outputs).toHaveLength(6)
  await expect(retryJob(context, retry, { completedToo: false })).rejects.toThrow('all tasks of sweep have completed')

  const ask = (...args: string[]) => compops([...args, '--config', world.configFile])
  expect(await ask('logs', 'calc/sweep', 'sweep')).toMatchObject({
    code: 1,
    err: expect.stringContaining('sweep is an array of 6 tasks; name one: --task 0'),
  })
  expect((await ask('logs', '1_0')).out).toContain('task 0 of 6 says hello')
  const into = join(world.place, 'results')
  expect(await ask('collect', 'calc/sweep', 'sweep', '--into', into)).toMatchObject({ code: 0, err: '' })
  const read = (...path: string[]) => readFileSync(join(into, 'sweep', ...path), 'utf8')
  for (const task of [0, 5]) {
    expect(read('logs', `${task}.txt`)).toContain(`task ${task} of 6 says hello`)
    expect(read('outputs', 'results', `${task}.txt`)).toBe(task < 4 ? '1\n' : '2\n')
  }
})

it('is handed over in portions where the account takes no more at once, and what needs it waits for all of them', async () => {
  await start(', max_submitted: 6')
  const sha = await world.push('calc/many', {
    '.compops.yml': `jobs:
  many:
    array: 1-9
    script: ['echo "$COMPOPS_ARRAY_INDEX" >> ran.txt']
  after:
    needs: [many]
    script: ['[ "$(sort -n ran.txt | tr "\\n" " ")" = "1 2 3 4 5 6 7 8 9 " ]']
`,
  })
  expect(await world.treeEnds(sha)).toMatchObject({ 'compops/many': 'success', 'compops/after': 'success' })
  const arrays = slurm.calls('sbatch').filter(call => call.includes('--array='))
  expect(arrays.length).toBeGreaterThan(1)
  const record = parse(await until('the evidence', () => world.evidenceOf('calc/many', sha)))
  expect(record.jobs.many).toMatchObject({ state: 'completed', tasks: { completed: '1-9' } })
})

it('needs no scheduler: on a laptop tasks take turns, a comment has the failed ones run again, and a cancelled array starts no more', async () => {
  world = await startWorld({ database: 'postgres' })
  const say = (iid: number, body: string) =>
    world.simulator.createNote({ projectId: world.project.id, mrIid: iid, authorId: world.alice.id, body })
  const sha = await world.push('calc/sweep', {
    '.compops.yml': `jobs:
  sweep:
    array: 0-5%2
    script:
      - mkdir -p at results && touch "at/$COMPOPS_ARRAY_INDEX"
      - ls at | wc -l > "$COMPOPS_OUTPUT_DIR/at-once"; sleep 0.3; rm "at/$COMPOPS_ARRAY_INDEX"
      - '[ "$(cat "$COMPOPS_OUTPUT_DIR/at-once")" -le 2 ]'
      - '[ "$COMPOPS_ATTEMPT" -gt 1 ] || [ "$COMPOPS_ARRAY_INDEX" -lt 4 ] || exit $COMPOPS_ARRAY_INDEX'
`,
  })
  const { iid } = await world.openMergeRequest('calc/sweep')
  expect(await world.treeEnds(sha, ['failed'])).toMatchObject({ 'compops/sweep': 'failed' })
  await until('the note to count', () => world.note(iid)?.body.includes('sweep `2/6 failed`'))
  const record = () => world.evidenceOf('calc/sweep', sha)
  expect(parse(await until('the evidence', record)).jobs.sweep.tasks).toMatchObject({
    completed: '0-3',
    failed: '4-5',
    failures: [
      { task: 4, reason: 'exit', exit_code: 4 },
      { task: 5, reason: 'exit', exit_code: 5 },
    ],
  })
  await say(iid, '/compops retry sweep')
  await world.treeEnds(sha, ['success'])
  expect(
    (
      await until('the new evidence', async () => {
        const found = parse((await record()) ?? '')
        return found?.state === 'completed' && found
      })
    ).jobs.sweep,
  ).toMatchObject({ tasks: { completed: '0-5' }, attempts: [{ tasks: '0-5' }, { tasks: '4-5', state: 'completed' }] })

  const long = await world.push('calc/sweep', {
    '.compops.yml': `jobs:
  sweep: { array: 1-4%1, script: ['echo "task $COMPOPS_ARRAY_INDEX is up"', 'sleep 1000'] }
`,
  })
  await until('the first task to run', () => world.statuses(long)['compops/sweep'] === 'running')
  await say(iid, '/compops cancel sweep')
  expect(await world.treeEnds(long, ['canceled'])).toMatchObject({ 'compops/sweep': 'canceled' })
})
