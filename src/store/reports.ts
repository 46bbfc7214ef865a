import { sql } from 'drizzle-orm'
import { newId } from '../model/id.ts'
import type { Db } from './open.ts'
import { type Desired, type ReportKind, reports } from './schema.ts'

export interface ReportToWrite {
  readonly key: string
  readonly projectId: number
  readonly runId: string
  readonly desired: Desired
  /** What makes two of them the same to GitLab; the description of a status, for one, is only kept when the state changes. */
  readonly hash: string
  /** Does not wait for the pause between two edits. */
  readonly atOnce: boolean
}

/** Writes what GitLab should show. What is the same as before is left alone; what was refused or parked gets another chance when it changes. */
export async function writeReports(db: Db, wanted: readonly ReportToWrite[]): Promise<void> {
  for (const report of wanted) {
    const row = {
      kind: report.desired.kind satisfies ReportKind,
      projectId: report.projectId,
      runId: report.runId,
      desired: report.desired,
      desiredHash: report.hash,
    }
    await db
      .insert(reports)
      // Evidence waits a moment, so that runs that end together come in one commit.
      .values({
        id: newId(),
        key: report.key,
        ...row,
        ...(row.kind === 'evidence' ? { nextAt: sql`now() + interval '2 seconds'` } : {}),
      })
      .onConflictDoUpdate({
        target: reports.key,
        set: {
          ...row,
          // Refused evidence is tried on and shown until it is committed; another status or note may well be taken.
          ...(row.kind === 'evidence' ? {} : { refused: null }),
          parkedAt: null,
          attempts: 0,
          unsentSince: sql`case when ${reports.sentHash} = ${reports.desiredHash} then now() else ${reports.unsentSince} end`,
          ...(report.atOnce ? { nextAt: sql`now()` } : {}),
        },
        setWhere: sql`${reports.desiredHash} <> excluded.desired_hash`,
      })
  }
}

/** Writes what is said once and never changed. */
export async function writeOnce(db: Db, report: Omit<ReportToWrite, 'atOnce'>): Promise<void> {
  await db
    .insert(reports)
    .values({
      id: newId(),
      key: report.key,
      kind: report.desired.kind,
      projectId: report.projectId,
      runId: report.runId,
      desired: report.desired,
      desiredHash: report.hash,
    })
    .onConflictDoNothing()
}
