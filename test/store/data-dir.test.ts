import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockDataDir } from '../../src/store/data-dir.ts'
import { patience } from '../support/patience.ts'

let dataDir: string
const starters: ChildProcess[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'compops-lock-'))
})
afterEach(async () => {
  for (const starter of starters.splice(0)) starter.kill('SIGKILL')
  await rm(dataDir, { recursive: true, force: true })
})

/** A process that tries to get the lock when told to. */
function startStarter(): ChildProcess {
  const starter = fork(join(import.meta.dirname, '..', 'support', 'lock-starter.ts'), [dataDir])
  starters.push(starter)
  return starter
}

/** Says it, and hears the answer. */
function tell(starter: ChildProcess, word: 'try' | 'release'): Promise<string> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a starter ended with ${code}`))
    starter.once('exit', ended)
    starter.once('message', answer => {
      starter.off('exit', ended)
      resolve(String(answer))
    })
    starter.send(word)
  })
}

function kill(starter: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    starter.once('exit', () => resolve())
    starter.kill('SIGKILL')
  })
}

describe('the lock of the data directory', () => {
  it(
    'is had by exactly one of eight processes that start at the same moment, round after round',
    async () => {
      const racing = Array.from({ length: 8 }, startStarter)
      for (let round = 1; round <= 20; round++) {
        const answers = await Promise.all(racing.map(starter => tell(starter, 'try')))
        expect(answers.filter(answer => answer === 'won')).toHaveLength(1)
        for (const answer of answers) expect(answer).toMatch(/^won$|is in use by another compops \(process \d+/)
        const winner = answers.indexOf('won')
        // A dead one and one that was left in order are found by the next round alike.
        if (round % 2 === 0) await tell(racing[winner]!, 'release')
        else {
          await kill(racing[winner]!)
          racing[winner] = startStarter()
        }
      }
      expect((await readdir(dataDir)).length).toBeLessThan(20)
    },
    60_000 * patience,
  )

  it('is had at once after its holder was killed, and after it was left', async () => {
    const holder = startStarter()
    expect(await tell(holder, 'try')).toBe('won')
    await expect(lockDataDir(dataDir)).rejects.toThrow(`is in use by another compops (process ${holder.pid},`)
    await kill(holder)
    await (await lockDataDir(dataDir)).release()
    await (await lockDataDir(dataDir)).release()
    const left = await readdir(dataDir, { withFileTypes: true })
    expect(left.map(entry => entry.isFile())).toEqual([true])
  })

  it('is not taken from a holder that is frozen', async () => {
    const holder = startStarter()
    await tell(holder, 'try')
    holder.kill('SIGSTOP')
    await expect(lockDataDir(dataDir)).rejects.toThrow(/is in use by another compops \(process unknown/)
    holder.kill('SIGCONT')
    await tell(holder, 'release')
    await (await lockDataDir(dataDir)).release()
  })

  it('works in a directory with a name longer than a socket may have, and says what to do beside a Postgres', async () => {
    const long = join(dataDir, 'x'.repeat(120))
    const lock = await lockDataDir(long, 'postgres')
    await expect(lockDataDir(long, 'postgres')).rejects.toThrow(/Replicas share a Postgres, not a directory/)
    await lock.release()
    await (await lockDataDir(long)).release()
  })
})
