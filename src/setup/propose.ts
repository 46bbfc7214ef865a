import type { Config, ProjectConfig } from '../config/index.ts'
import { specSite } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { type GitLab, isGitLabError, type MergeRequest, type Project } from '../gitlab/gitlab.ts'
import { renderFirstFile } from '../render/first-file.ts'
import { loadDialects } from '../scheduler/index.ts'
import { openTemplates, specLimits } from '../spec/index.ts'
import { type BatchScript, type FirstFile, scriptEnding, writeFirstFile } from './first-file.ts'
import type { Done } from './setup.ts'

/** The branch by which the proposal is found again: it is made once. */
export const proposalBranch = 'compops/first-file'
/** Scripts that are read; each is a call. */
const mostScripts = 60
/** Entries of a repository that are looked at. */
const mostFiles = 20_000

/**
 * Opens a merge request with a first `.compops.yml` made from the batch scripts of the default branch. Never a second time: not beside an open one, not
 * where somebody closed or merged one, unless it is insisted on. Its commit says `[skip compops]`, so that nothing runs before people have read it.
 */
export async function proposeFirstFile(
  gitlab: GitLab,
  project: Project,
  { config, rule, insist }: { readonly config: Config; readonly rule: ProjectConfig; readonly insist: boolean },
): Promise<Done> {
  const done = (did: Done['did'], sentence: string): Done => ({ did, what: 'first file', sentence })
  const target = project.defaultBranch
  if (target === null || project.emptyRepo)
    return done('left', 'The repository is empty: a first `.compops.yml` is proposed when it has batch scripts.')
  const present = await gitlab.file(project.id, '.compops.yml', target)
  if (present !== null && !insist) return done('in order', `${target} has a \`.compops.yml\`.`)
  const [last] = await gitlab.mergeRequestsOf(project.id, proposalBranch)
  if (last?.state === 'opened' || last?.state === 'locked')
    return done('in order', `A first \`.compops.yml\` is proposed in !${last.iid}: ${last.webUrl}`)
  if (last !== undefined && !insist)
    return done(
      'left',
      `A first \`.compops.yml\` was proposed in !${last.iid}, which is ${last.state}; \`--propose\` does it again.`,
    )

  await loadDialects(config.clusters.map(cluster => cluster.scheduler))
  const first = await firstFileOf(gitlab, project.id, target, config, rule)
  if (first === null || first.jobs.length === 0)
    return done(
      'left',
      `${target} has no batch script ${first === null ? 'with lines for a scheduler' : `that could be a job (${first.leftOut.map(({ path, why }) => `${path}: ${why}`).join('; ')})`}: nothing is proposed. gitlab/README.md shows a first file.`,
    )
  const branch = await gitlab.branch(project.id, proposalBranch)
  // A kill between the two calls leaves the branch alone; what stands on it is of the same scripts, or a person's.
  if (branch === null)
    await gitlab.commitToNewBranch(project.id, {
      branch: proposalBranch,
      from: target,
      path: '.compops.yml',
      content: first.text,
      action: present === null ? 'create' : 'update',
      message:
        'A first .compops.yml, from the batch scripts of the repository\n\nNothing runs by this commit: [skip compops]\n',
    })
  else if (last !== undefined)
    throw new CompopsError(`the branch ${proposalBranch} of !${last.iid} is still there: delete it, and ask again`)
  const opened = await openMergeRequest(gitlab, project, target, first)
  const left =
    first.leftOut.length === 0 ? '' : ` ${first.leftOut.length} more were left out, each with its reason there.`
  return done(
    'made',
    `!${opened.iid} proposes a first \`.compops.yml\` with ${first.jobs.length === 1 ? 'one job' : `${first.jobs.length} jobs`}, and its plan: ${opened.webUrl}${left}`,
  )
}

async function openMergeRequest(
  gitlab: GitLab,
  project: Project,
  target: string,
  first: FirstFile,
): Promise<MergeRequest> {
  try {
    return await gitlab.createMergeRequest(project.id, {
      sourceBranch: proposalBranch,
      targetBranch: target,
      title: 'Compute here: a first .compops.yml',
      description: renderFirstFile(first, { defaultBranch: target, branch: proposalBranch }),
    })
  } catch (error) {
    // The answer was lost: perhaps it is there.
    if (!isGitLabError(error) || !error.maybeDone) throw error
    const [found] = await gitlab.openMergeRequestsOf(project.id, proposalBranch).catch(() => [])
    if (found === undefined) throw error
    return found
  }
}

async function firstFileOf(
  gitlab: GitLab,
  projectId: number,
  ref: string,
  config: Config,
  rule: ProjectConfig,
): Promise<FirstFile | null> {
  const scripts: BatchScript[] = []
  let seen = 0
  for await (const path of gitlab.paths(projectId, ref)) {
    if (++seen > mostFiles || scripts.length === mostScripts) break
    if (!scriptEnding.test(path)) continue
    const file = await gitlab.file(projectId, path, ref)
    if (file !== null && file.size <= specLimits.batchFile) scripts.push({ path, text: file.content.toString('utf8') })
  }
  return writeFirstFile(scripts, {
    ...specSite(config, rule),
    readFile: () => null,
    templates: openTemplates(config.templates),
    secrets: [],
  })
}
