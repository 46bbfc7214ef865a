import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { FakeSlurm } from './fake-slurm.ts'

const commands = join(import.meta.dirname, 'fake-lsf')

/** An LSF of executables on PATH that really runs jobs and can be told how to misbehave (test/support/fake-lsf/common.sh). */
export type FakeLsf = FakeSlurm

export function startFakeLsf(): FakeLsf {
  const state = mkdtempSync(join(tmpdir(), 'fake-lsf-'))
  for (const folder of ['jobs', 'behave', 'bin']) mkdirSync(join(state, folder))
  const bin = join(state, 'bin')
  // They know their LSF without an environment, so that sshd can start them.
  for (const command of ['bsub', 'bjobs', 'bhist', 'bacct', 'bkill', 'bparams', 'lsid']) {
    const file = join(bin, command)
    writeFileSync(file, `#!/bin/sh\nFAKE_LSF='${state}' exec '${join(commands, command)}' "$@"\n`)
    chmodSync(file, 0o755)
  }
  // Start files of whoever runs the tests are theirs, and slow.
  writeFileSync(join(state, '.bash_profile'), `PATH=${bin}:$PATH\n`)
  const path = `${bin}:/usr/local/bin:/usr/bin:/bin`
  const read = (...file: string[]) =>
    existsSync(join(state, ...file)) ? readFileSync(join(state, ...file), 'utf8') : ''
  /** With all that it has started: it leads a group of its own. */
  const kill = (id: string) => {
    const pid = Number(read('jobs', id, 'pid'))
    if (!(pid > 1)) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
  return {
    state,
    bin,
    path,
    remote: () => createLocalRemote({ env: { PATH: path, HOME: state, FAKE_LSF: state } }),
    behave(command, how, times) {
      if (how === 'ok') rmSync(join(state, 'behave', command), { force: true })
      else writeFileSync(join(state, 'behave', command), times === undefined ? `${how}\n` : `${how} ${times}\n`)
    },
    behaveInTurn(command, how) {
      writeFileSync(join(state, 'behave', command), how.map(one => `${one} 1\n`).join(''))
    },
    calls: command =>
      read('calls')
        .split('\n')
        .filter(line => line !== '' && (command === undefined || line.startsWith(`${command} `))),
    jobs: () =>
      readdirSync(join(state, 'jobs'))
        .sort((a, b) => Number(a) - Number(b))
        .map(id => ({ id, name: read('jobs', id, 'name'), state: read('jobs', id, 'state').trim() })),
    write: (id, file, text) => writeFileSync(join(state, 'jobs', id, file), text),
    read: (id, file) => read('jobs', id, file),
    async release(id) {
      const env = { PATH: path, HOME: state, FAKE_LSF: state, LSB_JOBID: id, LSB_JOBINDEX: '0', LSB_HOSTS: 'n1' }
      const job = spawn(join(commands, 'run-job'), [join(state, 'jobs', id), ''], {
        env,
        detached: true,
        stdio: 'ignore',
      })
      await once(job, 'exit')
    },
    vanish(id) {
      kill(id)
      renameSync(join(state, 'jobs', id), join(state, `vanished-${id}`))
    },
    stop() {
      for (const id of readdirSync(join(state, 'jobs'))) kill(id)
      rmSync(state, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
