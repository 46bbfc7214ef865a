import { eq } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { ROUTES } from '../../src/simulator/simulator.ts'
import { attempts, comments, jobs, runs } from '../../src/store/schema.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 240_000 })

// Talking to the computation in the merge request: who may, what counts as said, and that it is done once.

const failing = `jobs:
  mesh:
    script: ['true']
  solve:
    needs: [mesh]
    script: ['[ "$COMPOPS_ATTEMPT" -gt 1 ]']
`
const slow = 'jobs:\n  slow:\n    script: [sleep 30]\n'
const quick = "jobs:\n  mesh:\n    script: ['true']\n"

/** A note of a person; Alice's where nobody is named. */
const say = (world: World, iid: number, body: string, authorId = world.alice.id) =>
  world.simulator.createNote({ projectId: world.project.id, mrIid: iid, authorId, body })

const awards = (world: World, iid: number, noteId: number) =>
  world.simulator
    .notes(world.project.id, iid)
    .find(note => note.id === noteId)!
    .awards.map(award => award.name)

const replies = (world: World, iid: number) =>
  world.ourNotes(iid).filter(note => note.body.includes('<!-- compops:answer'))

/** Waits until the note has been acted on; returns our reaction and, where there is one, our reply. */
async function heard(
  world: World,
  iid: number,
  noteId: number,
): Promise<{ reactions: string[]; reply: string | null }> {
  await until('the note to be acted on', async () => {
    const rows = await world.service.context.db.select().from(comments).where(eq(comments.noteId, noteId))
    return rows[0]?.doneAt != null
  })
  const reply = world.ourNotes(iid).find(note => note.body.includes(`<!-- compops:answer note=${noteId} -->`))
  return { reactions: awards(world, iid, noteId), reply: reply?.body ?? null }
}

const attemptsOf = async (world: World, name: string) =>
  (
    await world.service.context.db
      .select({ number: attempts.number })
      .from(attempts)
      .innerJoin(jobs, eq(jobs.id, attempts.jobId))
      .where(eq(jobs.name, name))
  ).length

function person(world: World, username: string, level: 20 | 30 | 40 | null) {
  const user = world.simulator.createUser({ username, name: username, password: 'a-long-secret' })
  if (level !== null) world.simulator.addMember(world.project.id, user.id, level)
  return user
}

describe('a command in a note', () => {
  it('is seen, done and marked as done; delivered again it is not done again', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': failing })
      const { iid } = await world.openMergeRequest('calc/heat')
      expect(await world.treeEnds(sha)).toMatchObject({ 'compops/solve': 'failed' })
      const { id } = await say(world, iid, 'The node was ill.\n\n/compops rerun')
      expect(await heard(world, iid, id)).toEqual({ reactions: ['eyes', 'thumbsup'], reply: null })
      await world.treeEnds(sha, ['success'])
      const delivery = world.simulator.deliveries().find(one => one.event === 'Note Hook')!
      await world.simulator.resend(delivery.id)
      await world.simulator.idle()
      expect(await attemptsOf(world, 'solve')).toBe(2)
      expect(await attemptsOf(world, 'mesh')).toBe(1)
    }))

  it('that many give at the same moment begins the job once', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': failing })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha)
      const notes = await Promise.all(Array.from({ length: 6 }, () => say(world, iid, '/retest')))
      for (const { id } of notes) await heard(world, iid, id)
      await world.treeEnds(sha, ['success'])
      expect(await attemptsOf(world, 'solve')).toBe(2)
    }))

  it('is answered in one reply where there is something to say, each command under its line', () =>
    inWorld({}, async world => {
      await world.push('calc/heat', { '.compops.yml': slow })
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('it runs', () => world.note(iid)?.body.includes('running'))
      const { id } = await say(world, iid, '/compops frobnicate\n/compops cancel solw\n/compops status')
      const { reactions, reply } = await heard(world, iid, id)
      expect(reactions).toEqual(['eyes', 'no_entry'])
      expect(reply).toMatch(/^@alice\n\n`\/compops frobnicate`: ⛔ `frobnicate` is no command\. There are: `plan`, /)
      expect(reply).toContain(
        '`solw` is neither a job of the run of `calc/heat` nor a computation branch. Its jobs: `slow`.',
      )
      expect(reply).toContain('- ◐ `slow` running')
      expect(replies(world, iid)).toHaveLength(1)
      const cancel = await say(world, iid, '/cancel')
      await heard(world, iid, cancel.id)
      await until('the end', () => world.note(iid)?.body.includes('canceled by alice'))
    }))

  it('counts as it was written: not when it is edited, in a code block, quoted, of a bot, or our own', () =>
    inWorld({}, async world => {
      await world.push('calc/heat', { '.compops.yml': slow })
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('it runs', () => world.note(iid)?.body.includes('running'))
      const { simulator, project } = world
      const robot = simulator.createUser({ username: 'robot', name: 'Robot', bot: true })
      simulator.addMember(project.id, robot.id, 40)
      await say(world, iid, '```\n/compops cancel\n```')
      await say(world, iid, '> /compops cancel')
      await say(world, iid, 'Say /compops cancel to stop it.')
      await say(world, iid, '/compops cancel', world.bot.id)
      const ofRobot = await say(world, iid, '/compops cancel', robot.id)
      const { id: noteId } = await say(world, iid, 'I think about it')
      simulator.editNote({ projectId: project.id, mrIid: iid, noteId, userId: world.alice.id, body: '/compops cancel' })
      expect((await heard(world, iid, ofRobot.id)).reactions).toEqual([])
      const last = await say(world, iid, '@compops status')
      expect((await heard(world, iid, last.id)).reply).toContain('◐ `slow` running')
      expect(replies(world, iid)).toHaveLength(1)
      await heard(world, iid, (await say(world, iid, '/compops cancel')).id)
    }))

  it('that was edited before anybody read it is none', () =>
    inWorld({}, async world => {
      await world.push('calc/heat', { '.compops.yml': slow })
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('it runs', () => world.note(iid)?.body.includes('running'))
      const { simulator, project, alice } = world
      const heal = simulator.faults.respond({ method: 'GET', path: /\/notes\/\d+$/ }, { status: 503 })
      const { id: noteId } = await say(world, iid, '/compops status')
      await until('it to be asked for', () => simulator.arrivals().some(one => one.path.endsWith(`/notes/${noteId}`)))
      simulator.editNote({ projectId: project.id, mrIid: iid, noteId, userId: alice.id, body: '/compops cancel' })
      heal()
      expect(await heard(world, iid, noteId)).toEqual({ reactions: [], reply: null })
      await heard(world, iid, (await say(world, iid, '/compops cancel')).id)
    }))

  it('whose reply is lost is done once and answered once', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': failing })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha)
      await until('our reply of the end', () => world.ourNotes(iid).length === 2)
      const heal = world.simulator.faults.respond(ROUTES.writeNote, { status: 502 })
      const { id } = await say(world, iid, '/compops retry solve\n/compops status')
      await until('a try to reply', () =>
        world.simulator.arrivals().some(one => one.spoiled && one.method === 'POST' && one.path.endsWith('/notes')),
      )
      await world.treeEnds(sha, ['success'])
      heal()
      expect((await heard(world, iid, id)).reactions).toEqual(['eyes', 'thumbsup'])
      expect(await attemptsOf(world, 'solve')).toBe(2)
      expect(replies(world, iid)).toHaveLength(1)
    }))

  it('of somebody without the right is refused, and says who may; a stranger is told once', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': slow })
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('it runs', () => world.statuses(sha)['compops/slow'] === 'running')
      // Where everybody may comment.
      world.simulator.project(world.project.id)!.visibility = 'public'
      const reader = person(world, 'rita', 20)
      const stranger = person(world, 'sam', null)
      const { id } = await say(world, iid, '/compops cancel', reader.id)
      expect(await heard(world, iid, id)).toEqual({
        reactions: ['eyes', 'no_entry'],
        reply: expect.stringMatching(/^@rita ⛔ That needs the role Developer or higher/),
      })
      for (const told of [true, false]) {
        const note = await say(world, iid, '/compops cancel', stranger.id)
        const { reactions, reply } = await heard(world, iid, note.id)
        expect(reactions).toEqual(['eyes', 'no_entry'])
        expect(reply !== null).toBe(told)
      }
      expect(world.statuses(sha)['compops/slow']).toBe('running')
      await heard(world, iid, (await say(world, iid, '/compops cancel')).id)
    }))

  it('on a protected branch needs who may push there', () =>
    inWorld({}, async world => {
      const sha = await world.push('calc/heat', { '.compops.yml': quick })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      world.simulator.protectBranch(world.project.id, 'calc/*', { pushLevel: 40, mergeLevel: 40 })
      const dev = person(world, 'dana', 30)
      const { id } = await say(world, iid, '/compops run', dev.id)
      expect((await heard(world, iid, id)).reply).toContain('`calc/heat` is protected')
      expect((await heard(world, iid, (await say(world, iid, '/compops run')).id)).reactions).toContain('thumbsup')
    }))
})

describe('an answer', () => {
  it('shows the log of a job in a fence that nothing in it can close, mention by or act through', () =>
    inWorld({}, async world => {
      const script = String.raw`printf '%s\n' '@all look' '/close' '~~~' '${'```'}' '<script>alert(1)</script>' 'the end'`
      const sha = await world.push('calc/heat', {
        '.compops.yml': `jobs:\n  mesh:\n    script:\n      - ${JSON.stringify(script)}\n`,
      })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['success'])
      const { reply } = await heard(world, iid, (await say(world, iid, '/compops logs mesh --lines 10')).id)
      expect(reply).toContain('the end')
      expect(reply).not.toMatch(/@all|^\/close/m)
      expect(reply).toMatch(/^````text$/m)
      expect(world.simulator.mergeRequest(world.project.id, iid).state).toBe('opened')
    }))

  it('to plan has scripts, where each value came from, and what it can cost; nothing runs for it', () =>
    inWorld({}, async world => {
      const file = "jobs:\n  mesh:\n    time: 2h\n    ntasks: 3\n    script: ['true']\n"
      const sha = await world.push('calc/heat', { '.compops.yml': `${file}` }, 'a plan [skip compops]')
      const { iid } = await world.openMergeRequest('calc/heat')
      const { reply } = await heard(world, iid, (await say(world, iid, '/compops plan')).id)
      expect(reply).toContain('1 job, at most 6 core-h')
      expect(reply).toContain('| `time` | `2 h` | .compops.yml line 3 |')
      expect(world.statuses(sha)).toEqual({})
      expect(await world.service.context.db.select().from(runs)).toEqual([])
    }))

  it('to why says what a job waits for', () =>
    inWorld({}, async world => {
      await world.push('calc/heat', {
        '.compops.yml': `${slow}  after:\n    needs: [slow]\n    script: [echo]\n`,
      })
      const { iid } = await world.openMergeRequest('calc/heat')
      await until('it runs', () => world.note(iid)?.body.includes('running'))
      const why = async (job: string) =>
        (await heard(world, iid, (await say(world, iid, `/compops why ${job}`)).id)).reply
      expect(await why('after')).toContain('It needs `slow`.')
      await heard(world, iid, (await say(world, iid, '/compops hold after --why "the data comes tomorrow"')).id)
      expect(await why('after')).toMatch(/Held by alice: the data comes tomorrow\. `\/compops unhold` lets it go on\./)
      await heard(world, iid, (await say(world, iid, '/compops cancel')).id)
    }))
})

describe('a merge request from a fork', () => {
  it('runs nothing before a Maintainer has named its very commit; what is pushed later does not run', () =>
    inWorld({}, async world => {
      const { simulator, project } = world
      const carol = person(world, 'carol', 20)
      const dev = person(world, 'dana', 30)
      const fork = await simulator.createFork(project.id, 'carol/heat', carol.id)
      const push = (text: string) =>
        simulator.commit({
          ...{ projectId: fork.id, branch: 'calc/heat', message: 'mine', authorId: carol.id },
          files: { '.compops.yml': text },
        })
      await push(quick)
      const { iid, sha } = await simulator.createMergeRequest({
        ...{ projectId: project.id, sourceProjectId: fork.id, sourceBranch: 'calc/heat', targetBranch: 'main' },
        ...{ title: 'From a fork', authorId: carol.id },
      })
      const told = async (body: string, authorId = world.alice.id) =>
        (await heard(world, iid, (await say(world, iid, body, authorId)).id)).reply
      const runsNow = () => world.service.context.db.select().from(runs)

      expect(await told('/compops run')).toContain('/compops ok-to-test')
      expect(await told(`/compops ok-to-test ${sha}`, carol.id)).toContain('Maintainer')
      expect(await told(`/ok-to-test ${sha}`, dev.id)).toContain('Maintainer')
      expect(await told('/compops ok-to-test')).toContain('Name the commit that you have read')
      expect(await told(`/compops ok-to-test ${'0'.repeat(40)}`)).toContain('read what has changed since')
      expect(await runsNow()).toEqual([])

      expect(await told(`/compops ok-to-test ${sha.slice(0, 12)}`)).toBeNull()
      const note = await until('its note', () => {
        const body = world.note(iid)?.body ?? ''
        return body.includes('completed') && body
      })
      expect(note).toContain(sha.slice(0, 8))
      const worse = await push('jobs:\n  stolen:\n    script: [id]\n')
      await simulator.idle()
      expect(await told('/compops rerun', dev.id)).toContain('Nothing has failed')
      expect((await runsNow()).map(run => run.sha)).toEqual([sha])
      expect(await told(`/compops ok-to-test ${sha}`)).toContain('read what has changed since')
      expect(world.statuses(worse)).toEqual({})
    }))
})

it('where there are no webhooks, commands in notes are found by looking, once', () =>
  inWorld(
    {
      hook: false,
      gitlab: '  webhook: off\n  poll_interval: 1s',
      more: 'intervals: { note: 200ms, shortest_poll: 1s }',
    },
    async world => {
      await until('the baseline', () => world.logged.some(line => line.includes('its heads are the baseline')))
      const sha = await world.push('calc/heat', { '.compops.yml': failing })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha)
      const { id } = await say(world, iid, '/compops rerun')
      expect((await heard(world, iid, id)).reactions).toEqual(['eyes', 'thumbsup'])
      await world.treeEnds(sha, ['success'])
      expect(await attemptsOf(world, 'solve')).toBe(2)

      // As after a restored backup, which knows nothing of it.
      await world.stopService()
      const store = await world.openRows()
      await store.db.delete(comments)
      await store.close()
      await world.start()
      await heard(world, iid, id)
      const [row] = await world.service.context.db.select().from(comments)
      expect(row).toMatchObject({ foundBy: 'looking', result: 'it was acted on before' })
    },
  ))
