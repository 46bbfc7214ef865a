import { join } from '../config/fields.ts'
import { quote } from '../config/yaml.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { jobNeeds, shortNeed } from '../model/needs.ts'
import type { JobLevel } from './job.ts'
import type { Problems } from './problems.ts'
import { checkNames, type Decision, decide, type Rule, type RuleFacts, type When } from './rules.ts'

/** A job that is not there on this occasion. */
export interface LeftOut {
  readonly name: string
  /** e.g. `its rule does not apply` */
  readonly why: string
}

/**
 * The jobs that their `rules` leave in: of a file that is right as a whole, whatever the occasion. Without facts all are there. A need of a job that is not there
 * is a mistake, unless it is `optional`; with `when: always` a job waits for the end of what it needs, not for its success.
 */
export function presentJobs(
  jobs: readonly JobSpec[],
  levels: readonly JobLevel[],
  facts: RuleFacts | null,
  problems: Problems,
  notices: string[],
  leftOut: LeftOut[],
): JobSpec[] {
  const byName = new Map(levels.map(level => [level.name, level]))
  const whens = new Map<string, When>()
  for (const job of jobs) {
    const level = byName.get(job.name)
    const rules = level?.rules?.value ?? null
    if (level !== undefined && rules !== null) checkNames(rules, job.env, level.path, problems.report)
    const decision = rules === null || facts === null ? null : decide(rules, job.env, facts)
    whens.set(job.name, decision?.when ?? 'on_success')
    if (decision?.when === 'never') leftOut.push({ name: job.name, why: whyNot(decision, rules!) })
  }
  if (leftOut.length > 0) {
    const shown = leftOut.slice(0, 5).map(({ name, why }) => `${name} (${why})`)
    const more = leftOut.length > shown.length ? [`${leftOut.length - shown.length} more`] : []
    notices.push(`left out by their rules: ${[...shown, ...more].join(', ')}`)
  }
  return jobs
    .filter(job => whens.get(job.name) !== 'never')
    .map(job => {
      const { needs: written, path } = byName.get(job.name) ?? {}
      const needs = job.needs.flatMap(stored => {
        const [need] = jobNeeds([stored])
        if (need === undefined) return [stored]
        if (whens.get(need.job) !== 'never')
          return whens.get(job.name) === 'always' && need.kind === 'afterok'
            ? [shortNeed({ ...need, kind: 'any' })]
            : [stored]
        const place = written?.value.find(one => one.value.job === need.job)
        if (place !== undefined && !place.optional)
          problems.report(
            place.place,
            join(path ?? '', 'needs'),
            `${quote(job.name)} needs ${quote(need.job)}, which its \`rules\` leave out of this run.`,
            `Write \`{ job: ${need.job}, optional: true }\`, or give both the same \`rules\`.`,
          )
        return []
      })
      return { ...job, needs }
    })
}

function whyNot({ by }: Decision, rules: readonly Rule[]): string {
  if (by !== null) return `never, says ${by.place.file ?? '.compops.yml'} line ${by.place.line}`
  return rules.length === 1 ? 'its rule does not apply' : `none of its ${rules.length} rules applies`
}
