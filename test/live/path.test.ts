import { execFileSync } from 'node:child_process'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../src/store/open.ts'
import { falconOn, type Lab, labDown, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// The natural path on a real Slurm over a real sshd: a push, its jobs, the statuses, the note, the evidence.
let lab: Lab
let world: World | null = null

beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)

afterEach(async () => {
  await world?.close()
  world = null
})

const falcon = (lab: Lab) =>
  falconOn(lab, ['poll_interval: 5s', 'allow_directives: ["--hint=*"]', 'defaults: { partition: main, time: 5m }'])

const study = {
  '.compops.yml': `jobs:
  mesh:
    script: [mkdir -p results, "echo 1,2 > results/mesh.csv"]
    outputs: [results/*.csv]
  simulate:
    needs: [mesh]
    file: jobs/simulate.sh
    cpus_per_task: 2
    params: { degree: 12 }
    env: { GREETING: "it's $HOME" }
    outputs: [results/**/*.txt]
    metrics: results/metrics.json
  fails:
    script: [echo going wrong, exit 3]
  after:
    needs: [fails]
    script: ["true"]
`,
  'jobs/simulate.sh': `#!/bin/bash
#SBATCH --mem=300M
#SBATCH --hint=nomultithread
#SBATCH -o never-used.txt
set -e
test -f results/mesh.csv
echo "degree $COMPOPS_PARAM_DEGREE on $COMPOPS_BRANCH, $GREETING"
echo hello > results/answer.txt
git describe --always > results/version.txt
printf '{"cells": 41200, "rmse": 0.0121}' > results/metrics.json
`,
}

async function startOn(clusters: string): Promise<World> {
  world = await startWorld({ clusters, rule: '    clusters: [falcon]\n    notify: finished' })
  return world
}

describe('a push to a computation branch', () => {
  it('runs on Slurm and comes back as statuses, a note and evidence', async () => {
    const w = await startOn(falcon(lab))
    const sha = await w.push('calc/heat', study, 'finer mesh')
    const { iid } = await w.openMergeRequest('calc/heat')
    await w.treeEnds(sha, ['failed'], 120)
    expect(w.statuses(sha)).toEqual({
      'compops/mesh': 'success',
      'compops/simulate': 'success',
      'compops/fails': 'failed',
      'compops/after': expect.stringMatching(/skipped|canceled/),
      'compops/tree': 'failed',
    })
    const text = await until('the evidence', () => w.evidenceOf('calc/heat', sha), 60)
    const record = parse(text)
    expect(record).toMatchObject({
      branch: 'calc/heat',
      state: 'failed',
      triggered_by: 'push by alice',
      commit: { sha, message: 'finer mesh' },
    })
    const simulate = record.jobs.simulate
    expect(simulate).toMatchObject({
      state: 'completed',
      cluster: 'falcon',
      scheduler: expect.stringMatching(/^slurm \d/),
      metrics: { cells: 41200, rmse: 0.0121 },
    })
    expect(simulate.attempts[0]).toMatchObject({
      native_id: expect.stringMatching(/^\d+$/),
      exit_code: 0,
      queue: 'main',
      requested: { mem: '300M', cpus_per_task: 2 },
    })
    expect(simulate.outputs.map((output: { path: string }) => output.path)).toEqual([
      'results/answer.txt',
      'results/version.txt',
    ])
    expect(record.jobs.fails.attempts[0]).toMatchObject({ exit_code: 3 })
    const note = await until('the final note', () =>
      w.note(iid)?.body.includes('fails failed: exit 3') ? w.note(iid) : null,
    )
    expect(note.body).toContain('going wrong')
    expect(w.ourNotes(iid).filter(one => one.body.includes('<!-- compops:tree'))).toHaveLength(1)
    expect(w.service.context.clusterOf('falcon').stats().connects).toBe(1)
  })

  it('is submitted once when the service is killed between submission and the saved id', async () => {
    const w = await startOn(falcon(lab))
    const sha = await w.push('calc/once', { '.compops.yml': 'jobs:\n  only:\n    script: [sleep 8]\n' })
    const attempt = await until(
      'a submitted attempt',
      async () =>
        (
          await rows<{ id: string; native_id: string }>(
            w.service.context.db,
            sql`select id, native_id from attempts where native_id is not null`,
          )
        )[0],
    )
    // What a kill at that arrow leaves behind: the job is there, the row does not know its id.
    await w.service.context.db.execute(
      sql`update attempts set native_id = null, state = 'submitting', next_at = now(), lease_until = null`,
    )
    await w.service.context.db.execute(sql`update jobs set state = 'submitting'`)
    await w.stopService()
    await w.start()
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/only': 'success' })
    const again = await rows<{ native_id: string }>(w.service.context.db, sql`select native_id from attempts`)
    expect(again).toEqual([{ native_id: attempt.native_id }])
    const listed = execFileSync(
      'sacct',
      ['-n', '-X', '-P', '-u', lab.user, '--name', `compops-${attempt.id}`, '-o', 'JobID'],
      { env: { ...process.env, SLURM_CONF: process.env.SLURM_CONF ?? '/etc/slurm/slurm.conf' } },
    )
    expect(listed.toString().trim().split('\n')).toEqual([attempt.native_id])
  })

  it('takes a git ref that is shell code for what it is: a name', async () => {
    const w = await startOn(falcon(lab))
    const branch = 'calc/$(touch${IFS}pwned);`id`\'&"'
    const sha = await w.push(
      branch,
      {
        '.compops.yml':
          'jobs:\n  only:\n    script: [\'test ! -e pwned\', \'printf "%s" "$COMPOPS_BRANCH" > branch.txt\']\n    outputs: [branch.txt]\n',
      },
      '$(reboot); `id`',
    )
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/only': 'success' })
    await until('the evidence', () => w.simulator.files(w.project.id, 'compops/evidence'))
  })

  it("says in the scheduler's own words why a partition is not accepted", async () => {
    const w = await startOn(falcon(lab))
    const sha = await w.push('calc/nowhere', {
      '.compops.yml': 'jobs:\n  only:\n    partition: nosuch\n    script: ["true"]\n',
    })
    const { iid } = await w.openMergeRequest('calc/nowhere')
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/only': 'failed' })
    expect(w.description(sha, 'compops/only')).toMatch(/not accepted.*nvalid partition/)
    await until('the note', () => w.note(iid)?.body.includes('nvalid partition'))
  })

  it('cancels what is queued when a new commit comes, and lets what runs finish', async () => {
    const w = await startOn(falcon(lab))
    const file = (n: number) => ({
      '.compops.yml': `jobs:\n  long:\n    script: [sleep 6]\n  later:\n    needs: [long]\n    script: [echo ${n}]\n`,
    })
    const first = await w.push('calc/super', file(1))
    await until('the first to run', () => w.statuses(first)['compops/long'] === 'running', 60)
    const second = await w.push('calc/super', file(2), 'better')
    expect(await w.treeEnds(second, ['success'], 90)).toMatchObject({ 'compops/later': 'success' })
    expect(await w.treeEnds(first)).toMatchObject({ 'compops/long': 'success', 'compops/later': 'canceled' })
  })
})

describe('a cluster without accounting', () => {
  const other = { dbd: false, port: 27_900 } as const
  afterAll(() => labDown(other))

  it('is believed by its queue and the exit file alone', async () => {
    const bare = await labUp(other)
    const w = await startOn(falcon(bare))
    const sha = await w.push('calc/bare', {
      '.compops.yml': `jobs:
  good: { script: [echo fine > out.txt], outputs: [out.txt] }
  bad: { script: [exit 4] }
  after: { needs: [good], script: ["cat out.txt"] }
`,
    })
    expect(await w.treeEnds(sha, ['failed'], 120)).toMatchObject({
      'compops/good': 'success',
      'compops/after': 'success',
      'compops/bad': 'failed',
    })
    const record = parse(await until('the evidence', () => w.evidenceOf('calc/bare', sha)))
    expect(record.jobs.bad.attempts[0]).toMatchObject({ exit_code: 4 })
  })
})
