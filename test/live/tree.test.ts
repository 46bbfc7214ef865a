import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { falconOn, type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// Branches below branches, and jobs that run again, on a real Slurm over a real sshd.
let lab: Lab
let world: World | null = null

beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)

afterEach(async () => {
  await world?.close()
  world = null
})

async function startOnLab(): Promise<World> {
  const clusters = falconOn(lab, ['poll_interval: 5s', 'defaults: { partition: main, time: 5m }'])
  world = await startWorld({ clusters, rule: '    clusters: [falcon]\n    notify: never' })
  return world
}

const evidence = async (w: World, branch: string, sha: string) =>
  parse(await until(`the evidence of ${branch}`, () => w.evidenceOf(branch, sha), 60))

describe('a tree of computations on Slurm', () => {
  const mesh = (...script: string[]) => ({
    '.compops.yml': `jobs:\n  mesh:\n    script: ${JSON.stringify(script)}\n    outputs: [mesh/*.msh]\n`,
  })
  const solve = {
    '.compops.yml': `parent: calc/mesh
jobs:
  solve:
    inputs: [{ from: parent, paths: [mesh/*.msh] }]
    script: ['cmp mesh/rod.msh "$COMPOPS_PARENT_DIR/mesh/rod.msh"', cp mesh/rod.msh answer.txt]
    outputs: [answer.txt]
`,
  }

  it('a child is skipped with its parent, goes on when that is repaired, and computes from its files', async () => {
    const w = await startOnLab()
    const broken = await w.push('calc/mesh', mesh('exit 4'))
    await w.treeEnds(broken, ['failed'], 120)
    const child = await w.push('calc/solve', solve)
    await w.treeEnds(child, ['skipped', 'canceled'], 120)
    expect(w.description(child, 'compops/solve')).toContain(`calc/mesh failed at ${broken.slice(0, 8)}`)
    const repaired = await w.push('calc/mesh', mesh('mkdir -p mesh', 'echo 41200 > mesh/rod.msh'))
    await w.treeEnds(repaired, ['success'], 120)
    await w.treeEnds(child, ['success'], 120)
    const record = await until(
      'the evidence of the child',
      async () => {
        const text = await w.evidenceOf('calc/solve', child)
        const found = text === null ? null : parse(text)
        return found?.state === 'completed' && found
      },
      60,
    )
    const [output] = (await evidence(w, 'calc/mesh', repaired)).jobs.mesh.outputs
    expect(record.parent).toMatchObject({ branch: 'calc/mesh', sha: repaired })
    expect(record.jobs.solve.inputs).toMatchObject([{ path: 'mesh/rod.msh', sha256: output.sha256 }])
    expect(record.jobs.solve.outputs[0].sha256).toBe(output.sha256)
  })
})

describe('a job that runs again on Slurm', () => {
  it('gets more time after its time limit, and is one success', async () => {
    const w = await startOnLab()
    const sha = await w.push('calc/long', {
      '.compops.yml': `jobs:
  long:
    time: 1m
    retry: { timeout: { time: x2 } }
    script: ['test "$COMPOPS_RESTART" != 0 || sleep 600']
`,
    })
    await w.treeEnds(sha, ['success'], 300)
    const { attempts } = (await evidence(w, 'calc/long', sha)).jobs.long
    expect(attempts).toMatchObject([
      { state: 'failed', reason: 'timeout', requested: { time: '1m' } },
      { state: 'completed', requested: { time: '2m' } },
    ])
  })

  it('is one job over the segments of a chain, with what it wrote to come back to', async () => {
    const w = await startOnLab()
    const sha = await w.push('calc/relax', {
      '.compops.yml': `jobs:
  relax:
    chain: { segments: 5, until: converged }
    script:
      - 'echo x >> "$COMPOPS_CHECKPOINT_DIR/steps"'
      - 'test "$(wc -l < "$COMPOPS_CHECKPOINT_DIR/steps")" -lt 3 || touch converged'
`,
    })
    expect(await w.treeEnds(sha, ['success'], 180)).toMatchObject({ 'compops/relax': 'success' })
    expect((await evidence(w, 'calc/relax', sha)).jobs.relax.attempts).toHaveLength(3)
  })
})
