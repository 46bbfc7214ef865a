import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Simulator } from '../../simulator/simulator.ts'
import type { DemoCheck } from './check.ts'
import { runGit } from './git.ts'
import type { Line } from './terminal.ts'

export interface TreeSeed {
  readonly projectId: number
  readonly clone: string
  readonly aliceId: number
}

interface Planned {
  readonly branch: string
  readonly from: string
  readonly subject: string
  /** In `.compops.yml`. */
  readonly change: readonly [string, string]
}

/** A study as a tree: each branch changes one thing of its parent. */
const planned: readonly Planned[] = [
  { branch: 'calc/mesh/fine', from: 'calc/heat', subject: 'A finer mesh', change: ['cells: 120', 'cells: 240'] },
  {
    branch: 'calc/mesh/fine-long',
    from: 'calc/mesh/fine',
    subject: 'Twice as long',
    change: ['time: 0.05', 'time: 0.1'],
  },
  {
    branch: 'calc/rod/copper',
    from: 'calc/heat',
    subject: 'A rod of copper',
    change: ['diffusivity: 0.4', 'diffusivity: 1.1'],
  },
  {
    branch: 'calc/rod/copper-fine',
    from: 'calc/rod/copper',
    subject: 'Copper, finer',
    change: ['cells: 120', 'cells: 200'],
  },
  {
    branch: 'calc/rod/steel',
    from: 'calc/heat',
    subject: 'A rod of steel',
    change: ['diffusivity: 0.4', 'diffusivity: 0.15'],
  },
]
// A machine on which much else runs is slow, not broken.
const patience = 180_000

/**
 * Five more branches grow out of calc/heat, level by level; then copper is computed anew, which makes
 * what was computed from it stale. Looks at the picture as people find it.
 */
export async function growTree(
  simulator: Simulator,
  seed: TreeSeed,
  terminal: { line(text: string): Line },
): Promise<DemoCheck[]> {
  const { clone, projectId } = seed
  const grown = terminal.line('')
  const began = performance.now()
  const steps = planned.length + 1
  let done = 0
  const shown = () => `${Math.round((performance.now() - began) / 1000)} s`
  // Level by level: a parent has its result before its children are computed from it.
  const isChild = ({ from }: Planned) => planned.some(one => one.branch === from)
  for (const level of [planned.filter(one => !isChild(one)), planned.filter(isChild)]) {
    const pushed = new Map<string, string>()
    for (const { branch, from, subject, change } of level) {
      await runGit(clone, ['checkout', '--quiet', '-b', branch, from])
      pushed.set(branch, await commitAndPush(clone, branch, subject, change))
    }
    await until(() => {
      const ended = [...pushed.values()].filter(sha => treeState(simulator, projectId, sha) === 'success').length
      grown.progress(
        [...pushed.keys()].map(branch => branch.replace('calc/', '')).join(', '),
        done + ended,
        steps,
        shown(),
      )
      return ended === pushed.size
    })
    done += level.length
  }
  const { iid } = await simulator.createMergeRequest({
    ...{ projectId, sourceBranch: 'calc/rod/copper-fine', targetBranch: 'calc/rod/copper', title: 'Copper, finer' },
    authorId: seed.aliceId,
  })
  grown.progress('copper again', done, steps, shown())
  await runGit(clone, ['checkout', '--quiet', 'calc/rod/copper'])
  await commitAndPush(clone, 'calc/rod/copper', 'Copper at room temperature', ['diffusivity: 1.1', 'diffusivity: 1.17'])
  const note = () => noteOf(simulator, projectId, iid)
  const noteRight = await until(() => /Stale: `calc\/rod\/copper` has a newer result/.test(note()) && drawsAll(note()))
  const readme = async () => (await simulator.readFile(projectId, 'compops/evidence', 'README.md')) ?? ''
  const readmeRight = await until(async () => drawsAll(await readme()) && (await readme()).includes(', stale'))
  grown.end(shown())
  const drawn = (note().match(/-->|-\. stale \.->/g) ?? []).length
  return [
    {
      what: `a tree of six branches, merge request !${iid}`,
      ok: noteRight,
      found: noteRight ? 'drawn, stale since copper was computed anew' : `${drawn} arrows`,
    },
    { what: 'the same in the evidence', ok: readmeRight, found: readmeRight ? 'README.md' : 'not committed yet' },
  ]
}

async function commitAndPush(
  clone: string,
  branch: string,
  subject: string,
  [before, after]: readonly [string, string],
): Promise<string> {
  const file = join(clone, '.compops.yml')
  await writeFile(file, (await readFile(file, 'utf8')).replace(before, after))
  await runGit(clone, ['commit', '--quiet', '-am', subject])
  await runGit(clone, ['push', '--quiet', '-u', 'origin', branch])
  return (await runGit(clone, ['rev-parse', 'HEAD'])).trim()
}

function treeState(simulator: Simulator, projectId: number, sha: string): string | undefined {
  return simulator.statuses(projectId, sha).find(status => !status.retried && status.name === 'compops/tree')?.status
}

function noteOf(simulator: Simulator, projectId: number, iid: number): string {
  return simulator.notes(projectId, iid).find(note => note.body.includes('<!-- compops:tree'))?.body ?? ''
}

/** As Mermaid has them: what a name has in common with its parent's is left out. */
function drawsAll(page: string): boolean {
  return ['calc/heat', 'mesh/fine', '/fine-long', 'rod/copper', '/copper-fine', 'rod/steel'].every(name =>
    page.includes(name),
  )
}

async function until(reached: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + patience
  while (performance.now() < deadline) {
    if (await reached()) return true
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  return false
}
