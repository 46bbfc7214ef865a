import { sql } from 'drizzle-orm'
import type { JobState } from '../model/job-state.ts'
import { choiceInWords, isChosen, type MatrixInstance } from '../model/matrix.ts'
import { type BranchNeed, branchNeedInWords, needStands } from '../model/needs.ts'
import { type Db, rows } from './open.ts'
import { shortBranch } from './runs.ts'

interface NeededRow {
  ref: string
  life: 'active' | 'gone'
  head_sha: string | null
  run_id: string | null
  ended_at: Date | string | null
  job: string | null
  matrix: MatrixInstance | null
  state: JobState
  begun: boolean
}

export type BranchNeedsStand =
  | { readonly kind: 'met' }
  | { readonly kind: 'waits'; readonly for: readonly string[] }
  | { readonly kind: 'never'; readonly because: string }

/** How what is needed of other branches stands, by the runs that these show at this moment. */
export async function branchNeedsStand(
  db: Db,
  projectId: number,
  needs: readonly BranchNeed[],
): Promise<BranchNeedsStand> {
  const refs = [...new Set(needs.map(need => `refs/heads/${need.branch}`))]
  const names = [...new Set(needs.map(need => need.job))]
  const list = (values: readonly string[]) =>
    sql.join(
      values.map(value => sql`${value}`),
      sql`, `,
    )
  const found = await rows<NeededRow>(
    db,
    sql`select b.ref, b.state as life, b.head_sha, r.id as run_id, r.ended_at, j.name as job, j.spec->'matrix' as matrix, j.state,
        exists (select 1 from attempts a where a.job_id = j.id and a.started_at is not null) as begun
      from branches b left join runs r on r.id = b.latest_run_id left join jobs j on j.run_id = r.id
        and (j.name in (${list(names)}) or j.spec->'matrix'->>'of' in (${list(names)}))
      where b.project_id = ${projectId} and b.ref in (${list(refs)})`,
  )
  const waits: string[] = []
  for (const need of needs) {
    const stands = standOf(
      need,
      found.filter(row => shortBranch(row.ref) === need.branch),
    )
    if (stands === 'open') waits.push(branchNeedInWords(need))
    else if (stands !== 'met') return { kind: 'never', because: stands.never }
  }
  return waits.length > 0 ? { kind: 'waits', for: waits } : { kind: 'met' }
}

function standOf(need: BranchNeed, found: readonly NeededRow[]): 'met' | 'open' | { readonly never: string } {
  const branch = found[0]
  if (branch === undefined) return { never: `there is no branch ${need.branch}` }
  if (branch.run_id === null)
    // Pushed together with this one, it may be read a moment later.
    return branch.life === 'active' && branch.head_sha === null
      ? 'open'
      : { never: `${need.branch} has not been computed` }
  const own = found.filter(row => row.job === need.job)
  const made = found.filter(row => row.matrix?.of === need.job && isChosen(row.matrix.values, need.matrix))
  const needed = own.length > 0 ? own : made
  if (needed.length === 0) return { never: `${need.branch} has no job ${need.job}${choiceInWords(need.matrix)}` }
  let open = false
  for (const { job, state, begun } of needed) {
    const stands = needStands(need.kind, { state, begun })
    if (typeof stands === 'object') return { never: `${job} of ${need.branch} ${stands.never}` }
    open ||= stands === 'open'
  }
  return open ? 'open' : 'met'
}

export interface NeedingAcross {
  readonly branch: string
  readonly job: string
  readonly needs: readonly string[]
  readonly others: readonly BranchNeed[]
  readonly matrix?: MatrixInstance
  /** Whose end its run waits for as a whole; null where it waits for no parent. */
  readonly parent: string | null
  readonly ended: boolean
}

/** Edges of what waits for what across branches: from a job of the run that a branch shows to the jobs that it needs. For finding circles. */
export async function needsAcross(db: Db, projectId: number): Promise<NeedingAcross[]> {
  const found = await rows<{
    ref: string
    name: string
    needs: readonly (string | { job: string })[]
    others: readonly BranchNeed[] | null
    matrix: MatrixInstance | null
    parent: string | null
    ended: boolean
  }>(
    db,
    sql`select b.ref, j.name, j.spec->'needs' as needs, j.spec->'branch_needs' as others, j.spec->'matrix' as matrix,
        case when r.parent_gate = 'waits' then r.parent->>'branch' end as parent, r.ended_at is not null as ended
      from branches b join runs r on r.id = b.latest_run_id join jobs j on j.run_id = r.id
      where b.project_id = ${projectId} and b.state = 'active'
        and (r.parent_gate = 'waits' or exists (select 1 from jobs o where o.run_id = r.id and o.spec->'branch_needs' is not null))`,
  )
  return found.map(row => ({
    branch: shortBranch(row.ref),
    job: row.name,
    needs: row.needs.map(need => (typeof need === 'string' ? need : need.job)),
    others: row.others ?? [],
    parent: row.parent,
    ended: row.ended,
    ...(row.matrix === null ? {} : { matrix: row.matrix }),
  }))
}
