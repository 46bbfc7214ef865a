import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { InputFile, WatchedAttempt } from '../cluster/cluster.ts'
import { attemptOfOutput, pieceBytes, placeOf } from '../cluster/files.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { formatMemory } from '../model/resources.ts'
import { RemoteError } from '../remote/remote.ts'
import type { JobRow } from '../store/runs.ts'
import { createErrands } from './errands.ts'
import { thenRemove } from './then-remove.ts'

/** How long what was brought is taken to be there without a look: until the job is handed over. */
const believed = 60_000

/** A file of the parent's, and where it was computed. */
export interface Offered extends InputFile {
  readonly job: string
  readonly connection: string
  readonly cluster: string
  readonly attempt: WatchedAttempt
}

type Away = Offered & { readonly sha256: string }

/** What was brought is a file on the cluster, under its digest; what is half here a file of ours. */
const errands = createErrands(['prepare', 'submit'])
/** Until when what was brought is taken to be there. */
const here = new Map<string, number>()
/** One at a time of each file, whoever wants it. */
const files = new Map<string, Promise<unknown>>()

/**
 * The files that a job takes from another cluster, as they lie on its own once they were brought there. Throws while they are not: transient where that is a
 * matter of time. The bytes pass through this machine, piece by piece, and are compared with the digest that the parent's job had noted.
 */
export function broughtTo(context: Context, job: JobRow, offered: readonly Offered[], from: string): InputFile[] {
  const away = offered.map(file => withDigest(file, job, from))
  const first = away[0]!
  const bytes = away.reduce((sum, file) => sum + file.size, 0)
  const { transferLimit } = context.clusterConfig(job.connection)
  if (bytes > transferLimit)
    throw new CompopsError(
      `${job.name} takes ${amount(bytes)} of ${from} from ${whence(first, job)}, and at most ${amount(transferLimit)} are brought to ${job.cluster} (transfer_limit): take less, or run ${job.name} there`,
    )
  const { inputs } = context.clusterOf(job.connection)
  const digest = createHash('sha256')
    .update(JSON.stringify(away.map(file => [file.sha256, file.size])))
    .digest('hex')
  const key = `${folderOf(context)} ${job.connection} ${job.projectId} ${digest}`
  if ((here.get(key) ?? 0) > context.clock.now().getTime())
    return away.map(file => ({ ...file, from: inputs.pathOf(job.projectId, file.sha256) }))
  const failed = errands.ask(
    context,
    key,
    () => bring(context, key, { job, away, from }),
    error => told(context, job, error),
  )
  if (failed !== null) throw failed
  const more = away.length > 1 ? ` and ${away.length - 1} more` : ''
  const what = `${first.path}${more} of ${from} from ${whence(first, job)} to ${job.cluster}`
  throw new CompopsError(`the service brings ${what}`, { transient: true })
}

function withDigest(file: Offered, job: JobRow, from: string): Away {
  const { sha256, path, cluster } = file
  if (sha256 !== null) return { ...file, sha256 }
  throw new CompopsError(
    `${path} of ${from} has no digest in the evidence, so it cannot be brought from ${cluster}: run ${job.name} there`,
  )
}

const whence = ({ cluster }: Away, job: JobRow) => (cluster === job.cluster ? `another account of ${cluster}` : cluster)

const amount = (bytes: number) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} K` : formatMemory(bytes / 2 ** 20))

async function bring(
  context: Context,
  key: string,
  { job, away, from }: { readonly job: JobRow; readonly away: readonly Away[]; readonly from: string },
): Promise<void> {
  const { connection, projectId } = job
  const { inputs } = context.clusterOf(connection)
  for (const file of away) {
    const local = join(folderOf(context), String(projectId), file.sha256)
    await once(`${connection} ${local}`, () =>
      thenRemove(local, () =>
        inputs.bring(projectId, file, async () => {
          await once(local, () => fetchFile(context, file, local, from))
          return local
        }),
      ),
    )
  }
  const now = context.clock.now().getTime()
  for (const [known, until] of here) if (until < now) here.delete(known)
  here.set(key, now + believed)
  logOf(context, job).info({ files: away.length }, `the inputs of ${job.name} are on ${job.cluster}`)
}

const logOf = ({ log }: Context, job: JobRow) =>
  log.child({ step: 'inputs', run: job.runId, job: job.id, connection: job.connection })

function told(context: Context, job: JobRow, thrown: Error): CompopsError {
  const error = asTold(thrown, job.name)
  logOf(context, job).warn({ err: describeError(error) }, `the inputs of ${job.name} could not be brought`)
  return error
}

/** A cluster that is away, or that a person must sign in to, a disk of ours that is full: time or somebody mends that. */
function asTold(error: Error, job: string): CompopsError {
  if (error instanceof CompopsError && !error.transient && !(error instanceof RemoteError)) return error
  return new CompopsError(`the inputs of ${job} cannot be brought: ${describeError(error)}; it is tried again`, {
    transient: true,
    cause: error,
  })
}

async function once<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  const known = files.get(name)
  if (known !== undefined) return known as Promise<Result>
  const begun = work()
  files.set(name, begun)
  try {
    return await begun
  } finally {
    files.delete(name)
  }
}

/** Brings a file here, from where an earlier try stopped. It appears under its name only with the digest that it should have. */
async function fetchFile(context: Context, file: Away, local: string, from: string): Promise<void> {
  const { path, size, sha256, attempt, cluster } = file
  if ((await stat(local).catch(() => null))?.size === size) return
  await mkdir(join(local, '..'), { recursive: true, mode: 0o700 })
  const source = context.clusterOf(file.connection).files
  // Only what is needed for its place is known of the path that was noted.
  const asked = { in: placeOf({ at: file.from, path }), path }
  const part = `${local}.part`
  const found = await readWhatIsHere(part, size)
  let { at } = found
  const handle = await open(part, 'a', 0o600)
  try {
    await handle.truncate(at)
    while (at < size) {
      const [piece] = await source.read(attempt, [{ ...asked, offset: at, bytes: Math.min(pieceBytes, size - at) }])
      if ('problem' in piece!) throw new CompopsError(`${path} of ${from} on ${cluster} ${piece.problem}`)
      if (piece!.size !== size) throw changed(file, from)
      if (piece!.bytes.length === 0) throw new CompopsError(`${path} did not come whole`, { transient: true })
      await handle.writeFile(piece!.bytes)
      found.hash.update(piece!.bytes)
      at += piece!.bytes.length
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  if (found.hash.digest('hex') !== sha256) {
    await rm(part, { force: true })
    // What a crash of this machine has left may be none of it.
    if (found.at > 0) throw new CompopsError(`${path} did not come whole`, { transient: true })
    throw changed(file, from)
  }
  await rename(part, local)
}

const changed = ({ path, cluster }: Away, from: string) =>
  new CompopsError(`${path} of ${from} on ${cluster} is not what the parent had computed: it was written again since`)

async function readWhatIsHere(part: string, size: number): Promise<{ at: number; readonly hash: Hash }> {
  const hash = createHash('sha256')
  const at = (await stat(part).catch(() => null))?.size ?? 0
  if (at === 0 || at > size) return { at: 0, hash }
  for await (const chunk of createReadStream(part, { end: at - 1 })) hash.update(chunk as Buffer)
  return { at, hash }
}

const folderOf = (context: Context) => join(context.config.dataDir, 'inputs')

/** What tries that nobody took up again have left. */
export async function pruneInputs(context: Context, hours: number): Promise<void> {
  const root = folderOf(context)
  const oldest = context.clock.now().getTime() - hours * 3_600_000
  for (const project of await readdir(root).catch(() => []))
    for (const name of await readdir(join(root, project)).catch(() => [])) {
      const found = await stat(join(root, project, name)).catch(() => null)
      if (found !== null && found.mtimeMs < oldest) await rm(join(root, project, name), { force: true })
    }
}

/** Whose attempt a file of a job's results belongs to: of an array each task may be of another. */
export function attemptThatHas(at: string, last: WatchedAttempt): WatchedAttempt {
  return { ...last, id: attemptOfOutput(at) ?? last.id }
}
