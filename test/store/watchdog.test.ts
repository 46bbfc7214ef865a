import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'

let child: ChildProcess
let words = ''

async function start(): Promise<void> {
  words = ''
  child = fork(join(import.meta.dirname, '..', 'support', 'watched-child.ts'), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr?.on('data', text => {
    words += text
  })
  await once(child, 'message')
}

afterEach(() => child.kill('SIGKILL'))

describe('the watchdog', () => {
  it('ends a process whose event loop does not turn any more, and says why', async () => {
    await start()
    child.send('block')
    const [code, signal] = await once(child, 'exit')
    expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' })
    expect(words).toMatch(/^compops: the process has not answered for 0\.5 s and is ended \(a full disk .*\n$/)
  })

  it('leaves a machine alone that slept for longer', async () => {
    await start()
    child.kill('SIGSTOP')
    await until('it to be frozen', async () => /^State:\s+T/m.test(await readFile(`/proc/${child.pid}/status`, 'utf8')))
    // Longer than its silence by the time of day: that is what this is about.
    await sleep(1_000)
    child.kill('SIGCONT')
    child.send('stop')
    const [code, signal] = await once(child, 'exit')
    expect({ code, signal, words }).toEqual({ code: 0, signal: null, words: '' })
  })
})
