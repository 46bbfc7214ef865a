/** A plan for a terminal. */
import type { PlanAnswer } from '../model/api.ts'
import { formatResource, type ResourceName, resourceKeys } from '../model/resources.ts'
import { countOf, formatNumber } from './amounts.ts'
import { type Cell, columns } from './columns.ts'
import { createPaint, safe } from './paint.ts'
import { plain } from './plain.ts'

export interface PlanStyle {
  readonly colour?: boolean
  readonly width?: number | undefined
  /** Also the script of each job, with where its lines came from. */
  readonly scripts: boolean
}

export function renderPlan(plan: PlanAnswer, { colour = false, width, scripts }: PlanStyle): string {
  const paint = createPaint(colour)
  const title = `  ${paint('bold', safe(plan.branch, 120))} at ${plan.sha.slice(0, 8)}`
  if (plan.explained !== null) return `\n${title}: ${paint('bad', 'it would not run')}\n\n${plain(plan.explained)}\n\n`
  const head: Cell[] = ['JOB', 'CLUSTER', 'NEEDS', 'ASKS FOR', 'AT MOST'].map(text => ['dim', text] as const)
  const body = plan.jobs.map((job): Cell[] => [
    `${safe(job.name, 64)}${job.tasks === null ? '' : ` [${safe(job.tasks, 40)}]`}`,
    safe(job.cluster, 40),
    safe(job.needs.join(', ') || '-', 80),
    safe(asked(job.resources) || '-', 200),
    costInWords(job.cost),
  ])
  const lines = ['', `${title}: ${countOf(plan.jobs.length, 'job')}, at most ${costInWords(plan.cost)}`, '']
  lines.push(...columns([head, ...body], paint, width), '')
  for (const job of plan.jobs) {
    if (job.problem !== null) lines.push(`  ${paint('bad', `${safe(job.name)}: ${safe(job.problem)}`)}`, '')
    if (!scripts) continue
    lines.push(`  ${paint('bold', safe(job.name))}`)
    const rows = job.script.map((line): Cell[] => [
      shown(line.text),
      ['dim', line.from === null ? '' : `← ${safe(line.from)}`],
    ])
    lines.push(...columns(rows, paint).map(line => `  ${line}`), '')
  }
  for (const notice of plan.notices) lines.push(`  ${paint('warn', safe(notice))}`)
  if (plan.approval !== null) lines.push(`  ${paint('warn', `It would be held: ${safe(plain(plan.approval), 300)}.`)}`)
  if (plan.refused !== null) lines.push(`  ${paint('warn', `A push would run nothing: ${safe(plan.refused)}.`)}`)
  return `${lines.join('\n').replace(/\n+$/, '')}\n\n`
}

/** Keeps what stands in front. */
function shown(line: string): string {
  return `${/^\s*/.exec(line.replaceAll('\t', '    '))?.[0] ?? ''}${safe(line, 200)}`
}

function asked(resources: PlanAnswer['jobs'][number]['resources']): string {
  return Object.entries(resources)
    .map(([key, value]) => {
      const known = Object.hasOwn(resourceKeys, key)
      return `${key} ${known ? formatResource(key as ResourceName, value as never) : JSON.stringify(value)}`
    })
    .join(', ')
}

function costInWords({ core_hours, gpu_hours, unknown }: PlanAnswer['cost']): string {
  const round = (value: number) => formatNumber(Math.round(value * 100) / 100)
  const parts = [`${round(core_hours)} core-h`, ...(gpu_hours > 0 ? [`${round(gpu_hours)} GPU-h`] : [])]
  return `${parts.join(', ')}${unknown.length === 0 ? '' : ` and what ${countOf(unknown.length, 'job')} without a time limit take`}`
}
