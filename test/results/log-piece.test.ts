import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { createSecrets } from '../../src/log.ts'
import { readLogPiece } from '../../src/results/log-piece.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const [ofCi, ofSite] = ['hush-hush-123', 'säcret-of-the-site']

/** A process that has just begun, and knows no secret: of a job that another one handed over. */
async function begun(log: string, ended: boolean) {
  const state = ended ? 'completed' : 'running'
  const { ids } = await rows.run([
    { name: 'a', state, attempt: { state, nativeId: '1' }, spec: { secrets: ['CI_KEY', 'SITE_KEY'] } },
  ])
  const bytes = Buffer.from(log)
  const world = { bytes, asked: 0, away: false }
  const source = { read: async () => ofSite, values: () => [ofSite], describe: () => '' }
  const rule = {
    ...{ path: 'physics/*', clusters: ['falcon'], ciVariables: { ...source, read: async () => 'token' } },
    secrets: { SITE_KEY: { source, protected: false } },
  }
  rows.cluster = {
    files: {
      // As the cluster does: from the end where the offset is below zero.
      async log(_: unknown, { offset, bytes: most }: { offset: number; bytes: number }) {
        const from = offset < 0 ? Math.max(0, world.bytes.length + offset) : offset
        return { offset: from, size: world.bytes.length, bytes: world.bytes.subarray(from, from + most) }
      },
    },
  } as never
  const context = {
    ...{ ...rows.context, secrets: createSecrets(), config: { ...rows.context.config, projects: [rule] } },
    gitlabAs: () => ({
      async ciVariables() {
        world.asked++
        if (world.away) throw new Error('away')
        return [{ key: 'CI_KEY', value: ofCi, protected: true }]
      },
    }),
  } as unknown as Context
  const read = async (offset: number, most = 1_000) => {
    const piece = await readLogPiece(context, {
      ...{ attempt: ids.a!.attempt, in: 'log', path: '', offset, bytes: most },
    })
    if ('problem' in piece) throw new Error(piece.problem)
    return { ...piece, text: piece.bytes.toString() }
  }
  return { world, read }
}

describe('a log, read by a process that did not hand its job over', () => {
  const log = `it is ${ofCi} and ${ofSite}.\n`

  it('has stars for its secrets, and every byte in its place', async () => {
    const { world, read } = await begun(log, true)
    const whole = await read(0)
    expect(whole.text).toBe(`it is ${'*'.repeat(13)} and ${'*'.repeat(19)}.\n`)
    expect([whole.offset, whole.size, whole.bytes.length]).toEqual([0, world.bytes.length, world.bytes.length])
    await read(3)
    expect(world.asked).toBe(1)
  })

  it('shows nothing of one, wherever a piece is cut', async () => {
    const { world, read } = await begun(log, true)
    const { text } = await read(0)
    for (let at = 0; at <= text.length; at++) {
      expect([at, (await read(0, at)).text, (await read(at)).text]).toEqual([at, text.slice(0, at), text.slice(at)])
      const tail = await read(-at - 1, 5)
      const from = Math.max(0, text.length - at - 1)
      expect([at, tail.offset, tail.text]).toEqual([at, from, text.slice(from, from + 5)])
    }
    expect((await read(world.bytes.length + 9)).bytes.length).toBe(0)
  })

  it('keeps back the beginning of one at its end as long as it goes on', async () => {
    const { world, read } = await begun('it is hush-hu', false)
    expect(await read(0)).toMatchObject({ text: 'it is ', size: 6, ended: false })
    expect(await read(6)).toMatchObject({ text: '', offset: 6 })
    world.bytes = Buffer.from('it is hush-huge')
    expect(await read(6)).toMatchObject({ text: 'hush-huge', size: 15 })
  })

  it('is not told while its secrets cannot be read', async () => {
    const { world, read } = await begun(log, true)
    world.away = true
    await expect(read(0)).rejects.toMatchObject({ transient: true })
    world.away = false
    expect((await read(0)).text).not.toContain('hush')
  })
})
