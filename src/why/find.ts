import { and, desc, eq, gte, inArray, like, lt, or, type SQL, sql } from 'drizzle-orm'
import { isId } from '../model/id.ts'
import type { Db } from '../store/open.ts'
import { attempts, branches, ciJobs, deliveries, jobs, projects, reports, runs } from '../store/schema.ts'

/** Where a chain begins: a run, or a delivery that started none. */
export interface Target {
  readonly kind: 'run' | 'delivery' | 'ci'
  readonly id: string
  readonly at: Date
}

export interface Found {
  /** Newest first; at most some fifty of each kind of match. */
  readonly targets: readonly Target[]
  /** What the words were taken for. */
  readonly lookedFor: readonly string[]
  /** The one job that was asked for; null for all. */
  readonly job: string | null
}

const most = 50

/** Finds what a person means by an id, a key, a commit, a branch, a native id, or a branch with the name of a job. */
export async function findTargets(db: Db, asked: string): Promise<Found> {
  const words = asked.trim().split(/\s+/)
  if (words.length === 2) return findJob(db, words[0]!, words[1]!)
  // The name that our jobs have in the scheduler's queue is `compops-<attempt id>`.
  const word = asked.trim().replace(/^compops-(?=[0-9a-f]{8}-)/, '')
  const lookedFor: string[] = []
  const found: Target[] = []

  // From GitLab's own address of it, or its number, which may as well be one of a scheduler's.
  const ofPage = /\/-\/(?:jobs|pipelines)\/(\d{1,15})\b/.exec(word)?.[1]
  const number = ofPage ?? (/^#?\d{1,15}$/.test(word) ? word.replace('#', '') : null)
  if (number !== null) lookedFor.push('a CI job or pipeline of GitLab')
  const ofCi =
    number === null
      ? []
      : await ciJobsWhere(db, or(eq(ciJobs.ciJobId, Number(number)), eq(ciJobs.pipelineId, Number(number)))!)
  if (ofPage !== undefined) return { targets: newestFirst(ofCi), lookedFor, job: null }

  // From what has an index to what has none: the whole of the deliveries is only looked through for what nothing else knew.
  lookedFor.push('the key of a delivery')
  found.push(...(await deliveriesWhere(db, eq(deliveries.key, word))))
  if (isId(word)) {
    lookedFor.unshift('the id of a delivery, run, job, attempt or report')
    found.push(...(await ciJobsWhere(db, eq(ciJobs.id, word))))
    found.push(...(await deliveriesWhere(db, eq(deliveries.id, word))))
    found.push(...(await runsWhere(db, eq(runs.id, word))))
    for (const table of [jobs, attempts, reports]) {
      const theirs = db.select({ id: table.runId }).from(table).where(eq(table.id, word))
      found.push(...(await runsWhere(db, inArray(runs.id, theirs))))
    }
  }
  const sha = isShaPrefix(word) ? word.toLowerCase() : null
  if (sha !== null) lookedFor.push('a commit')
  if (isNativeId(word)) lookedFor.push('the id of a job on its cluster')
  lookedFor.push('a branch')
  if (found.length > 0) return { targets: newestFirst(found), lookedFor, job: null }

  if (sha !== null) found.push(...(await runsAt(db, sha)))
  if (isNativeId(word)) {
    // `4711_3` is a task of the array 4711.
    const ids = [...new Set([word, word.replace(/[_[].*$/, '')])]
    const theirs = db.select({ id: attempts.runId }).from(attempts).where(inArray(attempts.nativeId, ids))
    found.push(...(await runsWhere(db, inArray(runs.id, theirs))))
  }
  found.push(...ofCi)
  const ref = fullRef(word)
  const ofRef = await db.select({ id: branches.id }).from(branches).where(eq(branches.ref, ref))
  for (const { id } of ofRef) found.push(...(await runsWhere(db, eq(runs.branchId, id))))
  const named = and(eq(deliveries.ref, ref), pushOrOpen)!
  const at = sha === null ? undefined : and(like(deliveries.sha, `${sha}%`), eq(deliveries.kind, 'push'))
  found.push(...(await deliveriesWhere(db, and(or(named, at), ledNowhere)!)))
  return { targets: newestFirst(found), lookedFor, job: null }
}

/** By the index over project and commit; `g` is the first letter behind those of a commit. */
async function runsAt(db: Db, sha: string): Promise<Target[]> {
  const known = await db.select({ id: projects.id }).from(projects)
  const found: Target[] = []
  for (const { id } of known)
    found.push(
      ...(await runsWhere(
        db,
        and(eq(runs.projectId, id), gte(runs.sha, sha), lt(runs.sha, `${sha}g`), like(runs.sha, `${sha}%`))!,
      )),
    )
  return found
}

/** `calc/heat mesh`, either way round. */
async function findJob(db: Db, one: string, other: string): Promise<Found> {
  const found: Target[] = []
  let job = other
  for (const [branch, name] of [
    [one, other],
    [other, one],
  ] as const) {
    if (found.length > 0) break
    job = name
    const theirs = db.select({ id: jobs.runId }).from(jobs).where(eq(jobs.name, name))
    const ofRef = await db
      .select({ id: branches.id })
      .from(branches)
      .where(eq(branches.ref, fullRef(branch)))
    for (const { id } of ofRef)
      found.push(...(await runsWhere(db, and(eq(runs.branchId, id), inArray(runs.id, theirs))!)))
  }
  return { targets: newestFirst(found), lookedFor: ['a branch and the name of a job on it'], job }
}

async function runsWhere(db: Db, condition: SQL): Promise<Target[]> {
  const found = await db
    .select({ id: runs.id, at: runs.createdAt })
    .from(runs)
    .where(condition)
    .orderBy(desc(runs.createdAt))
    .limit(most)
  return found.map(row => ({ kind: 'run', ...row }))
}

/** Those that have a run are told with it. */
async function ciJobsWhere(db: Db, condition: SQL): Promise<Target[]> {
  const found = await db
    .select({ id: ciJobs.id, run: ciJobs.runId, at: ciJobs.createdAt })
    .from(ciJobs)
    .where(condition)
    .orderBy(desc(ciJobs.createdAt))
    .limit(most)
  return found.map(({ id, run, at }) => (run === null ? { kind: 'ci', id, at } : { kind: 'run', id: run, at }))
}

async function deliveriesWhere(db: Db, condition: SQL): Promise<Target[]> {
  const found = await db
    .select({ id: deliveries.id, at: deliveries.receivedAt })
    .from(deliveries)
    .where(condition)
    .orderBy(desc(deliveries.receivedAt))
    .limit(most)
  return found.map(row => ({ kind: 'delivery', ...row }))
}

/** Those that started a run are told with it. */
const ledNowhere = sql`not exists (select 1 from runs r where r.project_id = deliveries.project_id and r.delivery_id = deliveries.id)`

/** The merge request's and the pipeline's own events about a branch are of interest only while nobody has acted on them. */
const pushOrOpen = sql`(deliveries.kind = 'push' or deliveries.done_at is null)`

function newestFirst(found: readonly Target[]): Target[] {
  const once = new Map(found.map(target => [`${target.kind} ${target.id}`, target]))
  return [...once.values()].sort((a, b) => b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : -1))
}

export function fullRef(word: string): string {
  return word.startsWith('refs/') ? word : `refs/heads/${word}`
}

/** A few figures alone are rather the id of a job. */
function isShaPrefix(word: string): boolean {
  return /^[0-9a-f]{4,64}$/i.test(word) && (word.length >= 7 || /[a-f]/i.test(word))
}

/** What schedulers give: `4711`, `4711_3`, `4711[3]`, `4711.server`, and ours on this machine `4711.123456`. */
function isNativeId(word: string): boolean {
  return /^\d[\w.[\]-]{0,63}$/.test(word)
}
