import { and, eq, isNotNull } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { ensureCommit, listFiles, readHead } from '../git/mirror.ts'
import { evidencePath } from '../render/links.ts'
import type { Store } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { sendAgain } from '../store/reports.ts'
import { shortBranch } from '../store/runs.ts'
import { projects, reports, runs } from '../store/schema.ts'

/** So often in a day what a person removes is put back without being asked; from then on only with the next run, and it is said. */
const patience = 3
const day = 86_400_000

// When evidence was put back, by service and project. Only a limit: a restart may grant three more.
const restorations = new WeakMap<Store, Map<number, number[]>>()

function restoredBy(context: Context): Map<number, number[]> {
  const known = restorations.get(context.store) ?? new Map<number, number[]>()
  restorations.set(context.store, known)
  return known
}

/**
 * The evidence branch is no longer where we left it: a person deleted it, pushed to it, or rewrote it. What we committed and is missing there now
 * is committed again, on top of what the person made of it. Returns how many records were missing.
 */
export async function checkEvidence(
  context: Context,
  project: ProjectRow,
  rule: ProjectConfig,
  heads: ReadonlyMap<string, string>,
): Promise<number> {
  const ref = `refs/heads/${rule.evidence.branch}`
  const head = heads.get(ref) ?? null
  if (project.evidenceSha === null || project.evidenceSha === head) return 0
  const log = context.log.child({ step: 'evidence', project: project.path })
  const mirror = await context.mirror(project)
  if (head !== null && !(await ensureCommit(mirror, head))) return 0
  const there = new Set(head === null ? [] : await listFiles(mirror, head))
  const committed = await context.db
    .select({ report: reports.id, run: reports.runId, ref: runs.ref, sha: runs.sha })
    .from(reports)
    .innerJoin(runs, eq(runs.id, reports.runId))
    .where(and(eq(reports.projectId, project.id), eq(reports.kind, 'evidence'), isNotNull(reports.sentHash)))
  const missing = committed.filter(
    ({ run, ref, sha }) => !there.has(evidencePath({ id: run, branch: shortBranch(ref), sha })),
  )
  if (missing.length === 0) {
    const unmoved = eq(projects.evidenceSha, project.evidenceSha)
    await context.db
      .update(projects)
      .set({ evidenceSha: head })
      .where(and(eq(projects.id, project.id), unmoved))
    return 0
  }
  // We ourselves may have committed since the heads were listed: what was sent then is missing in the older listing alone.
  if ((await readHead(mirror, ref)) !== head) return 0

  const restored = restoredBy(context)
  const now = context.clock.now().getTime()
  const times = (restored.get(project.id) ?? []).filter(time => now - time < day)
  if (times.length >= patience) {
    log.warn(
      { missing: missing.length },
      `${rule.evidence.branch} was deleted or rewritten ${patience} times in a day; it is restored with the next run`,
    )
    return missing.length
  }
  restored.set(project.id, [...times, now])
  await sendAgain(
    context.db,
    missing.map(row => row.report),
  )
  context.wake.call('evidence')
  const how = head === null ? 'deleted' : 'rewritten'
  log.warn(
    { missing: missing.length, head },
    `${rule.evidence.branch} was ${how} by somebody: ${missing.length} records are committed again`,
  )
  context.audit.record({
    act: 'evidence missing',
    by: 'compops',
    project: project.path,
    result: `${missing.length} records are committed again`,
  })
  return missing.length
}
