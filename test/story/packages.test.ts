import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeWheel } from '../support/python-packages.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

const clusters =
  '  laptop: { scheduler: local, root: ROOT, poll_interval: 1s, packages: { python: ./fetch, limit: 1M } }'

/** A mirror of the site's: it stands open once there is a file `open`, and counts who came. */
const fetch = `#!/bin/sh
here=\${0%/*}
echo came >>"$here/came"
[ -e "$here/open" ] || { echo 'the mirror is not filled yet' >&2; exit 75; }
exec python3 -m pip download --quiet --disable-pip-version-check --no-index --find-links "$here/index" --only-binary=:all: --dest "$1" -r requirements.txt
`

const job = (script: string) => `jobs:\n  a:\n    template: python\n    script: [${JSON.stringify(script)}]\n`

async function withMirror(story: (world: World) => Promise<void>) {
  await inWorld({ clusters, files: { fetch } }, async world => {
    await chmod(join(world.place, 'fetch'), 0o755)
    makeWheel(join(world.place, 'index'), 'solver', '1.2')
    await story(world)
  })
}

describe.concurrent('nodes without a network', () => {
  it('get the packages that the service has fetched: a job is held until they are there, and goes on by itself when the mirror does', () =>
    withMirror(async world => {
      const files = {
        'requirements.txt': 'solver==1.2\n',
        '.compops.yml': job('python -c "import solver; print(solver.version)"'),
      }
      const sha = await world.push('calc/offline', files)
      const { iid } = await world.openMergeRequest('calc/offline')
      await until('the note to say why', () =>
        world
          .note(iid)
          ?.body.includes('the packages of requirements.txt cannot be fetched: the mirror is not filled yet'),
      )
      await writeFile(join(world.place, 'open'), '')
      await world.treeEnds(sha, ['success'])
      const record = await until('the evidence', () => world.evidenceOf('calc/offline', sha))
      expect(record).toMatch(/packages: sha256:[0-9a-f]{64}/)
      // The next commit with the same requirements asks nobody, and brings nothing.
      const bundles = join(world.place, 'cluster', String(world.project.id), 'cache/bundles')
      expect(await readdir(bundles)).toHaveLength(1)
      const came = await readFile(join(world.place, 'came'), 'utf8')
      const next = await world.push('calc/offline', { '.compops.yml': job('python -c "import solver"') })
      await world.treeEnds(next, ['success'])
      expect(await readFile(join(world.place, 'came'), 'utf8')).toBe(came)
    }))

  it('what is not there, and what the service does not fetch, fails the job with the reason', () =>
    withMirror(async world => {
      await writeFile(join(world.place, 'open'), '')
      const missing = await world.push('calc/missing', { 'requirements.txt': 'absent\n', '.compops.yml': job('true') })
      const { iid } = await world.openMergeRequest('calc/missing')
      await world.treeEnds(missing, ['failed'])
      await until('the reason', () => world.note(iid)?.body.includes('No matching distribution found for absent'))
      const refused = await world.push('calc/missing', { 'requirements.txt': '--index-url https://x\n' })
      await world.treeEnds(refused, ['failed'])
      await until('the line', () => world.note(iid)?.body.includes('requirements.txt, line 1:'))
    }))
})
