import { parse } from 'yaml'

/** What a `.gitlab-ci.yml` means here. */
export interface CiJob {
  name: string
  stage: string
  stageIndex: number
  allowFailure: boolean
  /** Whether it belongs to push and to merge request pipelines. */
  push: boolean
  mergeRequest: boolean
  /** It waits for somebody to play it. */
  manual: boolean
  /** null: the stages before. */
  needs: string[] | null
  script: string[]
  afterScript: string[]
  variables: Record<string, string>
  /** Those that are not expanded. */
  rawVariables: string[]
  /** Name of the variable to its audiences. */
  idTokens: Record<string, string[]>
  artifacts: { paths: string[]; always: boolean }
}

export interface CiConfig {
  jobs: CiJob[]
  /** GitLab then makes a failed pipeline that shows this. */
  error: string | null
}

const RESERVED = new Set([
  'default',
  'include',
  'stages',
  'variables',
  'workflow',
  'image',
  'services',
  'cache',
  'before_script',
  'after_script',
  'pages',
  'spec',
])
const DEFAULT_STAGES = ['build', 'test', 'deploy']

export type Mapping = Record<string, unknown>

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** GitLab's: mappings are merged key by key, everything else is replaced. */
export function deepMerge(below: Mapping, above: Mapping): Mapping {
  const merged: Mapping = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const before = merged[key]
    merged[key] = isMapping(before) && isMapping(value) ? deepMerge(before, value) : value
  }
  return merged
}

/** Which pipelines a list of rules lets through. Conditions are not evaluated: one that names `merge_request_event` is for those, any other for pushes. */
function readRules(rules: unknown): { push: boolean; mergeRequest: boolean } {
  if (!Array.isArray(rules)) return { push: true, mergeRequest: false }
  const through = rules.filter(rule => !(isMapping(rule) && rule.when === 'never')).map(rule => JSON.stringify(rule))
  return {
    push: through.some(rule => !rule.includes('merge_request_event')),
    mergeRequest: through.some(rule => rule.includes('merge_request_event')),
  }
}

export function readCiConfig(text: string): CiConfig {
  try {
    return readCiDocument(parse(text, { maxAliasCount: 50, merge: true }))
  } catch (error) {
    return { jobs: [], error: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) }
  }
}

export function readCiDocument(document: unknown): CiConfig {
  if (!isMapping(document)) return { jobs: [], error: 'Invalid configuration format' }
  const stages = Array.isArray(document.stages) ? document.stages.map(String) : DEFAULT_STAGES
  const workflow = isMapping(document.workflow)
    ? readRules(document.workflow.rules)
    : { push: true, mergeRequest: true }
  const forced = isMapping(document.workflow) && workflow.mergeRequest
  const jobs: CiJob[] = []
  for (const [name, written] of Object.entries(document)) {
    if (RESERVED.has(name) || name.startsWith('.') || !isMapping(written)) continue
    const job = withDefaults(document, extended(document, written))
    if (job === null) return { jobs: [], error: `${name}: unknown keys in \`extends\` (${String(written.extends)})` }
    if (job.script === undefined && job.trigger === undefined && job.run === undefined) {
      return { jobs: [], error: `jobs:${name} config should implement the script:, run:, or trigger: keyword` }
    }
    const stage = typeof job.stage === 'string' ? job.stage : 'test'
    const stageIndex = stages.indexOf(stage)
    if (stageIndex === -1) {
      return {
        jobs: [],
        error: `${name} job: chosen stage ${stage} does not exist; available stages are ${stages.join(', ')}`,
      }
    }
    const own = job.rules === undefined ? { push: true, mergeRequest: forced } : readRules(job.rules)
    const manual = job.when === 'manual'
    jobs.push({
      name,
      stage,
      stageIndex,
      // A manual job is optional unless it says otherwise.
      allowFailure: job.allow_failure === undefined ? manual : job.allow_failure === true,
      push: workflow.push && own.push,
      mergeRequest: workflow.mergeRequest && own.mergeRequest,
      manual,
      needs: readNeeds(job.needs),
      script: [...lines(job.before_script), ...lines(job.script)],
      afterScript: lines(job.after_script),
      variables: { ...texts(document.variables), ...texts(job.variables) },
      rawVariables: Object.entries(isMapping(job.variables) ? job.variables : {}).flatMap(([key, one]) =>
        isMapping(one) && one.expand === false ? [key] : [],
      ),
      idTokens: readIdTokens(job.id_tokens),
      artifacts: readArtifacts(job.artifacts),
    })
  }
  if (jobs.length === 0) return { jobs, error: 'jobs config should contain at least one visible job' }
  for (const job of jobs)
    for (const need of job.needs ?? [])
      if (!jobs.some(other => other.name === need))
        return {
          jobs: [],
          error: `'${job.name}' job needs '${need}' job, but '${need}' does not exist in the pipeline.`,
        }
  return { jobs, error: null }
}

function extended(document: Mapping, job: Mapping, depth = 0): Mapping | null {
  const names = job.extends === undefined ? [] : [job.extends].flat().map(String)
  let below: Mapping = {}
  for (const name of names) {
    const base = document[name]
    const whole = isMapping(base) && depth < 11 ? extended(document, base, depth + 1) : null
    if (whole === null) return null
    below = deepMerge(below, whole)
  }
  const { extends: _, ...own } = job
  return deepMerge(below, own)
}

function withDefaults(document: Mapping, job: Mapping | null): Mapping | null {
  if (job === null) return null
  const { before_script, after_script } = document
  return {
    ...(before_script === undefined ? {} : { before_script }),
    ...(after_script === undefined ? {} : { after_script }),
    ...(isMapping(document.default) ? document.default : {}),
    ...job,
  }
}

/** Lists in lists are flattened, as GitLab does for anchors. */
function lines(value: unknown): string[] {
  return value === undefined || value === null ? [] : [value].flat(10).map(String)
}

function texts(value: unknown): Record<string, string> {
  if (!isMapping(value)) return {}
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, String((isMapping(one) ? one.value : one) ?? '')]),
  )
}

function readNeeds(value: unknown): string[] | null {
  if (!Array.isArray(value)) return null
  return value.map(need => (isMapping(need) ? String(need.job) : String(need)))
}

function readIdTokens(value: unknown): Record<string, string[]> {
  if (!isMapping(value)) return {}
  return Object.fromEntries(
    Object.entries(value).map(([name, token]) => [name, isMapping(token) ? [token.aud].flat().map(String) : []]),
  )
}

function readArtifacts(value: unknown): CiJob['artifacts'] {
  if (!isMapping(value)) return { paths: [], always: false }
  const reports = isMapping(value.reports) ? Object.values(value.reports) : []
  const ofReports = reports.flatMap(one => (isMapping(one) ? [one.path] : [one].flat())).map(String)
  return { paths: [...lines(value.paths), ...ofReports], always: value.when === 'always' }
}
