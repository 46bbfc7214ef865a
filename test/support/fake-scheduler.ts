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

/** A scheduler of executables on PATH that really runs jobs and can be told how to misbehave (test/support/fake-scheduler/behave.sh). */
export interface FakeScheduler {
  readonly state: string
  /** The directory of its commands, for `path:` of a cluster: this is the scheduler there, over SSH too. */
  readonly bin: string
  readonly path: string
  /** A remote of this machine on which these commands are the scheduler. */
  remote(): Remote
  /** `times`: for how many calls; else until {@link FakeScheduler.behave} says otherwise (`ok`: as usual). The words stand in its common.sh. */
  behave(command: string, how: string, times?: number): void
  /** One behaviour for each of the next calls. */
  behaveInTurn(command: string, how: readonly string[]): void
  calls(command?: string): string[]
  jobs(): { id: string; name: string; state: string }[]
  write(id: string, file: string, text: string): void
  read(id: string, file: string): string
  /** Starts a job that `behave('hold', …)` kept pending, and waits for its end. */
  release(id: string): Promise<void>
  /** A job is gone, with its processes, and neither queue nor accounting has ever heard of it. */
  vanish(id: string): void
  stop(): void
}

export interface FakeSchedulerOptions {
  /** Of the folder with its commands beside this file, e.g. `fake-slurm`; also what its variable is named after. */
  readonly name: string
  readonly commands: readonly string[]
  /** Where its commands are found, below its state. Default: `bin`. */
  readonly bin?: string
  /** What a job that is released finds in its environment, besides. */
  jobEnv?(id: string): Readonly<Record<string, string>>
}

export function startFakeScheduler({
  name,
  commands,
  bin: place = 'bin',
  jobEnv,
}: FakeSchedulerOptions): FakeScheduler {
  const folder = join(import.meta.dirname, name)
  const variable = name.toUpperCase().replace('-', '_')
  const state = mkdtempSync(join(tmpdir(), `${name}-`))
  const bin = join(state, place)
  for (const made of [join(state, 'jobs'), join(state, 'behave'), bin]) mkdirSync(made, { recursive: true })
  // They know their scheduler without an environment, so that sshd can start them; `date` is the cluster's clock.
  for (const command of commands) {
    const file = join(bin, command)
    writeFileSync(file, `#!/bin/sh\n${variable}='${state}' exec '${join(folder, command)}' "$@"\n`)
    chmodSync(file, 0o755)
  }
  // Start files of whoever runs the tests are theirs, and slow.
  writeFileSync(join(state, '.bash_profile'), `PATH=${bin}:$PATH\n`)
  const path = `${bin}:/usr/local/bin:/usr/bin:/bin`
  const env = { PATH: path, HOME: state, [variable]: state }
  const read = (...file: string[]) =>
    existsSync(join(state, ...file)) ? readFileSync(join(state, ...file), 'utf8') : ''
  const end = (id: string) => {
    const pid = Number(read('jobs', id, 'pid'))
    if (!(pid > 1)) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
  /** With all that it has started: it leads a group of its own, and so does each task of an array. */
  const kill = (id: string) => {
    end(id)
    const tasks = join(state, 'jobs', id, 'tasks')
    for (const task of existsSync(tasks) ? readdirSync(tasks) : []) end(join(id, 'tasks', task))
  }
  return {
    state,
    bin,
    path,
    remote: () => createLocalRemote({ env }),
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
      const command =
        existsSync(join(state, 'jobs', id, 'array')) && existsSync(join(folder, 'run-array')) ? 'run-array' : 'run-job'
      const job = spawn(join(folder, command), [join(state, 'jobs', id), ''], {
        env: { ...env, ...jobEnv?.(id) },
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
