/** The description of the merge request that proposes a first `.compops.yml`. */
import type { JobSpec } from '../model/job-spec.ts'
import { formatResource, type ResourceName, resourceNames } from '../model/resources.ts'
import { code, inline, prose } from './markdown.ts'

export interface FirstFileToShow {
  readonly jobs: readonly JobSpec[]
  readonly notices: readonly string[]
  readonly leftOut: readonly { readonly path: string; readonly why: string }[]
}

export function renderFirstFile(
  { jobs, notices, leftOut }: FirstFileToShow,
  { defaultBranch, branch }: { readonly defaultBranch: string; readonly branch: string },
): string {
  const list = (items: readonly string[]) => items.map(item => `- ${item}\n`).join('')
  const parts = [
    `This proposes a first ${code('.compops.yml')}: each batch script of the repository that asks a scheduler for something becomes a job. The scripts stay as they are, and their own directive lines are obeyed.`,
    `**Nothing runs by itself here.** To try it, push any commit to ${code(branch)}; its jobs and results then appear in this merge request. Once it is merged, every branch but ${code(defaultBranch)} that has the file is a computation: a push runs it.`,
    `## The plan\n\n${jobs.map(renderJob).join('\n')}`,
    ...(notices.length === 0 ? [] : [`**Lines that are not kept**\n\n${list(notices.map(text => prose(text)))}`]),
    ...(leftOut.length === 0
      ? []
      : [
          `**Scripts that are no job of it**\n\n${list(leftOut.slice(0, 20).map(({ path, why }) => `${code(path)}: ${prose(why)}`))}`,
        ]),
    '*What each key means stands in the JSON schema and the page for researchers of ComputationalOps (`gitlab/`). Close this merge request to decline: it is not proposed again.*',
  ]
  return `${parts.join('\n\n')}\n`
}

function renderJob(job: JobSpec): string {
  const asked = resourceNames.flatMap(name => {
    const value = job.resources[name]
    return value === undefined
      ? []
      : [{ key: name as string, value: formatResource(name as ResourceName, value as never) }]
  })
  const rows = [
    ...asked,
    ...(job.array === undefined
      ? []
      : [{ key: 'array', value: `${job.array.tasks}${job.array.throttle === null ? '' : `%${job.array.throttle}`}` }]),
    ...job.directives.map((value, index) => ({ key: `directives[${index}]`, value })),
  ].map(
    ({ key, value }) => `| ${code(key, 'table')} | ${code(value, 'table', 80)} | ${inline(job.origins[key] ?? '')} |\n`,
  )
  const table = rows.length === 0 ? 'It asks for nothing.\n' : `| asks for | | from |\n|---|---|---|\n${rows.join('')}`
  return `### ${inline(job.name)} on ${inline(job.cluster)}\n\n${code(job.file?.path ?? '')}\n\n${table}`
}
