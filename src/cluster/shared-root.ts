import { randomBytes } from 'node:crypto'
import { CompopsError } from '../errors.ts'
import { type Remote, RemoteError, type RemoteRequest } from '../remote/remote.ts'

/** A cluster that is reached in more than one place: they must all see one root, and that is made sure before one is trusted. */
export interface Places {
  /** The login node in use. */
  readonly login: Remote
  /** For large data: the transfer host where there is one. */
  readonly bulk: Remote
}

/** The first to look writes a random word, everybody else reads the same. Input: the root, a word. */
export const MARK_PROGRAM = `
IFS= read -r root && IFS= read -r word || exit 97
mkdir -p "$root" || exit 1
mark=$root/.compops-root
[ -s "$mark" ] || (set -C; printf '%s\\n' "$word" >"$mark") 2>/dev/null || [ -s "$mark" ] || { echo "$mark cannot be written" >&2; exit 1; }
cat "$mark"
`

/** A listing first: a file server's cache may not know yet that the file is there. Input: the root. */
export const READ_MARK_PROGRAM = `
IFS= read -r root || exit 97
ls -a "$root" >/dev/null || exit 1
cat "$root/.compops-root"
`

export function openPlaces(options: {
  readonly name: string
  readonly root: string
  readonly login: Remote
  readonly transfer: Remote | null
  /** How many login nodes there are. */
  readonly nodes: number
}): Places {
  const { name, root, transfer } = options
  /** What stood in the root when it was first seen; another login node must show the same. */
  let mark: string | null = null

  const login =
    options.nodes > 1
      ? checkedAtEachConnection(options.login, async remote => {
          const seen = await ask(remote, MARK_PROGRAM, `${root}\n${randomBytes(16).toString('hex')}\n`)
          if (mark !== null && seen !== mark)
            throw new CompopsError(
              `${name}: the login node in use now sees another ${root} than the one before. All of \`ssh.host\` must share it`,
              { transient: true },
            )
          mark = seen
        })
      : options.login
  const bulk =
    transfer === null
      ? login
      : checkedAtEachConnection(transfer, async remote => {
          const here = await ask(login, MARK_PROGRAM, `${root}\n${randomBytes(16).toString('hex')}\n`)
          const there = await ask(remote, READ_MARK_PROGRAM, `${root}\n`).catch(error => {
            if (error instanceof RemoteError) throw error
            throw notShared(`it cannot read the mark in it (${error.message})`, error)
          })
          if (here !== there) throw notShared('another mark stands in it')
        })

  function notShared(what: string, cause?: unknown): CompopsError {
    return new CompopsError(
      `${name}: the transfer host ${transfer?.description} does not share ${root} with the login node: ${what}. Both must mount the same file system`,
      { transient: true, cause },
    )
  }
  return { login, bulk }
}

async function ask(remote: Remote, program: string, input: string): Promise<string> {
  const { rc, stdout, stderr } = await remote.run({ program, input })
  const mark = stdout.trim()
  if (rc === 0 && /^[0-9a-f]{32}$/.test(mark)) return mark
  throw new CompopsError(stderr.replace(/\s+/g, ' ').trim().slice(0, 300) || 'the mark cannot be read', {
    transient: true,
  })
}

/** Nothing is asked over a connection before `check` went well on it; an answer that came over another one is not trusted. */
function checkedAtEachConnection(remote: Remote, check: (remote: Remote) => Promise<void>): Remote {
  let checked = 0
  let checking: Promise<void> | null = null
  const isChecked = () => remote.stats().connectedSince !== null && remote.stats().connects === checked

  async function checkNow(): Promise<void> {
    await check(remote)
    checked = remote.stats().connects
  }
  async function run(request: RemoteRequest) {
    while (!isChecked()) {
      checking ??= checkNow().finally(() => {
        checking = null
      })
      await checking
    }
    const answer = await remote.run(request)
    if (isChecked()) return answer
    throw new RemoteError('cut', `the connection to ${remote.description} was made anew meanwhile`, { maybeRan: true })
  }
  return {
    description: remote.description,
    run,
    stats: () => remote.stats(),
    ...(remote.needsSession === undefined ? {} : { needsSession: () => remote.needsSession!() }),
    close: () => remote.close(),
  }
}
