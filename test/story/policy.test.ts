import { expect, test } from 'vitest'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { inWorld } from '../support/world.ts'

test("what goes beyond the site's policy is answered on the merge request with its line, and never submitted", async () => {
  const slurm = startFakeSlurm()
  try {
    await inWorld(
      {
        clusters: `  falcon: { scheduler: slurm, root: ROOT, path: ${slurm.bin}, poll_interval: 1s, allow_directives: ["--hint=*", "--switches=*"] }`,
        rule: '    clusters: [falcon]\n    policy: { time: 1h, nodes: 2, directives: ["--hint=*"] }',
        more: 'intervals: { note: 200ms, shortest_poll: 500ms }',
      },
      async world => {
        const text = (time: string, directive: string) =>
          `jobs:\n  solve:\n    script: [echo solved]\n    time: ${time}\n    directives: ["${directive}"]\n`
        const sha = await world.push('calc/heat', { '.compops.yml': text('2h', '--switches=1') }, 'too long', 'main')
        const { iid } = await world.openMergeRequest('calc/heat')
        await world.treeEnds(sha, ['failed'])
        const note = await until('the note', () => world.note(iid)?.body, 30)
        expect(note).toContain('the site allows jobs of this project at most 1 h')
        expect(note).toContain("the site's policy for this project does not list it")
        expect(slurm.jobs()).toEqual([])

        const right = await world.push('calc/heat', { '.compops.yml': text('30m', '--hint=nomultithread') })
        expect((await world.treeEnds(right))['compops/solve']).toBe('success')
      },
    )
  } finally {
    slurm.stop()
  }
})
