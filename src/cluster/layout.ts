import { CompopsError } from '../errors.ts'

/**
 * Where things lie on a cluster; nobody else builds a path there. Ids only, never names of people's making:
 *
 *     <root>/<project id>/src/<sha>.tar
 *     <root>/<project id>/cache/                                 COMPOPS_CACHE: environments and images, made by jobs for later ones
 *     <root>/<project id>/cache/bundles/<sha256>.tar            packages that the service has fetched; .part while it is brought
 *     <root>/<project id>/cache/inputs/<sha256>                 files that another cluster has computed; .part while one is brought
 *     <root>/<project id>/runs/<run>/work                       the checkout, shared by the jobs of the run
 *     <root>/<project id>/runs/<run>/jobs/<job>/<attempt>/
 *       script commands params.json      what was submitted
 *       inputs                           where files of the parent lie, and where they go
 *       secrets                          variables of the job, until it has ended
 *       about                            what it is, for a service that has forgotten (about.ts)
 *       lock/ submitting id refused      one submission, ever (see submit-program.ts)
 *       fenced                           given up: a copy that starts later leaves
 *       started.<i> exit.<i> log.<i>     written by the job, one per task of an array (the researcher's number), else 0
 *       started.array                    the claim of an array: which copy of it runs
 *       outputs.<i> metrics.<i> environment.<i>
 *       pid.<i> code.<i> group.<i> killed.<i> starts.<i> progress.<i> watch.<i> ended.<i> bin/     between the parts of the wrapper
 *       scheduler.log output/            of tasks scheduler.log.<the scheduler's number>, output/<i>/; what was said before the log was open; COMPOPS_OUTPUT_DIR
 *     <root>/<project id>/runs/<run>/checkpoints/<job>/        COMPOPS_CHECKPOINT_DIR: lasts over the attempts of a job; of arrays a directory for each task in it
 *     <root>/events/<attempt>.<i>.{start,progress,end}         news of jobs, removed by whoever listens (events-program.ts)
 */
export interface AttemptIds {
  readonly projectId: number
  readonly runId: string
  readonly jobId: string
  readonly attemptId: string
}

export interface AttemptPaths {
  readonly project: string
  readonly run: string
  readonly work: string
  readonly attempt: string
  readonly output: string
  readonly checkpoints: string
  readonly cache: string
}

/** Throws where the root is no absolute path that a scheduler, a shell and a line of input can all carry. */
export function checkRoot(root: string): string {
  if (
    !root.startsWith('/') ||
    /[\0-\x1f\x7f\\%]/.test(root) ||
    root.split('/').some(part => part === '..' || part === '.')
  )
    throw new CompopsError(
      `root: ${JSON.stringify(root)} must be an absolute path on the cluster, without .., backslashes, % and control characters`,
    )
  return root.replace(/\/+$/, '') || '/'
}

export function pathsOf(root: string, ids: AttemptIds): AttemptPaths {
  const project = projectDirectory(root, ids.projectId)
  const run = `${project}/runs/${uuid(ids.runId)}`
  const attempt = `${run}/jobs/${uuid(ids.jobId)}/${uuid(ids.attemptId)}`
  return {
    ...{ project, run, work: `${run}/work`, attempt, output: `${attempt}/output`, cache: `${project}/cache` },
    checkpoints: `${run}/checkpoints/${uuid(ids.jobId)}`,
  }
}

function projectDirectory(root: string, projectId: number): string {
  if (!Number.isSafeInteger(projectId) || projectId < 1)
    throw new CompopsError(`${projectId} is not the id of a project`)
  return `${root}/${projectId}`
}

/** Where packages lie that the service has brought; images see the cache, and so this. */
export const bundlesDirectory = (paths: AttemptPaths): string => `${paths.cache}/bundles`

/** Where files lie that were brought from other clusters. */
export const inputsDirectory = (root: string, projectId: number): string =>
  `${projectDirectory(root, projectId)}/cache/inputs`

/** Where jobs leave news. */
export const eventsDirectory = (root: string): string => `${root === '/' ? '' : root}/events`

export function sourceName(sha: string): string {
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(sha))
    throw new CompopsError(`${JSON.stringify(sha)} is not the sha of a commit`)
  return `${sha}.tar`
}

/** The name that finds a job again, in the queue and in accounting. */
export function jobName(attemptId: string): string {
  return `compops-${uuid(attemptId)}`
}

/** Whose name that is; null where it is none of ours. */
export function attemptOfName(name: string): string | null {
  const id = /^compops-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(name)?.[1]
  return id ?? null
}

function uuid(id: string): string {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    throw new CompopsError(`${JSON.stringify(id)} is not one of our ids`)
  return id
}
