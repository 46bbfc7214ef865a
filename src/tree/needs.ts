import type { BranchNeed } from '../model/needs.ts'

export interface NeedingElsewhere {
  readonly branch: string
  readonly job: string
  /** Jobs of the same run. */
  readonly needs: readonly string[]
  readonly others: readonly BranchNeed[]
}

/** Jobs of several branches that would wait for each other for ever, beginning with one of `branch`; null where there are none. Linear in jobs and needs. */
export function needCircle(branch: string, jobs: readonly NeedingElsewhere[]): string[] | null {
  const key = (of: string, job: string) => `${job} of ${of}`
  const edges = new Map(
    jobs.map(one => [
      key(one.branch, one.job),
      [...one.needs.map(job => key(one.branch, job)), ...one.others.map(need => key(need.branch, need.job))],
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
