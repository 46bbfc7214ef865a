import { createHash } from 'node:crypto'
import { and, eq, getTableColumns, inArray, ne, sql } from 'drizzle-orm'
import { placeOf } from '../cluster/files.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { type Copy, type CopyLimits, chooseCopies, kindOfBytes } from '../model/copies.ts'
import { newId } from '../model/id.ts'
import type { Collected } from '../model/observation.ts'
import { type Db, first } from '../store/open.ts'
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
  const room = await roomFor(context.db, attempt, limits)
  const outputs = collected.outputs.map(output => ({ ...output, ofOutputDirectory: placeOf(output) === 'output' }))
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
  const earlier = and(eq(copies.jobId, attempt.jobId), ne(copies.attemptId, attempt.id))
  // An array may be several attempts, each with tasks of its own: only what a task wrote anew is replaced.
  const names = brought.copies.map(copy => copy.name)
  await tx.delete(copies).where(attempt.array === null ? earlier : and(earlier, inArray(copies.name, names)))
  let room = await roomFor(tx, attempt, brought.limits)
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

/** Bytes that the other jobs of the run have left. */
async function roomFor(db: Db, attempt: AttemptRow, limits: CopyLimits): Promise<number> {
  const used = await first<{ bytes: number | string }>(
    db,
    sql`select coalesce(sum(size), 0) as bytes from copies where run_id = ${attempt.runId} and job_id <> ${attempt.jobId}`,
  )
  return limits.run - Number(used?.bytes ?? 0)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** gitformat-objects: the digest of `blob <size>`, a NUL and the bytes. */
const blobName = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

export type CopyRow = typeof copies.$inferSelect

/** What the last attempts of these runs brought, the bytes only where they are wanted. */
export async function copiesOf(
  db: Db,
  runIds: readonly string[],
  content: 'with content' | 'without content',
): Promise<CopyRow[]> {
  if (runIds.length === 0) return []
  const columns = getTableColumns(copies)
  return db
    .select(content === 'with content' ? columns : { ...columns, content: sql<string | null>`null`.as('content') })
    .from(copies)
    .where(inArray(copies.runId, [...runIds]))
    .orderBy(copies.runId, copies.name)
}
