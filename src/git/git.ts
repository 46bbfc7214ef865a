import { spawn } from 'node:child_process'
import { type ConfigEntry, credentialEntries, gitEnvironment, redact } from './environment.ts'
import { GitError, gitWords, kindOf } from './errors.ts'
import type { Mirror } from './mirror.ts'
import { suspect } from './suspect.ts'

export interface GitCall {
  /** Adds the token. Only for commands that talk to GitLab. */
  remote?: boolean
  input?: string | Uint8Array
  /** Exit codes that are answers and not failures; 0 always is. */
  accept?: readonly number[]
  /** Another repository than the mirror itself. */
  gitDir?: string
  workTree?: string
  config?: readonly ConfigEntry[]
  environment?: Readonly<Record<string, string>>
  /** Bytes of output after which the command is killed. */
  maxBytes?: number
}

export interface GitResult {
  code: number
  stdout: Buffer
  /** Without the token. */
  stderr: string
}

const DEFAULT_DEADLINE = 120_000
const GRACE = 2_000
const MAX_OUTPUT = 512 * 1024 * 1024
const MAX_STDERR = 256 * 1024

const living = new Set<number>()
let watching = false

/**
 * Runs git, without a shell, in a process group of its own. The deadline is for silence: each sign of life (progress too) starts it anew,
 * up to thirty times, so that a big first fetch is not cut off again and again.
 *
 * @throws GitError with git's own words when the exit code is not accepted.
 */
export async function git(mirror: Mirror, args: readonly string[], call: GitCall = {}): Promise<GitResult> {
  const doing = `git ${args.find(arg => !arg.startsWith('-')) ?? ''}`.trim()
  const leave = call.remote ? (mirror.gate?.enter() ?? null) : null
  if (typeof leave === 'number') {
    const seconds = Math.ceil(leave / 1000)
    throw new GitError('network', `${doing}: not asked, GitLab is in trouble, next try in ${seconds} s`, {
      retryAfter: leave,
    })
  }
  try {
    const result = await runGit(mirror, args, call, doing)
    const words = result.code === 0 ? '' : gitWords(result.stderr)
    leave?.(result.code !== 0 && kindOf(words) === 'network' ? 'trouble' : 'answered', words)
    return result
  } catch (error) {
    const network = error instanceof GitError && error.kind === 'network'
    leave?.(network ? 'trouble' : 'answered', network ? error.message : undefined)
    throw error
  }
}

async function runGit(mirror: Mirror, args: readonly string[], call: GitCall, doing: string): Promise<GitResult> {
  const token = call.remote ? mirror.token() : ''
  const entries = [...(call.remote ? credentialEntries(mirror, token) : []), ...(call.config ?? [])]
  const environment = gitEnvironment(entries, {
    GIT_DIR: call.gitDir ?? mirror.dir,
    ...(call.workTree === undefined ? {} : { GIT_WORK_TREE: call.workTree }),
    ...call.environment,
  })
  const end = await runProcess('git', ['--literal-pathspecs', ...args], {
    environment,
    cwd: call.workTree ?? '/',
    input: call.input,
    deadline: mirror.deadline ?? DEFAULT_DEADLINE,
    maxBytes: call.maxBytes ?? MAX_OUTPUT,
  })
  const stderr = redact(end.stderr, token)
  const where = call.remote ? ` ${redact(mirror.url, token)}` : ''
  if (end.killed !== null) {
    throw new GitError(call.remote ? 'network' : 'git', `${doing}${where}: ${end.killed}`, {
      transient: end.code !== TOO_MUCH,
    })
  }
  if (end.code !== 0 && !call.accept?.includes(end.code)) {
    const words = gitWords(stderr) || `exit code ${end.code}`
    const kind = call.remote ? kindOf(words) : 'git'
    const transient =
      kind === 'network' ||
      /No space left on device|Cannot allocate memory|\.lock': File exists/.test(words) ||
      (kind === 'git' && suspect(mirror.dir, words))
    throw new GitError(kind, `${doing}${where}: ${words}${advice(kind)}`, { transient })
  }
  return { code: end.code, stdout: end.stdout, stderr }
}

function advice(kind: string): string {
  if (kind === 'auth') return ' (the token is wrong, expired or its role is too low)'
  if (kind === 'not found')
    return ' (the project is not there, has moved, or the token may not see it: a revoked token looks the same)'
  return ''
}

const TOO_MUCH = -2

interface ProcessEnd {
  code: number
  stdout: Buffer
  stderr: string
  /** Why it was ended by us, else null. */
  killed: string | null
}

interface ProcessCall {
  environment: Record<string, string>
  cwd: string
  input: string | Uint8Array | undefined
  deadline: number
  maxBytes: number
}

function runProcess(program: string, args: readonly string[], call: ProcessCall): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    if (args.some(arg => arg.includes('\0'))) {
      reject(new GitError('git', `git ${args[1] ?? ''}: an argument holds a zero byte`))
      return
    }
    const child = spawn(program, args, {
      env: call.environment,
      cwd: call.cwd,
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own: git-remote-https and git-lfs must end with their parent.
      detached: true,
    })
    const group = child.pid
    const stdout: Buffer[] = []
    let stderr = ''
    let size = 0
    let killed: string | null = null
    let forced = 0
    let timer: NodeJS.Timeout | undefined
    let grace: NodeJS.Timeout | undefined
    const latest = performance.now() + call.deadline * 30

    const end = (why: string, code = 0) => {
      if (killed !== null) return
      killed = why
      forced = code
      clearTimeout(timer)
      signalGroup(group, 'SIGTERM')
      grace = setTimeout(() => signalGroup(group, 'SIGKILL'), GRACE)
    }
    const alive = () => {
      clearTimeout(timer)
      if (killed !== null) return
      const left = Math.max(0, Math.min(call.deadline, latest - performance.now()))
      timer = setTimeout(() => end(`no sign of life for ${call.deadline / 1000} s, given up`), left)
    }
    alive()
    if (group !== undefined) {
      watchExit()
      living.add(group)
    }

    child.stdout.on('data', (chunk: Buffer) => {
      alive()
      size += chunk.length
      if (size > call.maxBytes) end(`more than ${call.maxBytes} bytes of output`, TOO_MUCH)
      else stdout.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      alive()
      stderr = (stderr + chunk.toString()).slice(-MAX_STDERR)
    })
    child.on('error', cause => {
      clearTimeout(timer)
      clearTimeout(grace)
      const missing = 'code' in cause && cause.code === 'ENOENT'
      reject(
        new GitError('git', missing ? `${program} is not installed, or not in PATH` : `${program} cannot be started`, {
          transient: !missing,
          cause,
        }),
      )
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      clearTimeout(grace)
      if (group !== undefined) {
        // What outlived the parent (a helper in the same group) ends now.
        if (killed !== null) signalGroup(group, 'SIGKILL')
        living.delete(group)
      }
      if (killed === null && signal !== null) killed = `ended by ${signal}`
      resolve({ code: forced || (code ?? -1), stdout: Buffer.concat(stdout), stderr, killed })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(call.input)
  })
}

function signalGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return
  try {
    process.kill(-group, signal)
  } catch {
    // already gone
  }
}

/** Groups of their own do not hear our Ctrl-C; they must not go on writing to a mirror that the next process opens. */
function watchExit(): void {
  if (watching) return
  watching = true
  process.on('exit', () => {
    for (const group of living) signalGroup(group, 'SIGTERM')
  })
}
