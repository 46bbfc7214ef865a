import { and, eq, type SQL, sql } from 'drizzle-orm'
import { type JobState, runState } from '../model/job-state.ts'
import type { ParentBy, ParentChoice, StaleMark } from '../model/parent.ts'
import type { BranchNode, ComputedFrom } from '../tree/node.ts'
import { type Around, around, aroundNode, childrenByParent, mostSiblings, smallTree } from '../tree/shape.ts'
import { ofCiJob } from './ci-jobs.ts'
import { type Db, first, rows } from './open.ts'
import { shortBranch } from './runs.ts'
import { branches, projects } from './schema.ts'

interface NodeRow {
  ref: string
  life: 'active' | 'gone'
  head_sha: string | null
  parent_branch: string | null
  parent_by: ParentBy | null
  parent_why: string | null
  stale: StaleMark | null
  around: string | null
  merged: boolean
  mr_iid: number | null
  mr_target: string | null
  run_id: string | null
  run_sha: string
  run_state: JobState
  job_states: readonly JobState[] | null
  run_created_at: Date | string
  run_ended_at: Date | string | null
  run_parent: string | null
  run_parent_run: string | null
  run_parent_ended_at: Date | string | null
  result_id: string | null
  result_sha: string
  result_ended_at: Date | string
  result_parent: string | null
  result_parent_run: string | null
  result_parent_ended_at: Date | string | null
}

export interface StoredNode extends BranchNode {
  /** What its pages were last made for, see `aroundInBrief`. */
  readonly around: string | null
}

const time = (value: Date | string) => new Date(value)
const timeOrNull = (value: Date | string | null) => (value === null ? null : new Date(value))

/**
 * The computation branches of a project: those of which there is a run, and those that are somebody's parent. Also what is gone: it keeps its place.
 * One statement, whatever the size of the tree.
 */
export async function loadTree(db: Db, projectId: number): Promise<StoredNode[]> {
  return loadNodes(db, inTree(projectId))
}

/** A branch with what its pages show around it: a small tree whole, of a large one its parent, its children and some siblings. null where nothing is known of it. */
export async function loadAround(db: Db, projectId: number, branch: string): Promise<Around | null> {
  const ref = `refs/heads/${branch}`
  const size = await first<{ nodes: number | string; siblings: number | string }>(
    db,
    sql`select (select count(*) from branches b where ${inTree(projectId)}) as nodes,
        (select count(*) from branches s join branches o on o.project_id = s.project_id and o.parent_branch = s.parent_branch and o.ref <> s.ref
          where o.project_id = ${projectId} and o.ref = ${ref}) as siblings`,
  )
  if (Number(size?.nodes ?? 0) <= smallTree) {
    const mine = sql`(b.project_id = ${projectId} and b.ref = ${ref})`
    return around(branch, await loadNodes(db, sql`(${inTree(projectId)} or ${mine})`))
  }
  const nodes = await loadNodes(
    db,
    sql`b.project_id = ${projectId} and (b.ref = ${ref} or b.parent_branch = ${branch}
        or b.ref = (select 'refs/heads/' || s.parent_branch from branches s where s.project_id = ${projectId} and s.ref = ${ref})
        or b.ref in (select s.ref from branches s join branches o on o.project_id = s.project_id and o.parent_branch = s.parent_branch and o.ref <> s.ref
          where o.project_id = ${projectId} and o.ref = ${ref} order by s.ref limit ${mostSiblings}))`,
  )
  const node = nodes.find(one => one.branch === branch)
  const siblingCount = Number(size?.siblings ?? 0)
  return node === undefined ? null : aroundNode(node, nodes, childrenByParent(nodes), { siblingCount, isWhole: false })
}

/** Branches of which there is a run, and those that are somebody's parent. */
function inTree(projectId: number): SQL {
  return sql`(b.project_id = ${projectId} and not ${ofCiJob(sql`b.ref`)} and (b.latest_run_id is not null
        or exists (select 1 from branches c where c.project_id = b.project_id and c.parent_branch = substr(b.ref, 12))))`
}

async function loadNodes(db: Db, chosen: SQL): Promise<StoredNode[]> {
  const found = await rows<NodeRow>(
    db,
    sql`select b.ref, b.state as life, b.head_sha, b.parent_branch, b.parent_by, b.parent_why, b.stale, b.around,
        b.state = 'gone' and exists (select 1 from merge_requests g where g.project_id = b.project_id and g.source_project_id = b.project_id
          and g.source_branch = substr(b.ref, 12) and g.state = 'merged') as merged,
        m.iid as mr_iid, m.target_branch as mr_target,
        r.id as run_id, r.sha as run_sha, r.state as run_state, r.created_at as run_created_at, r.ended_at as run_ended_at,
        r.parent->>'branch' as run_parent, r.parent_run_id as run_parent_run, r.parent_ended_at as run_parent_ended_at,
        case when r.ended_at is null then (select json_agg(distinct j.state) from jobs j where j.run_id = r.id) end as job_states,
        o.id as result_id, o.sha as result_sha, o.ended_at as result_ended_at,
        o.parent->>'branch' as result_parent, o.parent_run_id as result_parent_run, o.parent_ended_at as result_parent_ended_at
      from branches b
      left join runs r on r.id = b.latest_run_id
      left join lateral (select m.iid, m.target_branch from merge_requests m where m.project_id = b.project_id
          and m.source_project_id = b.project_id and m.source_branch = substr(b.ref, 12) and m.state = 'opened' order by m.iid limit 1) m on true
      left join lateral (select o.id, o.sha, o.ended_at, o.parent, o.parent_run_id, o.parent_ended_at from runs o where o.branch_id = b.id and o.state = 'completed' and o.ended_at is not null
          order by (o.id = b.latest_run_id) desc, o.created_at desc, o.id desc limit 1) o on true
      where ${chosen}
      order by b.ref`,
  )
  return found.map(row => ({
    branch: shortBranch(row.ref),
    ref: row.ref,
    life: row.merged ? 'merged' : row.life,
    headSha: row.head_sha,
    parent: placeOf({ parentBranch: row.parent_branch, parentBy: row.parent_by, parentWhy: row.parent_why }),
    run:
      row.run_id === null
        ? null
        : {
            id: row.run_id,
            sha: row.run_sha,
            state: row.job_states === null ? row.run_state : runState(row.job_states),
            createdAt: time(row.run_created_at),
            endedAt: timeOrNull(row.run_ended_at),
            from: fromOf(row.run_parent, row.run_parent_run, row.run_parent_ended_at),
          },
    result:
      row.result_id === null
        ? null
        : {
            id: row.result_id,
            sha: row.result_sha,
            endedAt: time(row.result_ended_at),
            from: fromOf(row.result_parent, row.result_parent_run, row.result_parent_ended_at),
          },
    stale: row.stale,
    around: row.around,
    mergeRequest: row.mr_iid === null ? null : { iid: Number(row.mr_iid), target: row.mr_target ?? '' },
  }))
}

function fromOf(branch: string | null, run: string | null, endedAt: Date | string | null): ComputedFrom | null {
  return branch === null ? null : { branch, run, endedAt: timeOrNull(endedAt) }
}

/** Parents as they are known now, under a lock that whoever changes one takes: two branches cannot become each other's parents at the same moment. */
export async function lockParents(tx: Db, projectId: number): Promise<Map<string, { branch: string; by: ParentBy }>> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`tree ${projectId}`}, 0))`)
  const found = await rows<{ ref: string; parent_branch: string; parent_by: ParentBy }>(
    tx,
    sql`select ref, parent_branch, parent_by from branches where project_id = ${projectId} and parent_branch is not null and parent_by is not null`,
  )
  return new Map(found.map(row => [shortBranch(row.ref), { branch: row.parent_branch, by: row.parent_by }]))
}

/** Writes where a branch hangs, and says that the tree may have changed. */
export async function saveParent(
  tx: Db,
  branch: { readonly projectId: number; readonly ref: string },
  parent: ParentChoice | null,
  why: string,
): Promise<void> {
  await tx
    .update(branches)
    .set({ parentBranch: parent?.branch ?? null, parentBy: parent?.by ?? null, parentWhy: parent?.why ?? why })
    .where(and(eq(branches.projectId, branch.projectId), eq(branches.ref, branch.ref)))
  await touchTree(tx, branch.projectId)
}

/** Says that something which stale marks and pages of other branches follow from has changed. */
export async function touchTree(db: Db, projectId: number): Promise<void> {
  await db
    .update(projects)
    .set({ treeVersion: sql`${projects.treeVersion} + 1` })
    .where(eq(projects.id, projectId))
}

/** Where the row says that a branch hangs. */
export function placeOf(
  row: Pick<typeof branches.$inferSelect, 'parentBranch' | 'parentBy' | 'parentWhy'>,
): ParentChoice | null {
  if (row.parentBranch === null || row.parentBy === null) return null
  return { branch: row.parentBranch, by: row.parentBy, why: row.parentWhy ?? '' }
}
