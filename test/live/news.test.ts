import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { falconOn, type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// News of jobs on a real Slurm over a real sshd: between two polls lie two minutes, and nobody waits for them.
let lab: Lab
let world: World
let place: string

beforeAll(async () => {
  lab = await labUp()
  // The jobs, which are another user's, write down when they began and ended.
  place = mkdtempSync(join(tmpdir(), 'compops-news-'))
  chmodSync(place, 0o777)
  world = await startWorld({
    clusters: falconOn(lab, ['poll_interval: 120s', 'defaults: { partition: main, time: 5m }']),
    rule: '    clusters: [falcon]',
  })
}, 300_000 * patience)
afterAll(async () => {
  await world?.close()
  rmSync(place, { recursive: true, force: true })
})

const push = (branch: string, script: readonly string[], keys = '') =>
  world.push(branch, { '.compops.yml': `jobs:\n  heat:\n    script: ${JSON.stringify(script)}\n${keys}` })
const is = (sha: string, state: string, seconds = 60) =>
  until(`it to be ${state}`, () => world.statuses(sha)['compops/heat'] === state, seconds).catch(error => {
    throw new Error(`${error}: ${JSON.stringify(world.statuses(sha))}\n${world.logged.slice(-30).join('')}`)
  })
const written = (name: string) => Number(readFileSync(join(place, name), 'utf8'))
const median = (all: readonly number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN

describe('between two polls', () => {
  it('a start, how far it is and an end are told within seconds, for few questions to the scheduler', async () => {
    const cluster = world.service.context.clusterOf('falcon')
    const begun: number[] = []
    const ended: number[] = []
    let questions = 0
    for (let n = 0; n < 5; n++) {
      const branch = `calc/${n}`
      const go = join(place, `go-${n}`)
      const sha = await push(branch, [
        `date +%s%3N > ${place}/begun-${n}`,
        'compops_progress 40 "iteration 400"',
        `until [ -e ${go} ]; do sleep 0.05; done`,
        `date +%s%3N > ${place}/ended-${n}`,
      ])
      const { iid } = await world.openMergeRequest(branch)
      await is(sha, 'running')
      begun.push(Date.now() - written(`begun-${n}`))
      await until('how far it is', () => world.note(iid)?.body.includes('running, 40 %: iteration 400'), 60)
      const before = cluster.stats().schedulerCommands
      writeFileSync(go, '')
      await is(sha, 'success')
      ended.push(Date.now() - written(`ended-${n}`))
      questions += cluster.stats().schedulerCommands - before
    }
    const said = `begun ${begun.join(', ')} ms; ended ${ended.join(', ')} ms; ${questions / 5} questions an end`
    console.log(said)
    // The promise is a second; a loaded machine takes longer, and a poll two minutes.
    expect(median(begun), said).toBeLessThan(15_000)
    expect(median(ended), said).toBeLessThan(15_000)
    expect(questions, said).toBeLessThanOrEqual(5 * 8)
  })

  it('a line of fail_on and a silence end the job on a real node, and are told as the reason', async () => {
    const [matched, stalled] = await Promise.all([
      push(
        'calc/matched',
        [`sh -c 'echo "ERROR: residual is NaN"; touch ${place}/alive; sleep 200; touch ${place}/survived'`],
        '    fail_on: ["ERROR: .*NaN"]\n    stall_timeout: 100s\n',
      ),
      push('calc/stalled', ['echo begun', 'sleep 200'], '    stall_timeout: 12s\n'),
    ])
    await is(matched, 'failed', 90)
    await is(stalled, 'failed', 90)
    expect(world.description(matched, 'compops/heat')).toMatch(/error in its output.*ERROR: residual is NaN/)
    expect(world.description(stalled, 'compops/heat')).toMatch(/stalled/)
    expect(await until('the evidence', () => world.evidenceOf('calc/matched', matched), 60)).toContain(
      'reason: fail_on',
    )
    expect([existsSync(join(place, 'alive')), existsSync(join(place, 'survived'))]).toEqual([true, false])
  })
})
