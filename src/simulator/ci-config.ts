import { parse } from 'yaml'

/** What a `.gitlab-ci.yml` means here: names, stages, and whether a job belongs to push or to merge request pipelines. */
export interface CiJob {
  name: string
  stage: string
  stageIndex: number
  allowFailure: boolean
  push: boolean
  mergeRequest: boolean
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

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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
  let document: unknown
  try {
    document = parse(text, { maxAliasCount: 50 })
  } catch (error) {
    return { jobs: [], error: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) }
  }
  if (!isMapping(document)) return { jobs: [], error: 'Invalid configuration format' }
  const stages = Array.isArray(document.stages) ? document.stages.map(String) : DEFAULT_STAGES
  const workflow = isMapping(document.workflow)
    ? readRules(document.workflow.rules)
    : { push: true, mergeRequest: true }
  const forced = isMapping(document.workflow) && workflow.mergeRequest
  const jobs: CiJob[] = []
  for (const [name, job] of Object.entries(document)) {
    if (RESERVED.has(name) || name.startsWith('.') || !isMapping(job)) continue
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
    jobs.push({
      name,
      stage,
      stageIndex,
      allowFailure: job.allow_failure === true,
      push: workflow.push && own.push,
      mergeRequest: workflow.mergeRequest && own.mergeRequest,
    })
  }
  if (jobs.length === 0) return { jobs, error: 'jobs config should contain at least one visible job' }
  return { jobs, error: null }
}
