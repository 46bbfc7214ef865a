import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 * patience })

// Two clusters that share nothing: what the parent has computed on one of them is taken by a job on the other.
const clusters = (more = '') => `  laptop: { scheduler: local, root: ROOT, poll_interval: 1s }
  server: { scheduler: local, root: ROOT-of-server, poll_interval: 1s${more} }`
const withTwo = (story: (world: World) => Promise<void>, more = '') =>
  inWorld({ clusters: clusters(more), rule: '    clusters: [laptop, server]' }, story)

const meshes = {
  '.compops.yml':
    'jobs:\n  mesh:\n    script: ["mkdir mesh", "echo fine > mesh/heat.msh", "touch mesh/empty.msh", "echo x > mesh/notes.txt"]\n    outputs: [mesh/*]\n',
}
const takes = (glob: string, script = 'cat mesh/heat.msh') => ({
  '.compops.yml': `cluster: server\nparent: calc/heat\njobs:\n  solve:\n    inputs: [{ from: parent, paths: ["${glob}"] }]\n    script: ["${script}", "! test -e mesh/notes.txt"]\n`,
})
const digest = createHash('sha256').update('fine\n').digest('hex')
const place = (world: World, name: string, ...path: string[]) =>
  join(world.place, name, String(world.project.id), ...path)
const record = async (world: World, branch: string, sha: string) =>
  parse(await until('the evidence', () => world.evidenceOf(branch, sha), 60))

describe.concurrent('files of a parent that computed on another cluster', () => {
  it('are brought by the service before the job begins, once for all who take them; the evidence says from where', () =>
    withTwo(async world => {
      await world.treeEnds(await world.push('calc/heat', meshes), ['success'])
      const child = await world.push(
        'calc/child',
        takes('mesh/*.msh', 'grep fine mesh/heat.msh; test -e mesh/empty.msh'),
      )
      await world.treeEnds(child, ['success'])
      expect((await record(world, 'calc/child', child)).jobs.solve.inputs).toEqual([
        {
          path: 'mesh/empty.msh',
          size: 0,
          sha256: expect.any(String),
          from: 'mesh of the parent, brought from laptop',
        },
        { path: 'mesh/heat.msh', size: 5, sha256: digest, from: 'mesh of the parent, brought from laptop' },
      ])
      const there = place(world, 'cluster-of-server', 'cache/inputs')
      expect(await readdir(there)).toHaveLength(2)
      // What passed through here does not stay.
      expect(await readdir(place(world, 'data/inputs'))).toEqual([])
      const { ino } = await stat(join(there, digest))
      await world.treeEnds(await world.push('calc/other', takes('mesh/heat.msh')), ['success'])
      expect((await stat(join(there, digest))).ino).toBe(ino)
    }))

  it('come whole whatever a kill half way has left, here or there', () =>
    withTwo(async world => {
      await world.treeEnds(await world.push('calc/heat', meshes), ['success'])
      await mkdir(place(world, 'data/inputs'), { recursive: true })
      await writeFile(place(world, 'data/inputs', `${digest}.part`), '\0\0')
      await mkdir(place(world, 'cluster-of-server', 'cache/inputs'), { recursive: true })
      await writeFile(place(world, 'cluster-of-server', 'cache/inputs', `${digest}.part`), 'fi')
      await world.treeEnds(await world.push('calc/child', takes('mesh/heat.msh')), ['success'])
      expect(await readFile(place(world, 'cluster-of-server', 'cache/inputs', digest), 'utf8')).toBe('fine\n')
    }))

  it('are waited for while that cluster is away: the job is held, says why, and goes on', () =>
    withTwo(async world => {
      await world.treeEnds(await world.push('calc/heat', meshes), ['success'])
      await rename(join(world.place, 'cluster'), join(world.place, 'away'))
      const child = await world.push('calc/child', takes('mesh/heat.msh'))
      const { iid } = await world.openMergeRequest('calc/child')
      await until(
        'the note to say why',
        () => world.note(iid)?.body.includes('the inputs of solve cannot be brought'),
        60,
      )
      expect(world.statuses(child)['compops/solve']).toBe('pending')
      await rename(join(world.place, 'away'), join(world.place, 'cluster'))
      await world.treeEnds(child, ['success'])
    }))

  it('that were written again since, or are more than the site lets through, fail the job with the reason', () =>
    withTwo(async world => {
      const parent = await world.push('calc/heat', {
        '.compops.yml': meshes['.compops.yml'].replace(
          'touch mesh/empty.msh',
          'head -c 5000 /dev/zero > mesh/large.msh',
        ),
      })
      await world.treeEnds(parent, ['success'])
      const large = await world.push('calc/large', takes('mesh/*'))
      await world.treeEnds(large, ['failed'])
      expect((await record(world, 'calc/large', large)).jobs.solve.message).toContain(
        `solve takes 5 K of calc/heat at ${parent.slice(0, 8)} from laptop, and at most 4 K are brought to server (transfer_limit)`,
      )
      const [run] = await readdir(place(world, 'cluster', 'runs'))
      await writeFile(place(world, 'cluster', 'runs', run!, 'work/mesh/heat.msh'), 'FINE\n')
      const child = await world.push('calc/child', takes('mesh/heat.msh'))
      await world.treeEnds(child, ['failed'])
      expect((await record(world, 'calc/child', child)).jobs.solve.message).toBe(
        `mesh/heat.msh of calc/heat at ${parent.slice(0, 8)} on laptop is not what the parent had computed: it was written again since`,
      )
    }, ', transfer_limit: 4K'))
})
