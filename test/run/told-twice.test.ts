import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import type { GitLab } from '../../src/gitlab/gitlab.ts'
import { newId } from '../../src/model/id.ts'
import { sendReports } from '../../src/run/send.ts'
import { writeOnce, writeReports } from '../../src/store/reports.ts'
import { reports } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { gate, openRows } from '../support/rows.ts'

// A replica is frozen between asking GitLab and hearing its answer; another one takes the report over and tells it as well. GitLab has no
// fences, so there may be two notes for a moment. Whoever notices says so, and the next one leaves one.
let rows: Awaited<ReturnType<typeof openRows>>
let notes: { id: number; body: string }[]

beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())
beforeEach(async () => {
  notes = []
  await rows.db.delete(reports)
})

/** One merge request's notes, as each replica's client sees them; `beforeAnswer` holds the answer to a new note back. */
function replica(name: string, beforeAnswer: () => Promise<void> = async () => {}): Context {
  const found = (marker: string) => notes.filter(note => note.body.includes(marker)).reverse()
  const gitlab: Partial<Record<keyof GitLab, unknown>> = {
    self: async () => ({ id: 7 }),
    pause: () => 0,
    findNote: async (_project: number, _iid: number, marker: string) => found(marker)[0] ?? null,
    findNotes: async (_project: number, _iid: number, marker: string) => found(marker),
    async createNote(_project: number, _iid: number, body: string) {
      const note = { id: notes.length + 1, body }
      notes.push(note)
      await beforeAnswer()
      return note
    },
    async updateNote(_project: number, _iid: number, id: number, body: string) {
      notes.find(note => note.id === id)!.body = body
    },
    async deleteNote(_project: number, _iid: number, id: number) {
      notes = notes.filter(note => note.id !== id)
    },
  }
  const config = { ...rows.context.config, intervals: { ...rows.context.config.intervals, note: 0 } }
  const client = gitlab as unknown as GitLab
  const asked = { gitlabOf: () => client, gitlabs: () => [client], botIds: () => new Set([7]) }
  return { ...rows.context, ...asked, config, claimant: `${name} send` }
}

const about = { projectId: 1, runId: newId(), hash: 'x' }

describe.each(['reply', 'note'] as const)('a %s that two replicas told', kind => {
  it.each([
    ['it was heard', async () => {}],
    [
      'its answer was lost',
      async () => {
        throw new Error('reset by peer')
      },
    ],
  ])('stands there once in the end, also where of the frozen one %s', async (_, answer) => {
    const body = kind === 'note' ? '<!-- compops:tree mr=1 -->\nrunning' : 'it ended\n<!-- compops:reply mr=1 -->'
    const desired = { kind, iid: 1, body }
    if (kind === 'note') await writeReports(rows.db, [{ ...about, key: 'note 1 1', desired, atOnce: true }])
    else await writeOnce(rows.db, { ...about, key: 'reply 1 1', desired })

    const asked = gate()
    const frozen = gate()
    const late = sendReports(
      replica('frozen', async () => {
        asked.open()
        await frozen.opened
        await answer()
      }),
    )
    await asked.opened
    // It made its note, but GitLab shows it to nobody yet: the other one finds none.
    const hidden = notes.splice(0)
    await rows.db.execute(sql`update reports set lease_until = now()`)
    await sendReports(replica('living'))
    notes.unshift(...hidden)
    notes.forEach((note, n) => {
      note.id = n + 1
    })
    await rows.db.execute(sql`update reports set external_id = 2`)
    frozen.open()
    await late
    expect(notes).toHaveLength(2)

    expect(await sendReports(replica('living'))).toBe(1)
    expect(notes).toEqual([{ id: 2, body }])
    expect(await sendReports(replica('living'))).toBe(0)
  })
})
