import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

/** As the operator types it, on the machine of the service. */
async function compops(world: World, ...args: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const write = (text: string) => {
    said += text
  }
  const io = { stdout: { write }, stderr: { write }, env: { USER: 'root' } }
  const code = await dispatch([...args, '--config', world.configFile], io)
  return { code, said }
}

const file = { '.compops.yml': 'jobs:\n  solve: { script: [echo solved] }\n' }

async function clusterState(world: World): Promise<string | null> {
  const answer = (await (await fetch(`${world.url}/readyz`)).json()) as {
    clusters: Record<string, { held: string | null }>
  }
  return answer.clusters.laptop!.held
}

describe.concurrent('an operator holds a cluster back', () => {
  test('paused, a push waits and says why, to people and machines, also after a restart; resumed, it runs', () =>
    inWorld({}, async world => {
      const words = 'laptop is paused by root: disks are exchanged'
      const { code, said } = await compops(world, 'pause', 'laptop', '--reason', 'disks are exchanged')
      expect(said).toContain(`${words}.`)
      expect(code).toBe(0)

      const sha = await world.push('calc/heat', file, 'a computation', 'main')
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('the note to say why it waits', () => world.note(iid)?.body.includes(words), 30)
      expect(await clusterState(world)).toBe(words)
      expect(await (await fetch(`${world.url}/metrics`)).text()).toContain(
        'compops_cluster_held{cluster="laptop",mode="pause"} 1',
      )

      await world.stopService()
      await world.start()
      expect(await until('readyz to know of it', () => clusterState(world))).toBe(words)
      expect(world.statuses(sha)['compops/solve']).toBe('pending')

      expect((await compops(world, 'resume', 'laptop')).said).toBe('laptop goes on.\n')
      expect((await world.treeEnds(sha))['compops/solve']).toBe('success')
      expect(await compops(world, 'resume', 'laptop')).toEqual({
        code: 1,
        said: 'laptop was neither paused nor drained.\n',
      })
      const folder = join(world.place, 'data', 'audit')
      const lines = await Promise.all((await readdir(folder)).map(name => readFile(join(folder, name), 'utf8')))
      expect(lines.join('')).toContain('"act":"cluster paused","by":"root","cluster":"laptop"')
      expect(lines.join('')).toContain('"act":"cluster resumed"')
    }))

  test('drained, what runs ends and what follows waits; the drain ends by itself', () =>
    inWorld({}, async world => {
      const release = join(world.place, 'release')
      const sha = await world.push('calc/heat', {
        '.compops.yml': `jobs:
  mesh: { script: ['until [ -e ${release} ]; do sleep 0.1; done'] }
  solve: { needs: [mesh], script: [echo solved] }
`,
      })
      await until('mesh to run', () => world.statuses(sha)['compops/mesh'] === 'running', 30)
      await compops(world, 'drain', 'laptop')
      await world.push('main', { 'README.md': '# Heat\n\nWritten meanwhile.\n' })
      const { writeFile } = await import('node:fs/promises')
      await writeFile(release, '')
      await until('mesh to end', () => world.statuses(sha)['compops/mesh'] === 'success', 30)
      expect(world.statuses(sha)['compops/solve']).toBe('pending')
      const soon = new Date(Date.now() + 3_000).toISOString().replace(/\.\d+Z$/, 'Z')
      await compops(world, 'drain', 'laptop', '--until', soon)
      expect((await world.treeEnds(sha))['compops/solve']).toBe('success')
    }))

  test('what cannot be held is said', () =>
    inWorld({}, async world => {
      expect((await compops(world, 'pause', 'lptop')).said).toBe(
        'compops pause: there is no cluster "lptop"; there are: laptop\n',
      )
      expect((await compops(world, 'pause')).code).toBe(2)
      expect((await compops(world, 'drain', 'laptop', '--until', 'soon')).said).toContain('is no time to come')
    }))
})
