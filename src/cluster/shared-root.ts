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

/**
 * The word that stands in a root, remembered where no machine can change it: otherwise, after a restart, whichever machine is reached first would
 * define what the others must show.
 */
export interface RootMark {
  /** null: none is known for this root. */
  known(root: string): Promise<string | null>
  /** Remembers it unless another is known by now. Returns the one that is known. */
  keep(root: string, word: string): Promise<string>
}

const forThisProcess: RootMark = { known: async () => null, keep: async (_, word) => word }

/**
 * Input: the root, and a word to write where none stands, or nothing: then nothing is changed. Output: the machine's name, the word or nothing. A
 * listing first: a file server's cache may not know yet that the file is there.
 */
export const MARK_PROGRAM = `
IFS= read -r root && IFS= read -r word || exit 97
mark=$root/.compops-root
if [ -n "$word" ] && [ ! -s "$mark" ]; then
  mkdir -p "$root" || exit 1
  (set -C; printf '%s\\n' "$word" >"$mark") 2>/dev/null || [ -s "$mark" ] || { echo "$mark cannot be written" >&2; exit 1; }
fi
uname -n
ls -a "$root" >/dev/null || exit 0
if [ -e "$mark" ]; then cat "$mark"; fi
`

export function openPlaces(options: {
  readonly name: string
  readonly root: string
  readonly login: Remote
  readonly transfer: Remote | null
  /** How many login nodes there are. */
  readonly nodes: number
  readonly mark?: RootMark
}): Places {
  const { name, root, transfer, mark = forThisProcess } = options
  let known: string | null = null

  /** What the login node shows; the only one that may write, and only where nothing is known. */
  async function seenByLogin(remote: Remote): Promise<string> {
    known ??= await mark.known(root)
    const seen = await look(remote, root, known === null ? randomBytes(16).toString('hex') : '')
    if (known === null && seen.word !== null) known = await mark.keep(root, seen.word)
    if (known !== null && seen.word === known) return known
    const what = seen.word === null ? `no mark stands in it${seen.said}` : 'another mark stands in it'
    throw new CompopsError(
      `${name}: the login node in use, ${seen.machine}, sees another ${root} than was used before: ${what}. All of \`ssh.host\` must share it. If it is the right one and was emptied: echo ${known ?? ''} >${root}/.compops-root`,
      { transient: true },
    )
  }
  const login =
    options.nodes > 1
      ? checkedAtEachConnection(options.login, remote =>
          seenByLogin(remote).catch(error => {
            // Else its connection would stand, and the right one would not be tried when it is back.
            if (error instanceof CompopsError && !(error instanceof RemoteError)) remote.passOver?.(error)
            throw error
          }),
        )
      : options.login
  const bulk =
    transfer === null
      ? login
      : checkedAtEachConnection(transfer, async remote => {
          const here = await seenByLogin(login)
          const there = await look(remote, root, '')
          if (there.word === here) return
          const what = there.word === null ? `no mark stands in it${there.said}` : 'another mark stands in it'
          throw new CompopsError(
            `${name}: the transfer host ${transfer.description}, ${there.machine}, does not share ${root} with the login node: ${what}. Both must mount the same file system`,
            { transient: true },
          )
        })
  return { login, bulk }
}

interface Seen {
  readonly machine: string
  readonly word: string | null
  /** Why there is none, for a sentence; may be empty. */
  readonly said: string
}

async function look(remote: Remote, root: string, word: string): Promise<Seen> {
  const { rc, stdout, stderr } = await remote.run({ program: MARK_PROGRAM, input: `${root}\n${word}\n` })
  const said = stderr.replace(/\s+/g, ' ').trim().slice(0, 300)
  const [machine = '', ...rest] = stdout.split('\n')
  if (rc !== 0) throw new CompopsError(said || `the mark in ${root} cannot be read`, { transient: true })
  const stands = rest.join('\n').trim()
  return {
    machine: machine.replace(/[^\w.-]/g, '').slice(0, 100) || remote.description,
    word: /^[0-9a-f]{32}$/.test(stands) ? stands : null,
    said: said === '' ? '' : ` (${said})`,
  }
}

/** Nothing is asked over a connection before `check` went well on it; an answer that came over another one is not trusted. */
function checkedAtEachConnection(remote: Remote, check: (remote: Remote) => Promise<unknown>): Remote {
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
