import type { Context } from '../context.ts'
import { jobNeeds } from '../model/needs.ts'
import { type NeedingAcross, needsAcross } from '../store/branch-needs.ts'
import { shortBranch } from '../store/runs.ts'
import { needCircle } from '../tree/needs.ts'
import { type Computation, refuseJob, refuseParent } from './computation.ts'
import { type Child, whyNotNamed } from './parent.ts'

/** A file whose jobs need jobs of other branches: these must be computation branches, and nobody may wait for itself by way of them. */
export async function refuseNeeds(context: Context, child: Child, read: Computation): Promise<Computation> {
  const branch = shortBranch(child.branch.ref)
  const specs = read.spec?.jobs ?? []
  for (const job of specs)
    for (const { branch: other, job: name } of job.branch_needs ?? []) {
      if (other === branch)
        return refuseJob(read, job, 'needs', {
          message: `The job ${job.name} needs ${name} of ${other}, which is this branch.`,
          remedy: `Write \`needs: [${name}]\`.`,
        })
      const isNot = await whyNotNamed(context, child, other)
      if (isNot !== null)
        return refuseJob(read, job, 'needs', {
          message: `The job ${job.name} needs ${name} of ${other}, but ${other} ${isNot}.`,
          remedy: 'Push that branch first, or correct the name.',
        })
    }
  const first = specs.find(job => (job.branch_needs ?? []).length > 0)
  const parent = parentOf(child, read)
  if (first === undefined && parent === null) return read
  const others = (await needsAcross(context.db, child.project.id)).filter(job => job.branch !== branch)
  const own = specs.map(job => ({
    branch,
    job: job.name,
    needs: jobNeeds(job.needs).map(need => need.job),
    others: job.branch_needs ?? [],
    parent,
    ended: false,
    ...(job.matrix === undefined ? {} : { matrix: job.matrix }),
  }))
  const circle = needCircle(branch, withParents([...own, ...others]))
  if (circle === null) return read
  if (first === undefined)
    return refuseParent(read, {
      message: `With the parent ${parent} jobs wait for each other for ever: ${circle.join(' needs ')}.`,
      remedy: 'Take one of them out of `needs`, or compute this branch without that parent.',
    })
  return refuseJob(read, first, 'needs', {
    message: `These jobs wait for each other for ever: ${circle.join(' needs ')}.`,
    remedy: 'Take one of them out of `needs`.',
  })
}

/** Whose end its run will wait for, as far as is known before it is written. */
function parentOf(child: Child, { spec }: Computation): string | null {
  if (spec === null) return null
  if (spec.parent !== null) return spec.parent
  return spec.onStale === 'rerun' || spec.jobs.some(job => (job.inputs ?? []).length > 0)
    ? child.branch.parentBranch
    : null
}

/** A run that waits for its parent waits for each job of the parent's run that is under way. */
function withParents(all: readonly NeedingAcross[]): NeedingAcross[] {
  const open = Map.groupBy(
    all.filter(one => !one.ended),
    one => one.branch,
  )
  return all.map(one => {
    const jobs = one.parent === null ? [] : (open.get(one.parent) ?? [])
    return {
      ...one,
      others: [...one.others, ...jobs.map(({ branch, job }) => ({ branch, job, kind: 'any' as const }))],
    }
  })
}
