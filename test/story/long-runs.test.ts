import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Computations that are longer than a time limit, as real processes with real limits: one job and one status from the first segment to the last.
const options = { more: 'intervals: { note: 200ms, retry: 300ms }' }
const record = async (world: World, sha: string) =>
  parse(await until('the evidence', () => world.evidenceOf('calc/long', sha)))

describe.concurrent('a computation that is longer than its time limit', () => {
  it('is one job of several segments, each going on from what the one before has left', () =>
    inWorld(options, async world => {
      const sha = await world.push('calc/long', {
        '.compops.yml': `jobs:
  relax:
    time: 2s
    chain: { segments: 10, until: converged }
    script:
      - cat "$COMPOPS_CHECKPOINT_DIR/steps" 2>/dev/null || true
      - echo "segment $COMPOPS_RESTART" >> "$COMPOPS_CHECKPOINT_DIR/steps"
      - '[ "$COMPOPS_RESTART" -lt 2 ] || { touch converged; exit 0; }'
      - sleep 600
  plot:
    needs: [relax]
    script: [test -e converged]
`,
      })
      const { iid } = await world.openMergeRequest('calc/long')
      await until('a segment in the note', () => /segment 2 of 10/.test(world.note(iid)?.body ?? ''))
      expect(await world.treeEnds(sha, ['success'])).toMatchObject({
        'compops/relax': 'success',
        'compops/plot': 'success',
      })
      const relax = world.simulator.statuses(world.project.id, sha).filter(status => status.name === 'compops/relax')
      expect(relax.map(status => status.status)).toEqual(['success'])
      expect((await record(world, sha)).jobs.relax.attempts).toMatchObject([
        { step: 'segment 1 of 10', state: 'failed', reason: 'timeout' },
        { step: 'segment 2 of 10', state: 'failed', reason: 'timeout' },
        { step: 'segment 3 of 10', state: 'completed' },
      ])
    }))

  it('has failed where its segments are used up and its file is not there, and says so', () =>
    inWorld(options, async world => {
      const sha = await world.push('calc/long', {
        '.compops.yml': `jobs:
  relax:
    chain: { segments: 2, until: converged }
    script: ['true']
`,
      })
      const { iid } = await world.openMergeRequest('calc/long')
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/relax': 'failed' })
      expect(world.description(sha, 'compops/relax')).toMatch(/segments used up.*2 attempts/)
      await until('the reason in the note', () =>
        world.note(iid)?.body.includes('2 segments have run, and converged is not there'),
      )
    }))

  it('fails with a segment that fails', () =>
    inWorld(options, async world => {
      const sha = await world.push('calc/long', {
        '.compops.yml': `jobs:
  relax:
    chain: { segments: 5 }
    script: ['[ "$COMPOPS_RESTART" -lt 1 ] || exit 3']
`,
      })
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/relax': 'failed' })
      expect(world.description(sha, 'compops/relax')).toMatch(/exit 3.* · 2 attempts/)
    }))

  it('gets a signal in time, and is started again from the checkpoint that it wrote', () =>
    inWorld(options, async world => {
      const sha = await world.push('calc/long', {
        '.compops.yml': `jobs:
  train:
    time: 1m
    checkpoint: { signal: USR1, lead: 58s }
    script:
      - 'if [ -e "$COMPOPS_CHECKPOINT_DIR/epoch" ]; then cp "$COMPOPS_CHECKPOINT_DIR/epoch" epoch.txt; exit 0; fi'
      - trap 'echo 7 > "$COMPOPS_CHECKPOINT_DIR/epoch"; echo written; exit 85' USR1
      - while sleep 0.1; do true; done
    outputs: [epoch.txt]
`,
      })
      expect(await world.treeEnds(sha, ['success'])).toMatchObject({ 'compops/train': 'success' })
      expect((await record(world, sha)).jobs.train).toMatchObject({
        attempts: [
          { state: 'failed', reason: 'timeout', exit_code: 85 },
          { state: 'completed', step: 'restart 1 of 10 from its checkpoint after time limit' },
        ],
        outputs: [{ path: 'epoch.txt', size: 2 }],
      })
    }))
})
