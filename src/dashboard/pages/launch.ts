import { randomUUID } from 'node:crypto'
import { Refusal } from '../../auth/refusal.ts'
import type { Context } from '../../context.ts'
import { CompopsError } from '../../errors.ts'
import type { PlanAnswer } from '../../model/api.ts'
import { formatResource, type ResourceName, resourceKeys } from '../../model/resources.ts'
import { costInWords } from '../../render/approval.ts'
import { plain } from '../../render/plain.ts'
import { type BranchToPlan, planBranch } from '../../run/plan-branch.ts'
import { loadTree } from '../../store/tree.ts'
import { Html, render } from '../template.ts'
import { addressesOf, type PageKind } from './site.ts'
import { askedInWords } from './words.ts'

/** Of a file with more jobs the others are changed by what is written below the form. */
const mostJobs = 12
const mostSettings = 100
/** A screen of scripts; the whole is what `compops plan --scripts` prints. */
const mostPlanned = 40

/** What the form is about and what was changed in it, as it stands in the address: `?branch=calc/heat&set=solve.degree=12&set=mem=8G`. */
export interface Launch {
  readonly branch: string
  /** `key=value`, in the order in which they hold. */
  readonly set: readonly string[]
}

export function readLaunch(query: URLSearchParams): Launch {
  const set = query.getAll('set').filter(one => one !== '' && one.length <= 1_200)
  return { branch: (query.get('branch') ?? '').trim().slice(0, 500), set: set.slice(0, mostSettings) }
}

export function launchQuery({ branch, set }: Launch): string {
  return new URLSearchParams([['branch', branch], ...set.map(one => ['set', one])] as [string, string][]).toString()
}

/** The settings by key; the later holds. `wrong`: what is none. */
export function settingsOf(set: readonly string[]): {
  readonly values: Record<string, string>
  readonly wrong: string[]
} {
  const values = new Map<string, string>()
  const wrong: string[] = []
  for (const one of set) {
    const [, key, value] = /^([A-Za-z0-9_][A-Za-z0-9_.-]{0,199})=([\s\S]*)$/.exec(one) ?? []
    if (key === undefined) wrong.push(one)
    else {
      // Said again it comes last.
      values.delete(key)
      values.set(key, value!)
    }
  }
  return { values: Object.fromEntries(values), wrong }
}

/** `degree=12 solve.mem=8G`, over lines and beside each other, as for Hydra; a value goes on until another key begins. */
export function readSettings(text: string): string[] {
  return text
    .split(/\r?\n/)
    .flatMap(line => line.split(/\s+(?=[A-Za-z0-9_][\w.-]*=)/))
    .map(one => one.trim())
    .filter(one => one !== '')
}

/** As a run that it starts would be read. */
export function planOf(context: Context, asked: BranchToPlan): Promise<PlanAnswer> {
  return planBranch(context, { ...asked, cause: 'api:plan' })
}

/** One thing of a job that the form lets change. */
export interface Field {
  /** As an override has it: `solve.params.degree`. */
  readonly key: string
  readonly label: string
  readonly value: string
  readonly from: string | null
  readonly meaning: string | null
}

/** What can be changed of each job, as its file has it. */
export function fieldsOf(job: PlanAnswer['jobs'][number]): Field[] {
  const has = new Map(job.values.map(one => [one.key, one]))
  const field = (key: string, value: string, meaning: string | null): Field => ({
    ...{ key: `${job.name}.${key}`, label: key.replace(/^params\./, ''), value, meaning },
    from: has.get(key)?.from ?? null,
  })
  const params = job.values.filter(one => one.key.startsWith('params.')).map(one => field(one.key, textOf(one), null))
  const resources = [...new Set([...Object.keys(job.resources), ...usual])]
    .filter(key => Object.hasOwn(resourceKeys, key))
    .filter(key => !(key === 'mem' && job.resources.mem === undefined && job.resources.mem_per_cpu !== undefined))
    .map(key => {
      const name = key as ResourceName
      const value = job.resources[key]
      return field(key, value === undefined ? '' : formatResource(name, value as never), resourceKeys[name].meaning)
    })
  const array = job.tasks === null ? [] : [field('array', job.tasks, 'Its tasks.')]
  return [...params, ...resources, ...array]
}

/** Asked for so often that they are offered where the file does not say them. */
const usual = ['time', 'mem', 'cpus_per_task']

function textOf({ value }: { readonly value: unknown }): string {
  return typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value)
}

/** A form made from the branch's file, what would run with it, and the button that runs it. */
export const launchPage: PageKind = {
  at: /^\/projects\/(.+)\/-\/launch$/,
  async show(site, visitor, { params, query }) {
    const { context } = site
    const { project, rule, level } = await site.desk.project(visitor.caller, params[0]!)
    const to = addressesOf(site)
    const launch = readLaunch(query)
    const { branch, set } = launch
    const known = (await loadTree(context.db, project.id)).filter(node => node.life === 'active').slice(0, 500)
    const shared = {
      ...{ path: project.path, branch, address: to.launch(project.path), project: to.project(project.path) },
      branches: known.map(node => node.branch),
      unchanged: `${to.launch(project.path)}?${launchQuery({ branch, set: [] })}`,
    }
    const page = { title: `Launch · ${project.path}`, section: 'projects', template: 'launch', regions: [] } as const
    if (branch === '') return { ...page, view: shared }
    const asked = { project, rule, by: visitor.caller.person, branch }
    let base: PlanAnswer
    try {
      base = await planOf(context, asked)
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error
      return { ...page, view: { ...shared, trouble: error.message } }
    }
    const { values, wrong } = settingsOf(set)
    let trouble =
      wrong.length === 0 ? null : `Not understood, a setting is key=value: ${wrong.join(', ').slice(0, 300)}`
    let plan: PlanAnswer | null = base
    if (Object.keys(values).length > 0)
      plan = await planOf(context, { ...asked, values }).catch(error => {
        if (!(error instanceof CompopsError) || error.transient) throw error
        trouble ??= sentence(error.message)
        return null
      })
    const jobs = base.jobs.slice(0, mostJobs).map(job => {
      const fields = fieldsOf(job).map(one => ({
        ...{ ...one, value: values[one.key] ?? one.value, name: `field:${one.key}` },
        changed: values[one.key] !== undefined,
      }))
      const cluster = `${job.name}.cluster`
      const now = values[cluster] ?? job.cluster
      return {
        ...{ name: job.name, fields, cluster: `field:${cluster}`, moved: now !== job.cluster },
        clusters: rule.clusters.map(name => ({ name, here: name === now })),
      }
    })
    const shownKeys = new Set(
      base.jobs.slice(0, mostJobs).flatMap(job => [`${job.name}.cluster`, ...fieldsOf(job).map(one => one.key)]),
    )
    const rest = set.filter(one => !shownKeys.has(one.slice(0, Math.max(0, one.indexOf('=')))))
    const ready =
      plan !== null && plan.explained === null && plan.jobs.length > 0 && wrong.length === 0 && plan.refused === null
    return {
      ...page,
      view: {
        ...shared,
        ...{ sha: base.sha.slice(0, 8), trouble, jobs, open: jobs.length <= 3, rest: rest.join('\n') },
        more: base.jobs.length > jobs.length ? base.jobs.length - jobs.length : null,
        plan: plan === null ? null : new Html(render('launch-plan', planView(site.base, plan))),
        may: level >= 30,
        run: ready
          ? { formToken: visitor.formToken, key: randomUUID(), sha: base.sha, set, held: plan!.approval !== null }
          : null,
      },
    }
  },
}

function planView(base: string, plan: PlanAnswer) {
  const cost = ({ core_hours: coreHours, gpu_hours: gpuHours, unknown }: PlanAnswer['cost']) =>
    costInWords({ coreHours, gpuHours, unknown })
  return {
    ...{ base, cost: cost(plan.cost), jobs: plan.jobs.length === 1 ? '1 job' : `${plan.jobs.length} jobs` },
    explained: plan.explained === null ? null : plain(plan.explained),
    approval: plan.approval === null ? null : sentence(plain(plan.approval)),
    refused: plan.refused === null ? null : sentence(plain(plan.refused)),
    ...{ notices: plan.notices.map(plain), none: plan.explained === null && plan.jobs.length === 0 },
    more: plan.jobs.length > mostPlanned ? plan.jobs.length - mostPlanned : null,
    list: plan.jobs.slice(0, mostPlanned).map(job => ({
      ...{ name: job.name, cluster: job.cluster, problem: job.problem, needs: job.needs.join(', ') },
      ...{ tasks: job.tasks, asked: askedInWords(job.resources), cost: cost(job.cost) },
      values: job.values.map(one => ({
        key: one.key,
        value: shown(one),
        from: one.from,
        said: one.from === 'the command',
      })),
      script: job.script,
    })),
  }
}

function shown({ key, value }: { readonly key: string; readonly value: unknown }): string {
  return Object.hasOwn(resourceKeys, key) ? formatResource(key as ResourceName, value as never) : textOf({ value })
}

function sentence(text: string): string {
  const capital = text.slice(0, 1).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(capital) ? capital : `${capital}.`
}
