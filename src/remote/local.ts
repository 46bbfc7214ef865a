import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir, hostname, userInfo } from 'node:os'
import { describeError } from '../errors.ts'
import { createCommandRunner } from './command.ts'
import { LOADER } from './loader.ts'
import { type Remote, RemoteError } from './remote.ts'
import type { Shell, ShellEnd } from './shell.ts'

/** Wait between TERM and KILL. */
const GRACE = 2_000

/** What scheduler commands need of the environment; the service's own secrets stay behind, since jobs inherit what is given here. */
const PASSED_ON = new RegExp(
  `^(?:${[
    'PATH|HOME|USER|LOGNAME|SHELL|LANG|TMPDIR|XDG_RUNTIME_DIR|KRB5CCNAME|LD_LIBRARY_PATH|MANPATH',
    // Where the scheduler is; not what its options are (SQUEUE_FORMAT) nor in which job the service itself may run (SLURM_JOB_ID).
    'SLURM_CONF|XLSF_UIDDIR|(?:LSF|EGO|SGE|DRMAA)_[A-Z0-9_]+|PBS_(?:EXEC|HOME|SERVER|DEFAULT|CONF_FILE)',
    'MODULEPATH|MODULESHOME|LMOD_[A-Z0-9_]+',
  ].join('|')})$`,
)

/** The scheduler's commands on this machine: the same contract as over SSH, by a child process. */
export function createLocalRemote(options: { env?: Readonly<Record<string, string | undefined>> } = {}): Remote {
  const env = options.env ?? Object.fromEntries(Object.entries(process.env).filter(([name]) => PASSED_ON.test(name)))
  const description = `${userInfo().username}@${hostname()} (this machine)`
  const since = new Date()
  let lastError: string | null = null
  let closed = false

  async function open(): Promise<Shell> {
    // Its own session: a signal for the service, or its end, is none for the work it began.
    const child = spawn('/bin/sh', ['-c', LOADER], {
      detached: true,
      cwd: existsSync(homedir()) ? homedir() : '/',
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    try {
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve)
        child.once('error', reject)
      })
    } catch (error) {
      lastError = `cannot start /bin/sh: ${describeError(error)}`
      throw new RemoteError('unreachable', `${description}: ${lastError}`, { cause: error })
    }
    return toShell(child)
  }

  const runner = createCommandRunner({ description, open })
  return {
    description,
    run: runner.run,
    stats: () => ({
      connects: 0,
      commands: runner.commands(),
      openChannels: runner.openChannels(),
      connectedSince: closed ? null : since,
      unreachableSince: null,
      lastError,
    }),
    async close() {
      closed = true
      runner.close()
    },
  }
}

function toShell(child: ChildProcess): Shell {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('a child process without pipes')
  const closed = new Promise<ShellEnd>(resolve => {
    child.once('close', (code, signal) => resolve({ how: 'exited', code, signal }))
  })
  for (const stream of [child, stdin, stdout, stderr]) stream.on('error', () => {})

  function letGo(): void {
    for (const stream of [stdin, stdout, stderr]) stream?.destroy()
    child.unref()
  }

  /** The whole group, whose leader is the child: also what outlived the shell. */
  function signalGroup(name: NodeJS.Signals): void {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch {
      // Nobody is left in it.
    }
  }

  return {
    stdin,
    stdout,
    stderr,
    closed,
    letGo,
    stop() {
      signalGroup('SIGTERM')
      const insist = setTimeout(() => {
        signalGroup('SIGKILL')
        letGo()
      }, GRACE)
      closed.then(() => clearTimeout(insist))
    },
  }
}
