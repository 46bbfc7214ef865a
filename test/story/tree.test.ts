import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { setHold } from '../../src/store/holds.ts'
import { loadTree } from '../../src/store/tree.ts'
import { runGit } from '../support/git-server.ts'
import { patience } from '../support/patience.ts'
import { startResearcher } from '../support/researcher.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 240_000 * patience })

// Git branches as a tree of computations: whose child a branch is, and what follows from that.
const file = (text: string, top = '') => ({ '.compops.yml': `${top}jobs:\n  solve:\n    script: ["${text}"]\n` })
const evidenceOf = async (world: World, branch: string, sha: string) =>
  parse(await until(`the evidence of ${branch}`, () => world.evidenceOf(branch, sha), 60))
const branchRecord = async (world: World, branch: string) =>
  parse((await world.evidence(`branches/${branch}.yml`)) ?? '{}')
const cloneUrl = ({ simulator }: World) => `${simulator.url.replace('//', '//alice:secret-alice@')}/physics/heat.git`
const isMatch = (value: unknown, what: object): boolean =>
  Object.entries(what).every(([key, wanted]) => {
    const found = (value as Record<string, unknown> | null | undefined)?.[key]
    return typeof wanted === 'object' ? isMatch(found, wanted) : found === wanted
  })
/** The branch's own page on the evidence branch, once it says so. */
const branchSays = (world: World, branch: string, what: object) =>
  until(
    `${branch} to be ${JSON.stringify(what)}`,
    async () => {
      const record = await branchRecord(world, branch)
      return isMatch(record, what) && record
    },
    60,
  )

describe.concurrent('the parent of a computation branch', () => {
  it('is the branch that it was forked from: nearest first, whatever has been merged since', () =>
    inWorld({}, async world => {
      const base = await world.push('calc/heat', file('echo 1'))
      await world.treeEnds(base, ['success'])
      const child = await world.push('calc/heat-4d', file('echo 2'), 'four dimensions', 'calc/heat')
      await world.treeEnds(child, ['success'])
      const grandchild = await world.push('calc/heat-4d-fine', file('echo 3'), 'finer', 'calc/heat-4d')
      await world.treeEnds(grandchild, ['success'])
      expect((await evidenceOf(world, 'calc/heat', base)).parent).toBeUndefined()
      expect((await evidenceOf(world, 'calc/heat-4d', child)).parent).toMatchObject({
        branch: 'calc/heat',
        sha: base,
        why: `forked from calc/heat at ${base.slice(0, 8)}`,
      })
      expect((await evidenceOf(world, 'calc/heat-4d-fine', grandchild)).parent).toMatchObject({
        branch: 'calc/heat-4d',
      })
      // The parent goes on, and goes: its child stays where it hung.
      await world.treeEnds(await world.push('calc/heat', file('echo 4')), ['success'])
      await world.simulator.deleteBranch(world.project.id, 'calc/heat', world.alice.id)
      const later = await world.push('calc/heat-4d', file('echo 5'))
      await world.treeEnds(later, ['success'])
      expect((await evidenceOf(world, 'calc/heat-4d', later)).parent).toMatchObject({ branch: 'calc/heat' })
      await branchSays(world, 'calc/heat-4d', { children: ['calc/heat-4d-fine'], parent: { branch: 'calc/heat' } })
    }))

  it('is the target of its merge request where that is a computation, and again the fork when it is closed', () =>
    inWorld({}, async world => {
      const one = await world.push('calc/one', file('echo 1'))
      await world.treeEnds(one, ['success'])
      const two = await world.push('calc/two', file('echo 2'))
      await world.treeEnds(two, ['success'])
      const child = await world.push('calc/child', file('echo 3'), 'a child', 'calc/one')
      await world.treeEnds(child, ['success'])
      const { iid } = await world.simulator.createMergeRequest({
        projectId: world.project.id,
        sourceBranch: 'calc/child',
        targetBranch: 'calc/two',
        title: 'Into the other',
        authorId: world.alice.id,
      })
      await branchSays(world, 'calc/child', { parent: { branch: 'calc/two', why: `target of merge request !${iid}` } })
      await until('the note', () => world.note(iid)?.body.includes('calc/two'), 60)
      await world.simulator.closeMergeRequest({ projectId: world.project.id, iid, userId: world.alice.id })
      await branchSays(world, 'calc/child', { parent: { branch: 'calc/one' } })
    }))

  it('that the file names must be there: else the run fails, with the line and what to do', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', file('echo 1', '# heat\nparent: calc/bose\n'))
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['failed'])
      expect(world.description(sha, 'compops/tree')).toContain(
        'line 2: The parent calc/bose is no branch of this project.',
      )
      await until('the note', () => world.note(iid)?.body.includes('Push that branch first'), 60)
    }))

  it('that would make a circle is refused, and the circle shown; named the other way round the guess gives way', () =>
    inWorld({}, async world => {
      const a = await world.push('calc/a', file('echo 1'))
      await world.treeEnds(a, ['success'])
      const b = await world.push('calc/b', file('echo 2'), 'b', 'calc/a')
      await world.treeEnds(b, ['success'])
      // b was only guessed to be a child of a.
      await world.treeEnds(await world.push('calc/a', file('echo 3', 'parent: calc/b\n')), ['success'])
      await branchSays(world, 'calc/a', { parent: { branch: 'calc/b' } })
      const round = await world.push('calc/b', file('echo 4', 'parent: calc/a\n'))
      await world.treeEnds(round, ['failed'])
      expect(world.description(round, 'compops/tree')).toContain('calc/b → calc/a → calc/b')
    }))

  it('is another when the branch is made anew, or moved by force, from elsewhere', () =>
    inWorld({}, async world => {
      const { simulator, project, alice } = world
      for (const name of ['one', 'two'])
        await world.treeEnds(await world.push(`calc/${name}`, file(`echo ${name}`)), ['success'])
      const first = await world.push('calc/child', file('echo 3'), 'a child', 'calc/one')
      await world.treeEnds(first, ['success'])
      expect((await evidenceOf(world, 'calc/child', first)).parent).toMatchObject({ branch: 'calc/one' })
      await simulator.deleteBranch(project.id, 'calc/child', alice.id)
      await until('it to be gone', () => world.logged.some(line => line.includes('calc/child was deleted')), 60)
      const second = await world.push('calc/child', file('echo 4'), 'another child', 'calc/two')
      await world.treeEnds(second, ['success'])
      expect((await evidenceOf(world, 'calc/child', second)).parent).toMatchObject({ branch: 'calc/two' })
      const alone = await startResearcher(join(world.place, 'alice'), cloneUrl(world))
      const forced = await alone.push('calc/child', file('echo 5'), 'moved by force', 'origin/calc/one')
      await world.treeEnds(forced, ['success'])
      expect((await evidenceOf(world, 'calc/child', forced)).parent).toMatchObject({ branch: 'calc/one' })
    }))
})

describe.concurrent('a new result of the parent', () => {
  it('marks its descendants stale, with the commit that did it, until they are computed from it; nothing runs by itself', () =>
    inWorld({}, async world => {
      const base = await world.push('calc/heat', file('echo 1'))
      await world.treeEnds(base, ['success'])
      const child = await world.push('calc/heat-4d', file('echo 2'), 'a child', 'calc/heat')
      await world.treeEnds(child, ['success'])
      const below = await world.push('calc/heat-4d-fine', file('echo 3'), 'its child', 'calc/heat-4d')
      await world.treeEnds(below, ['success'])
      await branchSays(world, 'calc/heat-4d', { stale: false })
      const newer = await world.push('calc/heat', file('echo better'))
      await world.treeEnds(newer, ['success'])
      await branchSays(world, 'calc/heat-4d', { stale: true })
      await branchSays(world, 'calc/heat-4d-fine', { stale: true })
      expect(world.logged.join('')).toContain(`stale: calc/heat has a newer result at ${newer.slice(0, 8)}`)
      const again = await world.push('calc/heat-4d', file('echo 4'))
      await world.treeEnds(again, ['success'])
      await branchSays(world, 'calc/heat-4d', { stale: false })
      await branchSays(world, 'calc/heat-4d-fine', { stale: true })
      const runs = world.logged.filter(line => line.includes('"step":"start"'))
      expect(runs).toHaveLength(5)
    }))
})

/** A computation that ends when the test says so, by a file; well or not. */
const waitingFor = (gate: string, top = '', then = 'echo done') => ({
  '.compops.yml': `${top}jobs:\n  solve:\n    script:\n      - "while [ ! -e ${gate} ]; do sleep 0.1; done"\n      - "[ \\"$(cat ${gate})\\" = well ]"\n      - ${then}\n    outputs: [out.txt]\n`,
})
const uses = (branch: string, script = 'echo child') => ({
  '.compops.yml': `parent: ${branch}\njobs:\n  solve:\n    script: [${script}]\n  plot:\n    needs: [solve]\n    script: [echo plot]\n`,
})

describe.concurrent('a branch that names its parent', () => {
  it('waits while the parent is under way, then computes from its files; pushes to the parent meanwhile change nothing for it', () =>
    inWorld({}, async world => {
      const gate = `${world.place}/gate`
      const parent = await world.push('calc/heat', waitingFor(gate, '', 'echo one > out.txt'))
      await until('the parent to run', () => world.statuses(parent)['compops/solve'] === 'running', 60)
      const child = await world.push(
        'calc/child',
        uses('calc/heat', 'cat "$COMPOPS_PARENT_DIR/out.txt", test "$COMPOPS_PARENT_BRANCH" = calc/heat'),
      )
      await until(
        'the child to wait',
        () => world.description(child, 'compops/solve')?.includes('waits for calc/heat'),
        60,
      )
      await writeFile(gate, 'well')
      await world.treeEnds(parent, ['success'])
      // From here on its parent's run is fixed.
      await until('the child to begin', () => world.statuses(child)['compops/solve'] !== 'pending', 60)
      await world.push('calc/heat', waitingFor(`${gate}2`))
      expect(await world.treeEnds(child, ['success'])).toMatchObject({ 'compops/plot': 'success' })
      expect((await evidenceOf(world, 'calc/child', child)).parent).toMatchObject({ branch: 'calc/heat', sha: parent })
      await writeFile(`${gate}2`, 'well')
      await branchSays(world, 'calc/child', { stale: true })
    }))

  it('is skipped with the reason when the parent fails, and goes on when it is repaired', () =>
    inWorld({}, async world => {
      const gate = `${world.place}/gate`
      const parent = await world.push('calc/heat', waitingFor(gate))
      const child = await world.push('calc/child', uses('calc/heat'))
      const below = await world.push('calc/below', uses('calc/child'))
      await until('the child to wait', () => world.statuses(child)['compops/solve'] === 'pending', 60)
      await writeFile(gate, 'not well')
      await world.treeEnds(parent, ['failed'])
      expect(await world.treeEnds(child, ['skipped'])).toMatchObject({ 'compops/plot': 'skipped' })
      expect(world.description(child, 'compops/solve')).toContain(`calc/heat failed at ${parent.slice(0, 8)}`)
      await world.treeEnds(below, ['skipped'])
      const { iid } = await world.openMergeRequest('calc/child')
      await world.treeEnds(await world.push('calc/heat', file('echo repaired')), ['success'])
      await world.treeEnds(child, ['success'])
      await world.treeEnds(below, ['success'])
      await until('the note', () => world.note(iid)?.body.includes('completed'), 60)
    }))

  it('is computed again by a new result of the parent only where its file says so', () =>
    inWorld({}, async world => {
      await world.treeEnds(await world.push('calc/heat', file('echo 1')), ['success'])
      const eager = await world.push('calc/eager', file('echo 2', 'parent: calc/heat\non_stale: rerun\n'))
      const lazy = await world.push('calc/lazy', file('echo 3', 'parent: calc/heat\n'))
      await world.treeEnds(eager, ['success'])
      await world.treeEnds(lazy, ['success'])
      const newer = await world.push('calc/heat', file('echo better'))
      await world.treeEnds(newer, ['success'])
      await branchSays(world, 'calc/lazy', { stale: true })
      await branchSays(world, 'calc/eager', { stale: false, parent: { branch: 'calc/heat' } })
      const again = await until('its second run', async () => {
        const files = (await world.simulator.files(world.project.id, 'compops/evidence')) ?? []
        const own = files.filter(path => path.startsWith('runs/calc/eager/') && path.endsWith('.yml')).sort()
        return own.length === 2 && own[1]
      })
      expect(parse((await world.evidence(again!)) ?? '')).toMatchObject({
        commit: { sha: eager },
        parent: { sha: newer },
        triggered_by: `calc/heat has a new result at ${newer.slice(0, 8)}`,
      })
    }))
})

const mesh = (text: string) => ({
  '.compops.yml': `jobs:\n  mesh:\n    script: ["mkdir -p mesh", "echo ${text} > mesh/heat.msh", "echo x > mesh/notes.txt"]\n    outputs: [mesh/*]\n`,
})
const takes = (glob: string, top = '') => ({
  '.compops.yml': `${top}jobs:\n  solve:\n    inputs: [{ from: parent, paths: ["${glob}"] }]\n    script: [cat mesh/heat.msh, "! test -e mesh/notes.txt"]\n`,
})

describe.concurrent('files of the parent', () => {
  it('are in the checkout before the job begins, as the parent had computed them; their digests stand in the evidence', () =>
    inWorld({}, async world => {
      const parent = await world.push('calc/heat', mesh('fine'))
      // It is forked from it, and waits because it takes its files.
      const child = await world.push('calc/child', takes('mesh/*.msh'), 'a child', 'calc/heat')
      await world.treeEnds(parent, ['success'])
      await world.treeEnds(child, ['success'])
      const record = await evidenceOf(world, 'calc/child', child)
      const { outputs } = (await evidenceOf(world, 'calc/heat', parent)).jobs.mesh
      expect(record.parent).toMatchObject({ branch: 'calc/heat', sha: parent })
      expect(record.jobs.solve.inputs).toEqual([
        { path: 'mesh/heat.msh', size: 5, sha256: outputs[0].sha256, from: 'mesh of the parent' },
      ])
    }))

  it('that it has not computed are missed before anything is submitted; without a parent the file is refused', () =>
    inWorld({}, async world => {
      await world.treeEnds(await world.push('calc/heat', mesh('fine')), ['success'])
      const child = await world.push('calc/child', takes('mesh/*.vtk', 'parent: calc/heat\n'))
      await world.treeEnds(child, ['failed'])
      expect((await evidenceOf(world, 'calc/child', child)).jobs.solve.message).toMatch(
        /calc\/heat at \w{8} has no output that matches mesh\/\*\.vtk; it has mesh\/heat\.msh, mesh\/notes\.txt/,
      )
      const orphan = await world.push('calc/orphan', takes('mesh/*.msh'))
      await world.treeEnds(orphan, ['failed'])
      expect(world.description(orphan, 'compops/tree')).toContain(
        'line 3: The job solve takes files from the parent, and this branch has none.',
      )
    }))
})

describe.concurrent('a job that needs a job of another branch', () => {
  const needs = (branch: string) => ({
    '.compops.yml': `jobs:\n  early:\n    script: [echo early]\n  solve:\n    needs: [{ branch: ${branch}, job: mesh }]\n    script: [echo solved]\n  plot:\n    needs: [solve]\n    script: [echo plot]\n`,
  })
  const meshes = (script: string) => ({
    '.compops.yml': `jobs:\n  mesh:\n    script: ["${script}"]\n  other:\n    script: ["false"]\n`,
  })

  it('waits for it alone, is skipped when it fails, and goes on when it is repaired', () =>
    inWorld({}, async world => {
      await world.treeEnds(await world.push('calc/heat', meshes('false')), ['failed'])
      const child = await world.push('calc/child', needs('calc/heat'))
      // In GitLab nothing that runs can become skipped; whether it was seen to run is a matter of moments.
      expect(await world.treeEnds(child, ['skipped', 'canceled'])).toMatchObject({
        'compops/early': 'success',
        'compops/plot': 'skipped',
      })
      expect(world.description(child, 'compops/solve')).toContain('mesh of calc/heat failed')
      const gate = `${world.place}/gate`
      await world.push('calc/heat', meshes(`while [ ! -e ${gate} ]; do sleep 0.1; done`))
      await until('it to wait again', () => world.statuses(child)['compops/solve'] === 'pending', 60)
      await writeFile(gate, '')
      expect(await world.treeEnds(child, ['success'])).toMatchObject({ 'compops/plot': 'success' })
    }))

  it('of which a matrix has made several waits for all of them, or for those with the values that it names', () =>
    inWorld({}, async world => {
      const gate = `${world.place}/gate`
      await world.push('calc/heat', {
        '.compops.yml': `jobs:\n  mesh:\n    parallel: { matrix: [{ SIZE: [1, 2] }] }\n    script: ["[ $SIZE = 1 ] || while [ ! -e ${gate} ]; do sleep 0.1; done"]\n`,
      })
      const child = await world.push('calc/child', {
        '.compops.yml': `jobs:
  coarse:
    needs: [{ branch: calc/heat, job: mesh, parallel: { matrix: [{ SIZE: 1 }] } }]
    script: [echo coarse]
  both:
    needs: [{ branch: calc/heat, job: mesh }]
    script: [echo both]
  none:
    needs: [{ branch: calc/heat, job: mesh, parallel: { matrix: [{ SIZE: 3 }] } }]
    script: [echo none]
`,
      })
      await until('coarse to end', () => world.statuses(child)['compops/coarse'] === 'success', 60)
      expect(world.statuses(child)).toMatchObject({ 'compops/both': 'pending', 'compops/none': 'skipped' })
      expect(world.description(child, 'compops/none')).toContain('calc/heat has no job mesh (SIZE 3)')
      await writeFile(gate, '')
      await until('both to end', () => world.statuses(child)['compops/both'] === 'success', 60)
    }))

  it('that there cannot be is refused with the line, and so are jobs that would wait for each other for ever', () =>
    inWorld({}, async world => {
      const wrong = await world.push('calc/child', needs('calc/bose'))
      await world.treeEnds(wrong, ['failed'])
      expect(world.description(wrong, 'compops/tree')).toContain('line 5: The job solve needs mesh of calc/bose')
      const first = await world.push('calc/heat', {
        '.compops.yml': `jobs:\n  mesh:\n    script: [sleep 60]\n`,
      })
      await until('it to run', () => world.statuses(first)['compops/mesh'] === 'running', 60)
      const waits = await world.push('calc/child', needs('calc/heat'))
      await until('it to wait', () => world.statuses(waits)['compops/early'] === 'success', 60)
      const round = await world.push('calc/heat', {
        '.compops.yml': `jobs:\n  mesh:\n    needs: [{ branch: calc/child, job: solve }]\n    script: [echo]\n`,
      })
      await world.treeEnds(round, ['failed'])
      expect(world.description(round, 'compops/tree')).toContain('wait for each other for ever')
    }))
})

it('a branch that was only forked from another is neither held up by it nor skipped with it', () =>
  inWorld({}, async world => {
    const parent = await world.push('calc/heat', waitingFor(`${world.place}/gate`))
    await until('the parent to run', () => world.statuses(parent)['compops/solve'] === 'running', 60)
    const child = await world.push('calc/child', file('echo mine'), 'mine', 'calc/heat')
    await world.treeEnds(child, ['success'])
    expect((await evidenceOf(world, 'calc/child', child)).parent).toMatchObject({ branch: 'calc/heat' })
    await writeFile(`${world.place}/gate`, 'not well')
    await world.treeEnds(parent, ['failed'])
    await branchSays(world, 'calc/child', { stale: false, state: 'completed' })
  }))

// A branch is a second's work for git on a busy machine.
const many = process.env.CI === undefined ? 40 : 200

it(
  `one push to ${many} branches gives each its parent, and asks GitLab once at most for each`,
  { timeout: 800_000 * patience },
  () =>
    inWorld({ more: 'intervals: { note: 10s, heads: 2s }' }, async world => {
      const base = await world.push('calc/base', file('echo base'))
      await world.treeEnds(base, ['success'])
      const { db } = world.service.context
      // What is asked here is whose children they are, not what this machine can compute.
      await setHold(db, { cluster: 'laptop', mode: 'drain', reason: 'a test', by: 'alice', until: null })
      const before = world.simulator.requests().length
      const clone = join(world.place, 'clone')
      await runGit(world.place, ['clone', '--quiet', '--branch', 'calc/base', cloneUrl(world), clone])
      const names = Array.from({ length: many }, (_, i) => `calc/sweep-${i}`)
      const updates: string[] = []
      for (const name of names) {
        const sha = await runGit(clone, ['commit-tree', 'HEAD^{tree}', '-p', 'HEAD', '-m', name])
        updates.push(`create refs/heads/${name} ${sha.trim()}\n`)
      }
      await runGit(clone, ['update-ref', '--stdin'], { input: updates.join('') })
      await runGit(clone, ['push', '--quiet', 'origin', 'refs/heads/calc/sweep-*:refs/heads/calc/sweep-*'])
      const children = await until(
        'all to be known',
        async () => {
          const tree = await loadTree(db, world.project.id)
          const found = tree.filter(node => node.parent?.branch === 'calc/base')
          return found.length === many && found
        },
        700,
      )
      expect(children.every(node => node.parent?.by === 'fork' && node.run !== null)).toBe(true)
      const asked = world.simulator.requests().slice(before)
      const about = (name: string) =>
        asked.filter(one => new URL(one.path, world.simulator.url).searchParams.get('source_branch') === name)
      expect(names.filter(name => about(name).length > 1)).toEqual([])
      expect(names.filter(name => about(name).length === 1)).not.toEqual([])
      expect(asked.filter(one => one.method === 'GET' && one.path.includes('/repository/'))).toEqual([])
    }),
)
