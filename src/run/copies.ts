import { createHash } from 'node:crypto'
import { and, eq, inArray, isNotNull, ne, not, type SQL, sql } from 'drizzle-orm'
import { placeOf } from '../cluster/files.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { type Copy, type CopyLimits, chooseCopies, kindOfBytes } from '../model/copies.ts'
import { newId } from '../model/id.ts'
import type { Collected } from '../model/observation.ts'
import type { Db } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import type { AttemptRow } from '../store/runs.ts'
import { copies } from '../store/schema.ts'

export interface Brought {
  /** What was collected, with what came back, and what should have and did not. */
  readonly collected: Collected
  readonly copies: readonly NewCopy[]
  readonly limits: CopyLimits
}

type NewCopy = Copy & { readonly blob: string; readonly content: string }

/** Fetches the small outputs of an attempt. What is no longer what the job listed is said and stays where it is. */
export async function bringCopies(
  context: Context,
  attempt: AttemptRow,
  job: string,
  collected: Collected,
): Promise<Brought> {
  const project = await findProject(context.db, attempt.projectId)
  const limits = project === null ? undefined : projectFor(context.config, project.path)?.collect
  if (limits === undefined || collected.outputs.length === 0) return nothingOf(collected)
  const outputs = collected.outputs.map(output => ({ ...output, ofOutputDirectory: placeOf(output) === 'output' }))
  // Were there room for all of them: what of an array's earlier attempts bears one of these names makes room.
  const names = chooseCopies(job, outputs, limits, limits.run).map(copy => copy.name)
  const room = await roomBeside(context.db, attempt, limits, replacedBy(attempt, names))
  const chosen = chooseCopies(job, outputs, limits, room)
  if (chosen.length === 0) return nothingOf(collected)
  const pieces = await context.clusterOf(attempt.connection).files.read(
    attempt,
    chosen.map(({ output, size }) => ({
      in: placeOf(collected.outputs[output]!),
      path: collected.outputs[output]!.path,
      offset: 0,
      bytes: size,
    })),
  )
  const problems = new Map<number, string>()
  const brought: NewCopy[] = []
  for (const [index, copy] of chosen.entries()) {
    const piece = pieces[index]!
    if ('problem' in piece) problems.set(copy.output, piece.problem)
    else if (piece.size !== copy.size || sha256(piece.bytes) !== copy.sha256)
      problems.set(copy.output, 'changed after the job had ended')
    else {
      const kind = kindOfBytes(copy.name, piece.bytes)
      const text = kind === null ? '' : piece.bytes.toString('utf8')
      if (context.secrets.redact(text) !== text) problems.set(copy.output, 'holds a secret')
      else if (kind !== null)
        brought.push({ ...copy, kind, blob: blobName(piece.bytes), content: piece.bytes.toString('base64') })
    }
  }
  return { collected: marked(collected, brought, problems), copies: brought, limits }
}

export function nothingOf(collected: Collected): Brought {
  return { collected, copies: [], limits: { file: 0, run: 0 } }
}

function marked(
  collected: Collected,
  brought: readonly Copy[],
  problems: ReadonlyMap<number, string> = new Map(),
): Collected {
  const names = new Map(brought.map(copy => [copy.output, copy.name]))
  return {
    ...collected,
    outputs: collected.outputs.map(({ copy: _, ...output }, index) => ({
      ...output,
      ...(names.has(index) ? { copy: names.get(index)! } : {}),
      ...(problems.has(index) ? { copyProblem: problems.get(index)! } : {}),
    })),
  }
}

/** Writes what came, in the transaction that writes what was collected. Jobs of one run end at the same moment: together they keep within its limit. */
export async function keepCopies(tx: Db, attempt: AttemptRow, brought: Brought): Promise<Collected> {
  await tx.execute(sql`select 1 from runs where id = ${attempt.runId} for update`)
  const replaced = replacedBy(
    attempt,
    brought.copies.map(copy => copy.name),
  )
  await tx.delete(copies).where(replaced)
  let room = await roomBeside(tx, attempt, brought.limits, replaced)
  const kept = brought.copies.filter(({ size }) => {
    if (size > room) return false
    room -= size
    return true
  })
  // One at a time: ten megabytes in one statement would hold up the embedded database.
  for (const { name, kind, size, sha256, blob, content } of kept)
    await tx
      .insert(copies)
      .values({
        ...{ id: newId(), projectId: attempt.projectId, runId: attempt.runId, jobId: attempt.jobId },
        ...{ attemptId: attempt.id, name, kind, size, sha256, blob, content },
      })
      .onConflictDoNothing()
  return kept.length === brought.copies.length ? brought.collected : marked(brought.collected, kept)
}

/** What an attempt's copies take the place of: those of all earlier ones; but an array may be several attempts, each with tasks of its own, so only what a task wrote anew. */
function replacedBy(attempt: AttemptRow, names: readonly string[]): SQL {
  const earlier = and(eq(copies.jobId, attempt.jobId), ne(copies.attemptId, attempt.id))!
  if (attempt.array === null) return earlier
  // A file where now a folder is, or the other way round, goes too: git has no room for both.
  return and(
    earlier,
    sql`exists (select 1 from json_array_elements_text(${JSON.stringify(names)}::json) n
      where n = ${copies.name} or starts_with(n, ${copies.name} || '/') or starts_with(${copies.name}, n || '/'))`,
  )!
}

/** Bytes that the rest of the run has left: all but this attempt and what it replaces. */
async function roomBeside(db: Db, attempt: AttemptRow, limits: CopyLimits, replaced: SQL): Promise<number> {
  const [used] = await db
    .select({ bytes: sql<number | string>`coalesce(sum(${copies.size}), 0)` })
    .from(copies)
    .where(and(eq(copies.runId, attempt.runId), ne(copies.attemptId, attempt.id), not(replaced)))
  return limits.run - Number(used?.bytes ?? 0)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** gitformat-objects: the digest of `blob <size>`, a NUL and the bytes. */
const blobName = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** A copy without its bytes: of many runs those are read one by one. */
export interface CopyHead {
  readonly id: string
  readonly runId: string
  readonly name: string
  readonly blob: string
  /** Its bytes stand here, and in no commit that we know of. */
  readonly uncommitted: boolean
}

/** What the last attempts of these runs brought. */
export async function copiesOf(db: Db, runIds: readonly string[]): Promise<CopyHead[]> {
  if (runIds.length === 0) return []
  const { id, runId, name, blob, content } = copies
  return db
    .select({ id, runId, name, blob, uncommitted: sql<boolean>`${content} is not null` })
    .from(copies)
    .where(inArray(copies.runId, [...runIds]))
    .orderBy(copies.runId, copies.name)
}

export async function contentOf(db: Db, id: string): Promise<Buffer> {
  const [copy] = await db.select({ content: copies.content }).from(copies).where(eq(copies.id, id))
  // A later attempt has brought its own meanwhile: the next commit has those.
  if (copy?.content == null) throw new CompopsError('the small outputs of a run have changed', { transient: true })
  return Buffer.from(copy.content, 'base64')
}

/** How much of these runs git does not have yet. */
export async function uncommittedBytes(db: Db, runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (runIds.length === 0) return new Map()
  const found = await db
    .select({ runId: copies.runId, bytes: sql<number | string>`sum(${copies.size})` })
    .from(copies)
    .where(and(inArray(copies.runId, [...runIds]), isNotNull(copies.content)))
    .groupBy(copies.runId)
  return new Map(found.map(row => [row.runId, Number(row.bytes)]))
}
