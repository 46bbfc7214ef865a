import { join } from '../config/fields.ts'
import { quote } from '../config/yaml.ts'
import type { JobSpec } from '../model/job-spec.ts'
import type { JobLevel } from './job.ts'
import type { Problems } from './problems.ts'

/** A job that gates a merge waits for what it needs: something that gates nothing would gate after all, behind its back. */
export function checkGates(levels: readonly JobLevel[], jobs: readonly JobSpec[], problems: Problems): void {
  const free = new Set(jobs.filter(job => job.gate === false).map(job => job.name))
  if (free.size === 0) return
  for (const job of jobs) {
    if (job.gate === false) continue
    const level = levels.find(one => one.name === job.name)
    for (const need of level?.needs?.value ?? []) {
      if (!free.has(need.value.job)) continue
      problems.report(
        need.place,
        join(level!.path, 'needs'),
        `${quote(job.name)} gates a merge and needs ${quote(need.value.job)}, which says \`gate: false\`.`,
        `Write \`gate: false\` in ${quote(job.name)} too, or take it out of ${quote(need.value.job)}.`,
      )
    }
  }
}
