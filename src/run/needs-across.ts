import type { Context } from '../context.ts'
import { jobNeeds } from '../model/needs.ts'
import { needsAcross } from '../store/branch-needs.ts'
import { shortBranch } from '../store/runs.ts'
import { needCircle } from '../tree/needs.ts'
import { type Computation, refuseJob } from './computation.ts'
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
  if (first === undefined) return read
  const others = (await needsAcross(context.db, child.project.id)).filter(job => job.branch !== branch)
  const own = specs.map(job => ({
    branch,
    job: job.name,
    needs: jobNeeds(job.needs).map(need => need.job),
    others: job.branch_needs ?? [],
    ...(job.matrix === undefined ? {} : { matrix: job.matrix }),
  }))
  const circle = needCircle(branch, [...own, ...others])
  if (circle === null) return read
  return refuseJob(read, first, 'needs', {
    message: `These jobs wait for each other for ever: ${circle.join(' needs ')}.`,
    remedy: 'Take one of them out of `needs`.',
  })
}
