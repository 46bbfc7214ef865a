import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { readEvidenceBlob } from '../git/evidence.ts'
import { mostPlots } from '../render/sections.ts'
import { mustHold } from '../store/leases.ts'
import { type Db, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { upToDate } from '../store/recovery.ts'
import { touchRuns } from '../store/runs.ts'
import { copies } from '../store/schema.ts'
import { claim, putBack, stillClaimed } from '../store/work.ts'
import { asOutage, retryAfterOf } from './outage.ts'

type CopyRow = typeof copies.$inferSelect

/** The pictures that a note can show are to be uploaded: to GitLab's own uploads, which its pages show to whoever may see them. */
export async function wantUploads(db: Db, runId: string): Promise<void> {
  await db.execute(sql`update copies set upload_wanted = true where not upload_wanted and id in
    (select id from copies where run_id = ${runId} and kind = 'image' order by name limit ${mostPlots})`)
}

/** Uploads the pictures that notes wait for, each once: the same bytes in the same project have the same address. Returns how many were tried. */
export async function uploadPlots(context: Context): Promise<number> {
  if (context.gitlabs().every(gitlab => gitlab.pause() > 0)) return 0
  const condition = and(
    eq(copies.uploadWanted, true),
    isNull(copies.upload),
    isNull(copies.uploadProblem),
    upToDate(context.db, copies.projectId),
  )
  const claimed = await claim(context.db, copies, { claimant: context.claimant, seconds: 120, limit: 5, condition })
  for (const copy of claimed) {
    mustHold(context.lease)
    await upload(context, copy)
  }
  return claimed.length
}

async function upload(context: Context, copy: CopyRow): Promise<void> {
  const log = context.log.child({ step: 'upload', run: copy.runId, name: copy.name })
  try {
    const url = (await known(context.db, copy)) ?? (await send(context, copy))
    await close(context, copy, { upload: url })
    log.info({ url }, 'plot uploaded')
  } catch (error) {
    context.metrics.failures.inc({ verb: 'upload plot' })
    log.warn({ err: describeError(error) }, 'a plot could not be uploaded')
    const outage = asOutage(error)
    if (outage instanceof CompopsError && outage.transient)
      await putBack(context.db, copies, copy, outage, retryAfterOf(error))
    // Too large for this GitLab, or refused for another reason that time does not mend: the evidence has it all the same.
    else await close(context, copy, { uploadProblem: describeError(error) })
  }
}

async function close(
  context: Context,
  copy: CopyRow,
  what: Partial<Pick<CopyRow, 'upload' | 'uploadProblem'>>,
): Promise<void> {
  await transact(context.db, async tx => {
    await tx
      .update(copies)
      .set({ ...what, leaseUntil: null, lastError: null })
      .where(stillClaimed(copies, copy))
    await touchRuns(tx, [copy.runId])
  })
  context.wake.call('compose')
}

async function known(db: Db, copy: CopyRow): Promise<string | null> {
  const same = and(eq(copies.projectId, copy.projectId), eq(copies.sha256, copy.sha256), isNotNull(copies.upload))
  const found = await db.select({ name: copies.name, upload: copies.upload }).from(copies).where(same).limit(20)
  return found.find(one => endingOf(one.name) === endingOf(copy.name))?.upload ?? null
}

const types: Readonly<Record<string, string>> = { png: 'image/png', jpg: 'image/jpeg', svg: 'image/svg+xml' }

/** GitLab tells a picture by its ending (uploaders/gitlab_uploader, FileTypeDetection). */
function endingOf(name: string): string {
  return name.replace(/^.*\./s, '').toLowerCase().replace('jpeg', 'jpg')
}

async function send(context: Context, copy: CopyRow): Promise<string> {
  const project = await findProject(context.db, copy.projectId)
  if (project === null) throw new CompopsError(`project ${copy.projectId} is not known`)
  const ending = endingOf(copy.name)
  const bytes = copy.content === null ? await fromEvidence(context, project, copy) : Buffer.from(copy.content, 'base64')
  // Not its own name: that is for people, and stands in the note as text.
  const name = `${copy.sha256.slice(0, 12)}.${ending}`
  return context.gitlabOf(project.path).upload(project.id, name, types[ending] ?? 'application/octet-stream', bytes)
}

/** Committed already: git has it. */
async function fromEvidence(
  context: Context,
  project: { readonly id: number; readonly path: string; readonly evidenceSha: string | null },
  copy: CopyRow,
): Promise<Buffer> {
  const branch = projectFor(context.config, project.path)?.evidence.branch
  if (branch === undefined || project.evidenceSha === null) throw new CompopsError('its evidence is not known')
  const found = await readEvidenceBlob(await context.mirror(project), {
    branch,
    tip: project.evidenceSha,
    blob: copy.blob,
  })
  if (found === null) throw new CompopsError('the evidence has it no more')
  return found
}
