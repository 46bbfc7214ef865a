import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CompopsError, describeError } from '../errors.ts'
import { largestPiece, type ResultFile, type Results } from '../model/results.ts'
import { type Io, type RunCommand, readCommandLine, UsageError } from './command.ts'
import { isPersons, readPersonLine } from './person/person.ts'
import { type Progress, showProgress } from './progress.ts'
import { operatorsResults, personsResults, type ResultsSource } from './results.ts'

/** At once: the service has four channels to a cluster, and polls, submits and cancels over them too. */
const sideBySide = 2

type Fate = 'fetched' | 'there already'

/**
 * `compops collect [BRANCH|RUN] [JOB] --into DIR`: per job outputs, log, script, parameters and metrics, beside them `metadata.yml` and `SUMMARY.md`. Asked
 * again it goes on where it was: what is whole and has the right digest stays, what was begun is continued. Exit code 1 where something is missing.
 */
export const run: RunCommand = async (args, io) => {
  const allowed = { values: ['into'], files: 2 }
  const persons = await isPersons(args, io.env)
  const line = persons ? readPersonLine(args, io.env, allowed) : readCommandLine(args, io.env, allowed)
  const into = line.values.get('into') ?? ''
  if (into === '' || (line.files.length === 0 && !persons))
    throw new UsageError('what, and where to? compops collect calc/heat --into results/ (or a run, a commit, a job)')
  const source = persons ? await personsResults(line, io) : await operatorsResults(line.config, io.env)
  const results = await source.find(line.files)
  const root = resolve(into)
  await mkdir(root, { recursive: true })
  await writeFile(join(root, 'metadata.yml'), results.metadata)
  await writeFile(join(root, 'SUMMARY.md'), results.summary)

  const wanted = results.jobs.flatMap(job => job.files)
  const progress = showProgress(io.stdout, {
    files: wanted.length,
    bytes: wanted.reduce((sum, file) => sum + (file.size ?? 0), 0),
  })
  const missing: string[] = []
  const count = { fetched: 0, there: 0 }
  const queue = wanted.values()
  const lane = async () => {
    for (const file of queue) {
      try {
        const fate = await fetchFile(source, file, join(root, safe(file.local)), progress)
        if (fate === 'fetched') count.fetched++
        else count.there++
      } catch (error) {
        if (!(error instanceof Missing) && !(error instanceof CompopsError)) throw error
        // A job without parameters has no such file, one that never began no log.
        const own = file.in === 'attempt' || file.in === 'log'
        if (!own || !(error instanceof Missing)) missing.push(`${file.local}: ${describeError(error)}`)
      }
      progress.file()
    }
  }
  try {
    await Promise.all(Array.from({ length: sideBySide }, lane))
  } finally {
    progress.end()
  }
  for (const job of results.jobs) {
    if (Object.keys(job.metrics).length === 0) continue
    const folder = join(root, safe(job.files[0]?.local.split('/')[0] ?? job.name))
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'metrics.json'), `${JSON.stringify(job.metrics, null, 2)}\n`)
  }
  const left = [
    ...results.removed,
    ...missing,
    ...results.jobs.flatMap(job => job.left.map(one => `${job.name}: ${one}`)),
  ]
  say(io, results, root, count, left)
  return left.length === 0 ? 0 : 1
}

function say(
  io: Io,
  results: Results,
  root: string,
  count: { fetched: number; there: number },
  left: readonly string[],
) {
  const there = count.there === 0 ? '' : `, ${count.there} were there already`
  io.stdout.write(
    `${results.branch} at ${results.sha.slice(0, 8)} (${results.state}): ${count.fetched} files fetched${there}, in ${root}\n`,
  )
  for (const line of left.slice(0, 20)) io.stderr.write(`  not here: ${line.replace(/[\0-\x1f\x7f]/g, ' ')}\n`)
  if (left.length > 20) io.stderr.write(`  and ${left.length - 20} more\n`)
}

/** The service says where things go; outside of the directory nothing does. */
function safe(local: string): string {
  if (local.split('/').some(part => part === '' || part === '.' || part === '..' || /[\0\\]/.test(part)))
    throw new CompopsError(`${JSON.stringify(local)} is no place for a result`)
  return local
}

class Missing extends Error {}

async function fetchFile(source: ResultsSource, file: ResultFile, target: string, progress: Progress): Promise<Fate> {
  if (await isWhole(target, file)) {
    progress.bytes(file.size ?? 0)
    return 'there already'
  }
  await mkdir(dirname(target), { recursive: true })
  const part = `${target}.part`
  const before = file.sha256 === null ? 0 : ((await stat(part).catch(() => null))?.size ?? 0)
  for (const begin of before > 0 ? [before, 0] : [0]) {
    const size = await append(source, file, part, begin, progress)
    const right = file.size === null || size === file.size
    if (right && (file.sha256 === null || (await sha256(part)) === file.sha256)) {
      await rename(part, target)
      return 'fetched'
    }
    // What an earlier try had begun may have been of another run: once more from the beginning.
    await rm(part)
    progress.bytes(-size)
  }
  throw new CompopsError('it is no longer what the job had listed')
}

/** A file whose digest is known is here when it has it; one without (too large to hash) when it has the size. Logs and scripts are small and asked for anew. */
async function isWhole(target: string, file: ResultFile): Promise<boolean> {
  const found = await stat(target).catch(() => null)
  if (found === null || !found.isFile() || file.size === null || found.size !== file.size) return false
  return file.sha256 === null || (await sha256(target)) === file.sha256
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Piece by piece from `begin` on. Returns the size of what is here then. */
async function append(
  source: ResultsSource,
  file: ResultFile,
  part: string,
  begin: number,
  progress: Progress,
): Promise<number> {
  const handle = await open(part, begin === 0 ? 'w' : 'r+')
  try {
    let offset = begin
    progress.bytes(begin)
    for (;;) {
      const piece = await patiently(() => source.piece({ ...file, offset, bytes: largestPiece }))
      if ('problem' in piece) throw new Missing(piece.problem)
      await handle.write(piece.bytes, 0, piece.bytes.length, offset)
      offset += piece.bytes.length
      progress.bytes(piece.bytes.length)
      // Of a log that grows: as far as it has grown.
      if (piece.bytes.length === 0 || offset >= piece.size || offset > (file.size ?? offset)) return offset
    }
  } catch (error) {
    if (error instanceof Missing) await rm(part, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

/** A link that breaks for a moment is no reason to begin anew. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries >= 4 || !(error instanceof CompopsError && error.transient)) throw error
      await new Promise(done => setTimeout(done, 500 * 2 ** tries))
    }
  }
}
