import { and, desc, eq, sql } from 'drizzle-orm'
import { nearest } from '../config/index.ts'
import type { Chain, Near, Why } from '../model/why.ts'
import { type Db, first } from '../store/open.ts'
import { shortBranch } from '../store/runs.ts'
import { branches, deliveries, projects } from '../store/schema.ts'
import { chainOf, type PollEvery } from './chain.ts'
import { findTargets } from './find.ts'

/** What `why` needs: a store, and what only a running service knows. */
export interface WhyContext {
  readonly db: Db
  readonly timeZone: string
  /** Whether a service is at work on this store. */
  readonly running: boolean
  readonly pollEvery: PollEvery
}

/**
 * Why is it as it is: the chain from delivery to report for whatever a person has in hand (ids, keys, commits, branches, native ids),
 * newest first. `limit` chains are told, the others counted.
 */
export async function why(context: WhyContext, asked: string, limit = 1): Promise<Why> {
  const { db } = context
  const clock = await first<{ now: Date | string }>(db, sql`select now() as now`)
  const now = new Date(clock!.now)
  const { targets, lookedFor, job } = await findTargets(db, asked)
  const chains: Chain[] = []
  let seen = 0
  for (const target of targets) {
    if (chains.length >= limit) break
    seen++
    const chain = await chainOf(db, target, job, { pollEvery: context.pollEvery, now })
    if (chain !== null) chains.push(chain)
  }
  return {
    asked,
    at: now.toISOString(),
    timeZone: context.timeZone,
    running: context.running,
    chains,
    more: targets.length - seen,
    lookedFor,
    near: chains.length > 0 ? [] : await nearTo(db, asked.trim()),
  }
}

/** What a person may have meant: branches of a similar name, the newest deliveries of a project that was named, else the newest of all. */
async function nearTo(db: Db, asked: string): Promise<Near[]> {
  const known = await db
    .select({ ref: branches.ref, project: projects.path, at: branches.updatedAt })
    .from(branches)
    .innerJoin(projects, eq(projects.id, branches.projectId))
    .orderBy(desc(branches.updatedAt))
    .limit(1_000)
  const byName = new Map(known.map(row => [shortBranch(row.ref), row]))
  const similar: Near[] = []
  const words = asked.split(/\s+/).map(shortBranch)
  for (const word of words) {
    const name = nearest(word, byName.keys()) ?? [...byName.keys()].find(one => word.length > 2 && one.includes(word))
    const row = name === undefined || name === null ? undefined : byName.get(name)
    if (row !== undefined && name != null)
      similar.push({ kind: 'branch', ask: name, project: row.project, what: 'a branch', at: row.at.toISOString() })
  }
  const path = (await db.select({ path: projects.path }).from(projects).where(eq(projects.path, asked)))[0]?.path
  const newest = await db
    .select()
    .from(deliveries)
    // Our own notes and evidence coming back are nobody's question.
    .where(and(eq(deliveries.outcome, 'accepted'), path === undefined ? undefined : eq(deliveries.projectPath, path)))
    .orderBy(desc(deliveries.receivedAt))
    .limit(path === undefined ? 3 : 10)
  return [
    ...similar,
    ...newest.map(
      (row): Near => ({
        kind: 'delivery',
        ask: row.id,
        project: row.projectPath ?? 'no project',
        what: `${row.kind}${row.ref === null ? '' : ` of ${shortBranch(row.ref)}`}: ${row.result ?? row.lastError ?? row.outcome}`,
        at: row.receivedAt.toISOString(),
      }),
    ),
  ]
}
