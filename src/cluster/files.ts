import { CompopsError, UnreadableError } from '../errors.ts'
import type { OutputFile } from '../model/observation.ts'
import type { Piece, PieceAsked, RunFiles, WatchedAttempt } from './contract.ts'
import { pathsOf } from './layout.ts'
import { notWhole, type Reach } from './reach.ts'
import { readProgram } from './read-program.ts'

/** Bytes that one command brings at most; encoded they are a third more, and the answer is held in memory. */
export const pieceBytes = 4 * 1024 * 1024
const files = 500
/** From this size on the way through a transfer host is worth its question. */
const bulkBytes = 512 * 1024
const deadline = 120_000

/** What a job left behind, piece by piece: its outputs, its log, its script. Its user wrote all of it, and may change it at any time. */
export function openRunFiles(reach: Reach): RunFiles {
  return {
    async read(attempt, asked) {
      const pieces: Piece[] = new Array(asked.length)
      for (const [place, group] of groupsOf(asked)) {
        const found = await readGroup(
          reach,
          attempt,
          place,
          group.map(at => asked[at]!),
        )
        for (const [index, at] of group.entries()) pieces[at] = found[index]!
      }
      return pieces
    },
    async log(attempt, { offset, bytes, task, native = task }) {
      const wanted = { offset, bytes: Math.min(bytes, pieceBytes) }
      const [own, schedulers] = await readGroup(reach, attempt, 'attempt', [
        { in: 'attempt', path: `log.${task ?? 0}`, ...wanted },
        // A job that never came to its log may have said why to the scheduler's.
        { in: 'attempt', path: native === undefined ? 'scheduler.log' : `scheduler.log.${native}`, ...wanted },
      ])
      return 'problem' in own! ? schedulers! : own!
    },
    logPath({ projectId, runId, jobId, id }, task) {
      return `${pathsOf(reach.root, { projectId, runId, jobId, attemptId: id }).attempt}/log.${task ?? 0}`
    },
  }
}

/** Where an output lies, by the address that was noted of it. */
export function placeOf({ at, path }: Pick<OutputFile, 'at' | 'path'>): 'checkout' | 'output' {
  return at.slice(0, at.length - path.length - 1).endsWith('/work') ? 'checkout' : 'output'
}

/** Whose output directory it lies in; null of the checkout, which the whole run shares. */
export function attemptOfOutput(at: string): string | null {
  return /\/jobs\/[0-9a-f-]{36}\/([0-9a-f-]{36})\/output\//.exec(at)?.[1] ?? null
}

/** Indexes of what is asked, in commands that bring no more than is good. */
function* groupsOf(asked: readonly PieceAsked[]): Generator<[PieceAsked['in'], number[]]> {
  for (const place of ['checkout', 'output', 'attempt'] as const) {
    let group: number[] = []
    let sum = 0
    for (const [index, piece] of asked.entries()) {
      if (piece.in !== place) continue
      if (group.length > 0 && (sum + piece.bytes > pieceBytes || group.length >= files)) {
        yield [place, group]
        group = []
        sum = 0
      }
      group.push(index)
      sum += piece.bytes
    }
    if (group.length > 0) yield [place, group]
  }
}

const unspeakable: Piece = { problem: 'has a name that cannot be asked for' }

async function readGroup(
  reach: Reach,
  attempt: WatchedAttempt,
  place: PieceAsked['in'],
  asked: readonly PieceAsked[],
): Promise<Piece[]> {
  const { projectId, runId, jobId, id } = attempt
  const paths = pathsOf(reach.root, { projectId, runId, jobId, attemptId: id })
  const directory = { checkout: paths.work, output: paths.output, attempt: paths.attempt }[place]
  const sayable = asked.map(({ path }) => isSayable(path))
  const wanted = asked.filter((_, index) => sayable[index])
  const sum = wanted.reduce((bytes, piece) => bytes + piece.bytes, 0)
  const found = await (reach.ownTransfer && place !== 'attempt' && sum >= bulkBytes
    ? readInBulk(reach, directory, wanted)
    : readAll(reach, directory, wanted, false))
  const inOrder = found.values()
  return sayable.map(is => (is ? inOrder.next().value! : unspeakable))
}

/**
 * Through the transfer host. It is there to spare the login node, which is asked where it does not answer, and for what it does not have: its cache may not
 * know yet what a compute node has just written.
 */
async function readInBulk(reach: Reach, directory: string, wanted: readonly PieceAsked[]): Promise<Piece[]> {
  const found = await readAll(reach, directory, wanted, true).catch(error => {
    if (!(error instanceof CompopsError)) throw error
    return wanted.map(() => gone)
  })
  const missing = wanted.filter((_, index) => 'problem' in found[index]!)
  if (missing.length === 0) return found
  const again = (await readAll(reach, directory, missing, false)).values()
  return found.map(piece => ('problem' in piece ? again.next().value! : piece))
}

async function readAll(
  reach: Reach,
  directory: string,
  wanted: readonly PieceAsked[],
  bulk: boolean,
): Promise<Piece[]> {
  const answer = await reach.run({
    text: readProgram,
    lines: [reach.root, directory.slice(reach.root === '/' ? 1 : reach.root.length + 1)],
    rest: wanted.map(({ offset, bytes, path }) => `${Math.trunc(offset)} ${Math.trunc(bytes)} ${path}\n`).join(''),
    deadline,
    ...(bulk ? { bulk } : {}),
  })
  if (answer.rc !== 0) throw notWhole(reach.name, 'files of a job could not be read', answer)
  const found = answer.stdout === 'gone\n' ? wanted.map(() => gone) : readPieces(answer.stdout, wanted.length)
  if (found === null) throw new UnreadableError(`${reach.name}: files of a job did not come whole`, { transient: true })
  return found
}

const gone: Piece = { problem: 'is not there any more' }

/** A line of input holds it, and it leads nowhere else. */
function isSayable(path: string): boolean {
  return (
    path !== '' &&
    !/[\0-\x1f\x7f\ufffd]/.test(path) &&
    !/^\s|\s$/.test(path) &&
    path.split('/').every(part => part !== '' && part !== '.' && part !== '..')
  )
}

/** null where the answer is not whole. */
export function readPieces(text: string, count: number): Piece[] | null {
  const end = `end ${count}\n`
  if (!text.endsWith(end)) return null
  const pieces: Piece[] = []
  let at = 0
  const stop = text.length - end.length
  while (at < stop) {
    const lineEnd = text.indexOf('\n', at)
    const line = text.slice(at, lineEnd)
    at = lineEnd + 1
    if (line.startsWith('no ')) {
      pieces.push({ problem: line.slice(3) })
      continue
    }
    const [, offset, size, how] = /^piece (\d{1,16}) (\d{1,16}) (base64|hex)$/.exec(line) ?? []
    const close = offset === undefined ? -1 : text.indexOf('\n.\n', at - 1)
    if (close === -1) return null
    const encoded = text.slice(at, close)
    const bytes = how === 'hex' ? Buffer.from(encoded.replace(/\s/g, ''), 'hex') : Buffer.from(encoded, 'base64')
    pieces.push({ offset: Number(offset), size: Number(size), bytes })
    at = close + 3
  }
  return pieces.length === count ? pieces : null
}
