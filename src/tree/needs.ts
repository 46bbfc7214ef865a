import { isChosen, type MatrixInstance } from '../model/matrix.ts'
import type { BranchNeed } from '../model/needs.ts'

export interface NeedingElsewhere {
  readonly branch: string
  readonly job: string
  /** Jobs of the same run. */
  readonly needs: readonly string[]
  readonly others: readonly BranchNeed[]
  /** Of which job a matrix has made it. */
  readonly matrix?: MatrixInstance
}

/** Jobs of several branches that would wait for each other for ever, beginning with one of `branch`; null where there are none. Linear in jobs and needs. */
export function needCircle(branch: string, jobs: readonly NeedingElsewhere[]): string[] | null {
  const key = (of: string, job: string) => `${job} of ${of}`
  const made = Map.groupBy(
    jobs.filter(one => one.matrix !== undefined),
    one => key(one.branch, one.matrix!.of),
  )
  const meant = (need: BranchNeed) =>
    made
      .get(key(need.branch, need.job))
      ?.filter(one => isChosen(one.matrix!.values, need.matrix))
      .map(one => key(one.branch, one.job)) ?? [key(need.branch, need.job)]
  const edges = new Map(
    jobs.map(one => [
      key(one.branch, one.job),
      [...one.needs.map(job => key(one.branch, job)), ...one.others.flatMap(meant)],
    ]),
  )
  const done = new Set<string>()
  for (const start of jobs.filter(one => one.branch === branch && one.others.length > 0)) {
    const path: { name: string; next: number }[] = [{ name: key(branch, start.job), next: 0 }]
    const onPath = new Set([path[0]!.name])
    while (path.length > 0) {
      const top = path[path.length - 1]!
      const needed = edges.get(top.name)?.[top.next++]
      if (needed === undefined) {
        path.pop()
        onPath.delete(top.name)
        done.add(top.name)
      } else if (onPath.has(needed)) {
        const names = path.map(step => step.name)
        return [...names.slice(names.indexOf(needed)), needed]
      } else if (!done.has(needed)) {
        onPath.add(needed)
        path.push({ name: needed, next: 0 })
      }
    }
  }
  return null
}
