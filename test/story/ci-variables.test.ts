import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 })

const rule =
  '    clusters: [laptop]\n    ci_variables_token_file: ./maintainer\n    secrets: { OF_SITE: site-value-123 }'
const options = { rule, files: { maintainer: 'not-yet-a-token' } }

const job = (name: string, script: string) =>
  `jobs:\n  use:\n    secrets: [${name}]\n    script: [${JSON.stringify(script)}]\n`

const giveToken = (world: World, userId: number) =>
  writeFile(join(world.place, 'maintainer'), `${world.simulator.createToken(userId, { scopes: ['api'] }).token}\n`)

describe.concurrent("a project's CI variables", () => {
  it('reach jobs by name as secrets, protected ones on protected branches only, and are taken out of what comes back', () =>
    inWorld(options, async world => {
      const { simulator, project } = world
      await giveToken(world, world.alice.id)
      simulator.setVariable(project.id, { key: 'TRACKER_KEY', value: 'hush-hush-123' })
      simulator.setVariable(project.id, { key: 'DEPLOY_KEY', value: 'for-the-protected', protected: true })
      simulator.setVariable(project.id, { key: 'OF_SITE', value: 'of-the-project' })
      const sha = await world.push('calc/open', {
        '.compops.yml': job('TRACKER_KEY', 'echo "it is $TRACKER_KEY"; exit 3'),
      })
      const { iid } = await world.openMergeRequest('calc/open')
      await world.treeEnds(sha, ['failed'])
      const note = await until('the log in the note', () => {
        const body = world.note(iid)?.body
        return body?.includes('it is ') === true ? body : null
      })
      expect(note).toContain('it is [secret]')
      const record = await until('the evidence', () => world.evidenceOf('calc/open', sha))
      for (const text of [note, record, world.logged.join('')]) expect(text).not.toContain('hush-hush-123')

      const refused = await world.push('calc/open', { '.compops.yml': job('DEPLOY_KEY', 'true') })
      await world.treeEnds(refused, ['failed'])
      expect(world.description(refused, 'compops/tree')).toContain('This project has no secret')
      simulator.protectBranch(project.id, 'release/*', { pushLevel: 30 })
      const allowed = await world.push('release/1', {
        '.compops.yml': job('DEPLOY_KEY, OF_SITE', 'test "$DEPLOY_KEY $OF_SITE" = "for-the-protected site-value-123"'),
      })
      await world.treeEnds(allowed, ['success'])
    }))

  it('wait for a token that may read them, and a new value holds from the next submission on', () =>
    inWorld(options, async world => {
      await giveToken(world, world.bot.id)
      world.simulator.setVariable(world.project.id, { key: 'TRACKER_KEY', value: 'the-first-value' })
      const file = (value: string) => ({ '.compops.yml': job('TRACKER_KEY', `test "$TRACKER_KEY" = ${value}`) })
      const sha = await world.push('calc/open', file('the-first-value'))
      await until('the reason', () =>
        world.logged.some(line => line.includes("`ci_variables_token`, which must be a Maintainer's")),
      )
      expect(world.statuses(sha)).toEqual({})
      await giveToken(world, world.alice.id)
      await world.treeEnds(sha, ['success'])
      world.simulator.setVariable(world.project.id, { key: 'TRACKER_KEY', value: 'another-value' })
      const next = await world.push('calc/open', file('another-value'))
      await world.treeEnds(next, ['success'])
    }))
})
