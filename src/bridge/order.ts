import { Refusal } from '../auth/refusal.ts'
import { matchGlob, type ProjectConfig } from '../config/index.ts'
import { type Context, specSite } from '../context.ts'
import { describeError } from '../errors.ts'
import { orderForm } from '../model/bridge-calls.ts'
import { type CiMode, type CiOrder, ciModes, formerNames, ownWorkKeys } from '../model/ci.ts'
import type { Resources } from '../model/job-spec.ts'
import { formatWalltime, parseWalltime } from '../model/walltime.ts'

/** What a CI job sent: a form, since that can be written with a shell and `od` alone. */
export type Form = Readonly<Record<string, string>>

/** What sets a variable of the job: `env.OMP_NUM_THREADS`. */
const envPrefix = 'env.'
const largestVariable = 65_536

/** The order of a CI job out of its form. Throws Refusal 400 or 422, which says what to write instead. */
export function readOrder(context: Pick<Context, 'config'>, rule: ProjectConfig, form: Form): CiOrder {
  const holed = Object.keys(form).find(name => name.includes('\0') || form[name]!.includes('\0'))
  if (holed !== undefined)
    throw new Refusal(422, `${JSON.stringify(holed.slice(0, 80))} holds a NUL byte, which is no text`)
  const mode = ciModes.find(one => one === form.mode)
  if (mode === undefined) throw new Refusal(400, `mode is one of ${ciModes.join(', ')}`)
  const strange = Object.keys(form).find(name => !known.has(name) && !name.startsWith(envPrefix))
  if (strange !== undefined) throw new Refusal(400, `${strange.slice(0, 80)} is nothing that a CI job can say here`)
  const jobs = words(form.job ?? '')
  const own = ownWork(context, rule, form)
  if (own !== null && jobs.length > 0)
    throw new Refusal(
      422,
      'A CI job names a `job` of .compops.yml, or brings a `script` or `file` of its own: not both',
    )
  if (own === null) {
    const lost = Object.keys(form).find(name => isOwn(name) && form[name] !== '')
    if (lost !== undefined)
      throw new Refusal(422, `\`${lost}\` is for a \`script\` or \`file\`: a job of .compops.yml says it there`)
  }
  return { mode, jobs, own, maxWait: waitOf(form.max_wait ?? ''), gate: gateOf(rule, mode, form.gate ?? '') }
}

const known: ReadonlySet<string> = new Set(Object.keys(orderForm.shape))
const ofBoth = new Set(['mode', 'name', 'job', 'max_wait', 'gate'])
const isOwn = (name: string) => !ofBoth.has(name)

/** The text of a `.compops.yml` with one job, in JSON, which is YAML: it is checked and stored like any other. */
function ownWork(context: Pick<Context, 'config'>, rule: ProjectConfig, form: Form): string | null {
  const script = form.script ?? ''
  if (script.trim() === '' && (form.file ?? '') === '') return null
  const job: Record<string, unknown> = { ...former(context, rule, form) }
  if (script.trim() !== '') job.script = [script.replaceAll('\r\n', '\n')]
  for (const key of ownWorkKeys.text) if ((form[key] ?? '') !== '') job[key] = form[key]
  for (const key of ownWorkKeys.count) if ((form[key] ?? '') !== '') job[key] = countOf(key, form[key]!)
  for (const key of ownWorkKeys.list) {
    const list = (form[key] ?? '')
      .split('\n')
      .map(line => line.trim())
      .filter(Boolean)
    if (list.length > 0) job[key] = [...((job[key] as string[] | undefined) ?? []), ...list]
  }
  const { env, exports } = envOf(form)
  if (Object.keys(env).length > 0) job.env = env
  if (exports.length > 0) job.setup = [...exports, ...((job.setup as string[] | undefined) ?? [])]
  return JSON.stringify({ jobs: { [jobName(form.name ?? '')]: job } }, null, 2)
}

/** GitLab allows nearly every letter in the name of a job. */
export function jobName(ciJob: string): string {
  const name = ciJob
    .slice(0, 255)
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|[-.]+$/g, '')
    .slice(0, 60)
  return name === '' ? 'job' : name
}

/** `SCHEDULER_PARAMETERS` and the variables of other bridges, read as the scheduler of the cluster reads the head of a batch script. */
function former(context: Pick<Context, 'config'>, rule: ProjectConfig, form: Form): Record<string, unknown> {
  const said = Object.entries(formerNames).flatMap(([name, key]) =>
    (form[name] ?? '') === ''
      ? []
      : [[key, key === 'nodes' || key === 'ntasks' ? countOf(name, form[name]!) : form[name]!]],
  )
  const exclusive = (form.SLURM_EXCLUSIVE ?? '') === '' ? {} : { exclusive: true }
  const parameters = (form.SCHEDULER_PARAMETERS ?? '').trim()
  if (parameters === '') return { ...Object.fromEntries(said), ...exclusive }
  if (/[\0-\x1f\x7f]/.test(parameters)) throw new Refusal(422, 'SCHEDULER_PARAMETERS is one line')
  const site = specSite(context.config, rule)
  const cluster = site.clusters.find(one => one.name === form.cluster) ?? site.clusters[0]!
  if (cluster.directivePrefix === null)
    throw new Refusal(
      422,
      `${cluster.name} (${cluster.dialectName}) has no batch options: SCHEDULER_PARAMETERS says nothing to it`,
    )
  let read: ReturnType<typeof site.readBatchDirectives>
  try {
    read = site.readBatchDirectives(cluster, `#!/bin/sh\n${cluster.directivePrefix} ${parameters}\n`)
  } catch (error) {
    throw new Refusal(422, `SCHEDULER_PARAMETERS: ${describeError(error)}`)
  }
  const essential = read.dropped.find(one => one.essential === true)
  if (essential !== undefined)
    throw new Refusal(422, `SCHEDULER_PARAMETERS: ${essential.directive}: ${essential.reason}`)
  return {
    ...asWritten(read.resources),
    ...(read.array === undefined ? {} : { array: read.array.text }),
    ...(read.directives.length === 0 ? {} : { directives: read.directives.map(one => one.directive) }),
    ...Object.fromEntries(said),
    ...exclusive,
  }
}

/** Resources as a file has them: with their units. */
function asWritten(resources: Resources): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(resources).map(([key, value]) => {
      if (key === 'time') return [key, formatWalltime(value as number, 'units')]
      if (key === 'mem' || key === 'mem_per_cpu') return [key, `${value as number}M`]
      if (typeof value === 'object') return [key, value.type === null ? value.count : `${value.type}:${value.count}`]
      return [key, value]
    }),
  )
}

function countOf(key: string, text: string): number {
  if (!/^[0-9]{1,9}$/.test(text.trim()))
    throw new Refusal(422, `${key} is a whole number, not ${JSON.stringify(text.slice(0, 40))}`)
  return Number(text)
}

/** What has several lines is no word for an environment in every scheduler: the job exports it itself. */
function envOf(form: Form): { env: Record<string, string>; exports: string[] } {
  const env: Record<string, string> = {}
  const exports: string[] = []
  for (const [field, value] of Object.entries(form)) {
    if (!field.startsWith(envPrefix)) continue
    const name = field.slice(envPrefix.length)
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name))
      throw new Refusal(422, `${JSON.stringify(name.slice(0, 80))} is no name of a variable`)
    if (value.length > largestVariable || value.includes('\0'))
      throw new Refusal(422, `The variable ${name} is too long, or no text`)
    if (/[\r\n]/.test(value)) exports.push(`export ${name}='${value.replaceAll("'", `'\\''`)}'`)
    else env[name] = value
  }
  return { env, exports }
}

function words(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))]
}

function waitOf(text: string): number | null {
  if (text === '') return null
  const parsed = parseWalltime(/^\d+$/.test(text) ? `${text}s` : text)
  if (!parsed.ok) throw new Refusal(422, `max_wait: ${parsed.message} ${parsed.remedy}`)
  return parsed.value
}

/** As the templates name them. */
const usualGates: readonly string[] = ['compops*']

/** The service may play what whoever started the pipeline may not (a deployment): only what the site has named is played for them. */
export function mayBeGate(rule: Pick<ProjectConfig, 'gates'>, name: string): boolean {
  return (rule.gates ?? usualGates).some(glob => matchGlob(glob, name))
}

function gateOf(rule: ProjectConfig, mode: CiMode, name: string): string | null {
  if (mode !== 'gate') return null
  if (name.trim() === '' || name.length > 255)
    throw new Refusal(400, 'A gate needs the name of the manual CI job, as `gate`')
  if (!mayBeGate(rule, name))
    throw new Refusal(
      422,
      `The service does not play ${JSON.stringify(name)}: of this project only manual CI jobs named ${(rule.gates ?? usualGates).map(glob => `\`${glob}\``).join(', ') || '(none)'} may be gates. Choose such a name (\`ci_job\`), or have who runs the service add it to \`gates\` of the project's rule`,
    )
  return name
}
