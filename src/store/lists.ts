/** Lists for people: runs and branches of a project, page by page. */
import { type SQL, sql } from 'drizzle-orm'
import { type JobState, runStateOrder } from '../model/job-state.ts'
import type { StaleMark } from '../model/parent.ts'
import { ofCiJob } from './ci-jobs.ts'
import { type Db, rows } from './open.ts'
import { finalStates } from './runs.ts'

export interface ListedRun {
  readonly id: string
  readonly ref: string
  readonly sha: string
  readonly subject: string | null
  readonly state: JobState
  readonly jobs: Readonly<Partial<Record<JobState, number>>>
  readonly cause: string
  readonly causedBy: { readonly id: number; readonly username: string; readonly name: string } | null
  readonly causedHow: string
  readonly parent: { readonly branch: string; readonly why: string } | null
  readonly problem: string | null
  readonly createdAt: Date
  readonly endedAt: Date | null
  readonly supersededBy: string | null
}

export interface RunsAsked {
  readonly projectId: number
  readonly ref?: string | undefined
  readonly state?: JobState | undefined
  /** A commit, or its first letters. */
  readonly sha?: string | undefined
  /** The last id of the page before. */
  readonly after?: string | undefined
  readonly limit: number
}

/** Newest first: ids grow with time. */
export async function listRuns(db: Db, { projectId, ref, state, sha, after, limit }: RunsAsked): Promise<ListedRun[]> {
  const conditions = [sql`r.project_id = ${projectId}`]
  if (ref !== undefined)
    conditions.push(sql`r.branch_id in (select id from branches where project_id = ${projectId} and ref = ${ref})`)
  if (after !== undefined) conditions.push(sql`r.id < ${after}::uuid`)
  // By the index over project and commit; `g` is the first letter behind those of a commit.
  if (sha !== undefined) conditions.push(sql`r.sha >= ${sha} and r.sha < ${`${sha}g`} and starts_with(r.sha, ${sha})`)
  if (state !== undefined) {
    // What has ended has its state in the row, and of what has not there are few.
    if (finalStates.includes(state)) conditions.push(sql`r.ended_at is not null and r.state = ${state}`)
    else conditions.push(sql`r.ended_at is null and ${stateOf} = ${state}`)
  }
  return (await runsWhere(db, sql.join(conditions, sql` and `), sql`order by r.id desc limit ${limit}`)).map(toListed)
}

export async function listedRun(db: Db, id: string): Promise<ListedRun | null> {
  const [found] = await runsWhere(db, sql`r.id = ${id}`, sql``)
  return found === undefined ? null : toListed(found)
}

/** Runs of several projects, newest first: those under way, those with jobs that wait for a person, those that failed within a day, or all. */
export async function runsOfProjects(
  db: Db,
  projectIds: readonly number[],
  which: 'under way' | 'held' | 'failed lately' | 'newest',
  limit: number,
): Promise<(ListedRun & { readonly projectId: number })[]> {
  if (projectIds.length === 0) return []
  const chosen = {
    'under way': sql`r.ended_at is null and r.superseded_by is null`,
    held: sql`r.ended_at is null and exists (select 1 from jobs h where h.run_id = r.id and h.hold is not null and h.state not in ${finalStates})`,
    'failed lately': sql`r.ended_at > now() - interval '24 hours' and r.state = 'failed'`,
    newest: sql`true`,
  }[which]
  const found = await rows<RunFields & { project_id: number | string }>(
    db,
    sql`select r.project_id, ${runColumns} from runs r ${withStates}
      where r.project_id in ${[...projectIds]} and ${chosen} order by r.id desc limit ${limit}`,
  )
  return found.map(row => ({ ...toListed(row), projectId: Number(row.project_id) }))
}

const stateOf = sql`coalesce(s.state, r.state)`

async function runsWhere(db: Db, condition: SQL, end: SQL): Promise<RunFields[]> {
  return rows<RunFields>(db, sql`select ${runColumns} from runs r ${withStates} where ${condition} ${end}`)
}

/** The state that most deserves a look, as `runState` has it, and how many jobs stand in each. */
const withStates = sql`left join lateral (
    select (array_agg(one.state order by array_position(${`{${runStateOrder.join(',')}}`}::text[], one.state)))[1] as state, jsonb_object_agg(one.state, one.n) as jobs
    from (select j.state, count(*)::integer as n from jobs j where j.run_id = r.id group by j.state) one
  ) s on true`

const runColumns = sql`r.id, r.ref, r.sha, r.commit ->> 'subject' as subject, ${stateOf} as state, s.jobs, r.cause, r.caused_by, r.caused_how, r.parent, r.problem,
  r.created_at, r.ended_at, r.superseded_by`

interface RunFields {
  readonly id: string
  readonly ref: string
  readonly sha: string
  readonly subject: string | null
  readonly state: JobState
  readonly jobs: ListedRun['jobs'] | null
  readonly cause: string
  readonly caused_by: ListedRun['causedBy']
  readonly caused_how: string
  readonly parent: ListedRun['parent']
  readonly problem: string | null
  readonly created_at: Date | string
  readonly ended_at: Date | string | null
  readonly superseded_by: string | null
}

function toListed(row: RunFields): ListedRun {
  return {
    ...{ id: row.id, ref: row.ref, sha: row.sha, subject: row.subject, state: row.state, jobs: row.jobs ?? {} },
    ...{ cause: row.cause, causedBy: row.caused_by, causedHow: row.caused_how, parent: row.parent },
    problem: row.problem,
    createdAt: new Date(row.created_at),
    endedAt: row.ended_at === null ? null : new Date(row.ended_at),
    supersededBy: row.superseded_by,
  }
}

export interface ListedBranch {
  readonly ref: string
  readonly state: 'active' | 'gone'
  readonly headSha: string | null
  /** Its place in the tree; null where it has no parent, or nobody has looked yet. */
  readonly parent: { readonly branch: string; readonly why: string } | null
  readonly stale: StaleMark | null
  readonly run: ListedRun | null
}

/** Living computation branches (those that ever had a run) by name; `gone`: the deleted ones too. */
export async function listBranches(
  db: Db,
  asked: {
    readonly projectId: number
    readonly gone?: boolean
    /** The last ref of the page before. */
    readonly after?: string | undefined
    readonly limit: number
  },
): Promise<ListedBranch[]> {
  const { projectId, gone = false, after = '', limit } = asked
  return branchesWhere(
    db,
    sql`b.project_id = ${projectId} and b.ref collate "C" > ${after} and not ${ofCiJob(sql`b.ref`)} ${gone ? sql`` : sql`and b.state = 'active'`}`,
    limit,
  )
}

export async function branchAsListed(db: Db, projectId: number, ref: string): Promise<ListedBranch | null> {
  return (await branchesWhere(db, sql`b.project_id = ${projectId} and b.ref = ${ref}`, 1))[0] ?? null
}

type BranchFields = Omit<RunFields, 'id'> & {
  readonly id: string | null
  readonly branch_ref: string
  readonly branch_state: 'active' | 'gone'
  readonly head_sha: string | null
  readonly parent_branch: string | null
  readonly parent_why: string | null
  readonly stale: StaleMark | null
}

async function branchesWhere(db: Db, condition: SQL, limit: number): Promise<ListedBranch[]> {
  const found = await rows<BranchFields>(
    db,
    sql`select b.ref as branch_ref, b.state as branch_state, b.head_sha, b.parent_branch, b.parent_why, b.stale, ${runColumns}
      from branches b left join runs r on r.id = b.latest_run_id ${withStates}
      where ${condition} and exists (select 1 from runs one where one.branch_id = b.id)
      order by b.ref collate "C" limit ${limit}`,
  )
  return found.map(row => ({
    ref: row.branch_ref,
    state: row.branch_state,
    headSha: row.head_sha,
    parent: row.parent_branch === null ? null : { branch: row.parent_branch, why: row.parent_why ?? '' },
    stale: row.stale,
    run: row.id === null ? null : toListed({ ...row, id: row.id }),
  }))
}
