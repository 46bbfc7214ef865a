import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startWorld } from '../support/world.ts'

const example = fileURLToPath(new URL('../../deploy/schedulers/task-spooler.ts', import.meta.url))

/** A Task Spooler of the test's own, by its socket. */
const socket = join('/tmp', `compops-tsp-${process.pid}`)

test("a push runs on a scheduler of the site's own: the example, and the real Task Spooler", async () => {
  try {
    execFileSync('tsp', ['-V'], { stdio: 'ignore' })
  } catch {
    throw new Error('This test needs Task Spooler: apt-get install task-spooler')
  }
  process.env.TS_SOCKET = socket
  const world = await startWorld({
    clusters: `  laptop: { scheduler: ${example}, root: ROOT, poll_interval: 500ms }`,
    more: 'intervals: { note: 200ms, shortest_poll: 100ms }',
  })
  try {
    const sha = await world.push('calc/heat', {
      '.compops.yml': `jobs:
  mesh: { script: ['echo a mesh >mesh.txt'], outputs: [mesh.txt] }
  solve: { needs: [mesh], script: ['cat mesh.txt', 'exit 3'] }
`,
    })
    expect(await world.treeEnds(sha)).toEqual({
      'compops/tree': 'failed',
      'compops/mesh': 'success',
      'compops/solve': 'failed',
    })
    expect(world.description(sha, 'compops/solve')).toContain('exit 3')
  } finally {
    await world.close()
    execFileSync('tsp', ['-K'], { stdio: 'ignore' })
    delete process.env.TS_SOCKET
  }
})
