import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 })

const files = (release: string, end: string) => ({
  '.compops.yml': `jobs:
  check: { script: [echo checked] }
  long:
    gate: false
    script: ['until [ -e ${release} ]; do sleep 0.1; done', '${end}']
`,
})
const pipeline = (world: World) => world.simulator.pipelines(world.project.id).at(-1)?.status

describe.concurrent('a job with gate: false', () => {
  test('holds up no merge while it runs, is followed in the note, and tells its end on the commit', () =>
    inWorld({}, async world => {
      const release = join(world.place, 'release')
      const sha = await world.push('calc/heat', files(release, 'echo done'))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      expect(world.statuses(sha)).toEqual({ 'compops/check': 'success', 'compops/tree': 'success' })
      expect(pipeline(world)).toBe('success')
      const row = await until(
        'the note',
        () => /long \(gates nothing\).*◐ running/.exec(world.note(iid)?.body ?? ''),
        60,
      )
      expect(row).not.toBeNull()
      await writeFile(release, '')
      await until('its status', () => world.statuses(sha)['compops/long'] === 'success', 60)
      expect(await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)).toContain('gate: false')
    }))

  test('that fails leaves the commit as the others made it, and says so where people look', () =>
    inWorld({}, async world => {
      const release = join(world.place, 'release')
      const sha = await world.push('calc/heat', files(release, 'exit 3'))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      await writeFile(release, '')
      await until('its end', () => world.statuses(sha)['compops/long'] === 'skipped', 60)
      expect(world.description(sha, 'compops/long')).toMatch(/^failed, gates nothing: laptop \S+ · exit 3/)
      expect(world.statuses(sha)['compops/tree']).toBe('success')
      expect(pipeline(world)).toBe('success')
      await until('the note', () => world.note(iid)?.body.includes('long failed: exit 3'), 60)
    }))
})
