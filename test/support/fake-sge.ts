import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { Remote } from '../../src/remote/remote.ts'

const commands = join(import.meta.dirname, 'fake-sge')

/** A Grid Engine of executables on PATH that really runs jobs and can be told how to misbehave (test/support/fake-sge/common.sh). */
export interface FakeSge {
  readonly state: string
  /** The directory of its commands, for `path:` of a cluster. */
  readonly bin: string
  /** A remote of this machine on which these commands are the scheduler. */
  remote(): Remote
  /** `times`: for how many calls; else until {@link FakeSge.behave} says otherwise (`ok`: as usual). The words stand in fake-sge/common.sh. */
  behave(command: string, how: string, times?: number): void
  calls(command?: string): string[]
  jobs(): { id: string; name: string; state: string }[]
  read(id: string, file: string): string
  /** Starts a job that `behave('hold', …)` kept pending, and waits for its end. */
  release(id: string): Promise<void>
  /** What `behave('lag', …)` kept from the accounting file is written there. */
  flush(): void
  stop(): void
}

export function startFakeSge(): FakeSge {
  const state = mkdtempSync(join(tmpdir(), 'fake-sge-'))
  for (const folder of ['jobs', 'behave', 'root/default/common', 'root/bin/lx-amd64'])
    mkdirSync(join(state, folder), { recursive: true })
  const bin = join(state, 'root/bin/lx-amd64')
  // They know their Grid Engine without an environment, so that sshd can start them; `date` is the cluster's clock.
  for (const command of ['qsub', 'qstat', 'qdel', 'qconf', 'date']) {
    const file = join(bin, command)
    writeFileSync(file, `#!/bin/sh\nFAKE_SGE='${state}' exec '${join(commands, command)}' "$@"\n`)
    chmodSync(file, 0o755)
  }
  // Start files of whoever runs the tests are theirs, and slow.
  writeFileSync(join(state, '.bash_profile'), `PATH=${bin}:$PATH\n`)
  const env = { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`, HOME: state, FAKE_SGE: state }
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
    remote: () => createLocalRemote({ env }),
    behave(command, how, times) {
      if (how === 'ok') rmSync(join(state, 'behave', command), { force: true })
      else writeFileSync(join(state, 'behave', command), times === undefined ? `${how}\n` : `${how} ${times}\n`)
    },
    calls: command =>
      read('calls')
        .split('\n')
        .filter(line => line !== '' && (command === undefined || line.startsWith(`${command} `))),
    jobs: () =>
      readdirSync(join(state, 'jobs'))
        .sort((a, b) => Number(a) - Number(b))
        .map(id => ({
          id,
          name: read('jobs', id, 'name'),
          state: read('jobs', id, 'state').trim(),
        })),
    read: (id, file) => read('jobs', id, file),
    async release(id) {
      const job = spawn(join(commands, 'run-job'), [join(state, 'jobs', id)], {
        env,
        detached: true,
        stdio: 'ignore',
      })
      await once(job, 'exit')
    },
    flush() {
      appendFileSync(join(state, 'root/default/common/accounting'), read('unflushed'))
      rmSync(join(state, 'unflushed'), { force: true })
    },
    stop() {
      for (const id of readdirSync(join(state, 'jobs'))) kill(id)
      rmSync(state, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
