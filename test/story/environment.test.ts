import { describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { inWorld } from '../support/world.ts'

const rule = `    clusters: [laptop]
    secrets:
      TRACKER_KEY: hush-hush-123
      DEPLOY_KEY: { value: for-the-protected-only, protected: true }`

describe.concurrent('what surrounds a job', () => {
  it('secrets of the site reach it by name, are taken out of everything that comes back, and protected ones stay with protected branches', () =>
    inWorld({ rule }, async world => {
      const file = (name: string) =>
        `jobs:\n  use:\n    secrets: [${name}]\n    script: ['echo "it is $${name}"', exit 3]\n`
      const sha = await world.push('calc/open', { '.compops.yml': file('TRACKER_KEY') })
      const { iid } = await world.openMergeRequest('calc/open')
      await world.treeEnds(sha, ['failed'])
      const note = await until('the log in the note', () => {
        const body = world.note(iid)?.body
        return body?.includes('it is ') === true ? body : null
      })
      expect(note).toContain('it is [secret]')
      const record = await until('the evidence', () => world.evidenceOf('calc/open', sha))
      for (const text of [note, record, world.logged.join('')]) expect(text).not.toContain('hush-hush-123')

      const refused = await world.push('calc/open', { '.compops.yml': file('DEPLOY_KEY') })
      await world.treeEnds(refused, ['failed'])
      expect(world.description(refused, 'compops/tree')).toContain('This project has no secret')
      world.simulator.protectBranch(world.project.id, 'release/*', { pushLevel: 30 })
      const allowed = await world.push('release/1', {
        '.compops.yml': file('DEPLOY_KEY').replace('exit 3', 'test -n "$DEPLOY_KEY"'),
      })
      await world.treeEnds(allowed, ['success'])
    }))

  it('templates of the site and shell files of the project prepare it', () =>
    inWorld(
      {
        more: 'templates: ./templates\nintervals: { note: 200ms }',
        files: { 'templates/site.sh.hbs': 'export FROM_SITE={{sh tasks}}\n' },
      },
      async world => {
        const sha = await world.push('calc/mine', {
          'jobs/env.sh': 'export FROM_PROJECT=yes\n',
          '.compops.yml': `defaults: { ntasks: 3 }
jobs:
  site:
    template: site
    script: ['test "$FROM_SITE" = 3']
  project:
    template: ./jobs/env.sh
    script: ['test "$FROM_PROJECT" = yes']
`,
        })
        await world.treeEnds(sha, ['success'])
      },
    ))
})
