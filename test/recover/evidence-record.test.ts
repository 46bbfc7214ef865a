import { describe, expect, it } from 'vitest'
import { readRecord } from '../../src/recover/evidence-record.ts'
import { renderEvidence } from '../../src/render/evidence.ts'
import { evidencePath } from '../../src/render/links.ts'
import { completed, job, running } from '../render/sample.ts'

// What the service wrote it can read back; what somebody else wrote is read as hostile.
const id = '01a1f9f7-619f-7778-98f3-881fdbde3bc6'
const run = { ...completed, id }
const path = evidencePath(run)
const text = renderEvidence(run)

describe('a record of evidence', () => {
  it('is read back with its jobs, attempts, outputs and metrics', async () => {
    const record = await readRecord(path, text)
    expect(record).toMatchObject({
      run: id,
      branch: run.branch,
      commit: { sha: run.sha },
      cause: run.cause,
      state: 'completed',
      submitted_at: run.createdAt,
    })
    for (const { name, state, attempts } of run.jobs) {
      const read = record?.jobs[name]
      expect(read).toMatchObject({
        state,
        attempts: attempts.map(one => ({ native_id: one.nativeId, state: one.state })),
      })
      expect(read?.metrics).toEqual(attempts.at(-1)?.collected?.metrics ?? {})
      expect(read?.outputs.map(one => one.path).sort()).toEqual(
        (attempts.at(-1)?.collected?.outputs ?? []).map(one => one.path).sort(),
      )
    }
  })

  it('keeps names that YAML would take for something else', async () => {
    const odd = { ...run, jobs: [job('no', 'completed'), job('12', 'completed'), job('toString', 'completed')] }
    expect(Object.keys((await readRecord(path, renderEvidence(odd)))?.jobs ?? {}).sort()).toEqual([
      '12',
      'no',
      'toString',
    ])
  })

  it('of a run that has not ended is none', async () => {
    const open = { ...running, id }
    expect(await readRecord(evidencePath(open), renderEvidence(open))).toBeNull()
  })

  it('too long to read whole is read as far as its jobs', async () => {
    const long = `${text}# ${'x'.repeat(600_000)}\n`
    expect(await readRecord(path, long)).toMatchObject({ run: id, state: 'completed', jobs: {} })
  })

  it('with a number that no column holds is read as far as its jobs', async () => {
    expect(text).toMatch(/exit_code: \d+/)
    const odd = text.replace(/exit_code: \d+/, 'exit_code: 3000000000')
    const record = await readRecord(path, odd)
    expect([record?.run, record?.jobs]).toEqual([id, {}])
  })

  it.each([
    ['under the path of another run', (t: string) => t.replace(id, '01a1f9f7-619f-7778-98f3-881fdbde3bc7')],
    ['of another branch', (t: string) => t.replace(/^branch: .*$/m, 'branch: main')],
    ['of no commit', (t: string) => t.replaceAll(run.sha, 'HEAD')],
    ['of a state that is none', (t: string) => t.replace(/^state: .*$/m, 'state: glorious')],
    ['of a time that no column holds', (t: string) => t.replace(/^ended_at: .*$/m, 'ended_at: 0000-01-01T00:00:00Z')],
    ['that is cut', (t: string) => t.slice(0, 60)],
    ['with a key that is a trap', (t: string) => t.replace(/^state: .*$/m, '__proto__: { state: completed }')],
    ['that is no YAML', () => '\0\0: [}'],
    ['that is empty', () => ''],
  ])('%s is not believed', async (_, change) => {
    expect(change(text)).not.toBe(text)
    expect(await readRecord(path, change(text))).toBeNull()
  })
})
