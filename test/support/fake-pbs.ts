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
import type { Remote } from '../../src/remote/remote.ts'

const commands = join(import.meta.dirname, 'fake-pbs')

/** An OpenPBS of executables on PATH that really runs jobs and can be told how to misbehave (test/support/fake-pbs/common.sh). */
export interface FakePbs {
  readonly state: string
  /** The directory of its commands, for `path:` of a cluster. */
  readonly bin: string
  /** A remote of this machine on which these commands are the scheduler. */
  remote(): Remote
  /** `times`: for how many calls; else until {@link FakePbs.behave} says otherwise (`ok`: as usual). The words stand in fake-pbs/common.sh. */
  behave(command: string, how: string, times?: number): void
  calls(command?: string): string[]
  /** Numbers without the server's name, which is `fake`. */
  jobs(): { number: string; name: string; state: string }[]
  write(number: string, file: string, text: string): void
  read(number: string, file: string): string
  /** Starts a job that `behave('hold', …)` kept queued, and waits for its end. */
  release(number: string): Promise<void>
  /** A job is gone, with its processes, and neither queue nor history has ever heard of it. */
  vanish(number: string): void
  stop(): void
}

export function startFakePbs(): FakePbs {
  const state = mkdtempSync(join(tmpdir(), 'fake-pbs-'))
  for (const folder of ['jobs', 'behave', 'bin']) mkdirSync(join(state, folder))
  const bin = join(state, 'bin')
  // They know their PBS without an environment, so that sshd can start them; `date` is the cluster's clock.
  for (const command of ['qsub', 'qstat', 'qselect', 'qdel', 'date']) {
    const file = join(bin, command)
    writeFileSync(file, `#!/bin/sh\nFAKE_PBS='${state}' exec '${join(commands, command)}' "$@"\n`)
    chmodSync(file, 0o755)
  }
  // Start files of whoever runs the tests are theirs, and slow.
  writeFileSync(join(state, '.bash_profile'), `PATH=${bin}:$PATH\n`)
  const env = { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`, HOME: state, FAKE_PBS: state }
  const read = (...file: string[]) =>
    existsSync(join(state, ...file)) ? readFileSync(join(state, ...file), 'utf8') : ''
  /** With all that it has started: it leads a group of its own. */
  const kill = (number: string) => {
    const pid = Number(read('jobs', number, 'pid'))
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
        .map(number => ({
          number,
          name: read('jobs', number, 'name'),
          state: read('jobs', number, 'state').trim(),
        })),
    write: (number, file, text) => writeFileSync(join(state, 'jobs', number, file), text),
    read: (number, file) => read('jobs', number, file),
    async release(number) {
      const job = spawn(join(commands, 'run-job'), [join(state, 'jobs', number)], {
        env,
        detached: true,
        stdio: 'ignore',
      })
      await once(job, 'exit')
    },
    vanish(number) {
      kill(number)
      renameSync(join(state, 'jobs', number), join(state, `vanished-${number}`))
    },
    stop() {
      for (const number of readdirSync(join(state, 'jobs'))) kill(number)
      rmSync(state, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
