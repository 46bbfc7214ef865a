import type { ProjectConfig } from '../config/index.ts'
import { type Context, specSite } from '../context.ts'
import { type Commit, type Mirror, readFile } from '../git/mirror.ts'
import type { ComputationSpec, JobSpec, ResolvedInclude, SpecProblem } from '../model/job-spec.ts'
import type { Cause } from '../model/run.ts'
import { storable } from '../model/storable.ts'
import { describeProblem, type LeftOut, parseSpec, specLimits } from '../spec/index.ts'
import type { ProjectRow } from '../store/projects.ts'
import { shortBranch } from '../store/runs.ts'
import { ciVariablesFor } from './ci-variables.ts'
import { occasionOf } from './occasion.ts'
import { sharedFiles } from './shared-file.ts'

/** What the branch's file says at a commit: a spec, or every mistake with its line and remedy. */
export interface Computation {
  readonly spec: ComputationSpec | null
  readonly problems: readonly SpecProblem[]
  /** The first of them as a sentence; null where all is well. */
  readonly problem: string | null
  readonly text: string | null
  readonly sha256: string | null
  /** What was left out, and why: lines of batch scripts, jobs. */
  readonly notices: readonly string[]
  /** Jobs that their `rules` leave out on this occasion. */
  readonly leftOut: readonly LeftOut[]
  /** Files of other projects that it is made of. */
  readonly includes: readonly ResolvedInclude[]
  /** Where its file names its parent. */
  readonly parentPlace?: { readonly line: number; readonly column: number } | null
}

export interface ComputationToRead {
  readonly rule: Pick<ProjectConfig, 'clusters' | 'secrets' | 'policy' | 'includes' | 'ciVariables'>
  /** Whose secrets it may name; left out where nothing will be started: all of the rule's. */
  readonly project?: ProjectRow
  readonly branch?: { readonly ref: string; readonly headSha?: string | null }
  /** Why: what `rules` ask. Left out: every job is there. */
  readonly cause?: Cause
  readonly event?: 'merge request'
  /** What a run that was started before was made of. */
  readonly includes?: readonly ResolvedInclude[]
  readonly sha: string
  readonly mirror: Mirror
  readonly file: { readonly text: string } | 'too large' | 'not a file'
  /** Files in the place of those of the commit, by path: of a plan. */
  readonly files?: ReadonlyMap<string, string>
  /** Other values than those of the file, as text: of this one run. */
  readonly values?: Readonly<Record<string, string>> | undefined
  /** The file is not committed yet: what else is not, nobody knows. */
  readonly uncommitted?: boolean
}

/** `.compops.yml` at a commit that the mirror has. */
export function readSpecFile(mirror: Mirror, sha: string): Promise<ComputationToRead['file'] | 'absent'> {
  return readFile(mirror, sha, '.compops.yml', { maxBytes: specLimits.bytes })
}

/** GitLab makes a pipeline of its own for such a commit. */
export async function hasCiFile(mirror: Mirror, sha: string): Promise<boolean> {
  return (await readFile(mirror, sha, '.gitlab-ci.yml', { maxBytes: 16 * 1024 * 1024 })) !== 'absent'
}

/** What a run keeps of its commit. */
export function commitOfRun({ authorName, authorEmail, subject }: Commit): { author: string; subject: string } {
  return { author: `${authorName} <${authorEmail}>`, subject }
}

export async function readComputation(context: Context, start: ComputationToRead): Promise<Computation> {
  return storable(await read(context, start))
}

async function read(context: Context, start: ComputationToRead): Promise<Computation> {
  const { rule, sha, mirror, file, project, branch, cause } = start
  if (file === 'too large' || file === 'not a file') {
    const message =
      file === 'too large'
        ? `The file is larger than ${specLimits.bytes / 1024} KiB.`
        : 'It is a symbolic link or a directory, not a file.'
    return wrong(
      [
        {
          path: '',
          line: null,
          column: null,
          message,
          remedy: file === 'too large' ? 'Move data into files of their own.' : 'Commit the file itself.',
        },
      ],
      null,
      null,
    )
  }
  const secrets = await secretsOf(context, start)
  const occasion =
    project === undefined || branch === undefined || cause === undefined
      ? null
      : await occasionOf(context, { ...start, project, branch, cause })
  let compared = false
  const answer = await parseSpec(file.text, {
    ...specSite(context.config, rule),
    templates: context.templates,
    secrets,
    ...(start.values === undefined ? {} : { overrides: start.values }),
    async readFile(path) {
      const own = start.files?.get(path)
      if (own !== undefined) return own
      const found = await readFile(mirror, sha, path, { maxBytes: specLimits.batchFile + 1 })
      return typeof found === 'string' ? null : found.text
    },
    ...(project === undefined ? {} : { readShared: sharedFiles(context, project, rule, start.includes) }),
    ...(occasion === null
      ? {}
      : {
          occasion: {
            ...occasion,
            async changed(compareTo) {
              compared = true
              return start.uncommitted === true ? null : occasion.changed(compareTo)
            },
          },
        }),
  })
  if ('problems' in answer) return wrong(answer.problems, file.text, answer.sha256)
  return {
    spec: answer.spec,
    problems: [],
    problem: null,
    text: file.text,
    sha256: answer.sha256,
    notices: compared && start.uncommitted === true ? [...answer.notices, notCompared] : answer.notices,
    leftOut: answer.leftOut,
    includes: answer.includes,
    parentPlace: answer.parentPlace ?? null,
  }
}

const notCompared = 'what is not committed yet is compared with nothing: each `changes` in a rule counts as met'

/** Names that jobs of the branch may use: GitLab says whether a branch is protected, and only where that matters is it asked. */
async function secretsOf(context: Context, { rule, project, branch, file }: ComputationToRead): Promise<string[]> {
  const all = Object.entries(rule.secrets)
  if (project === undefined || branch === undefined) return all.map(([name]) => name)
  // Where no file can name one, GitLab is spared the question.
  const names = typeof file === 'object' && /secrets|include/.test(file.text)
  const ofProject = names ? [...(await ciVariablesFor(context, rule, project, branch.ref)).keys()] : []
  if (!all.some(([, secret]) => secret.protected)) return [...all.map(([name]) => name), ...ofProject]
  const found = await context.gitlabOf(project.path).branch(project.id, shortBranch(branch.ref))
  const ofSite = all.flatMap(([name, secret]) => (secret.protected && found?.protected !== true ? [] : [name]))
  // One that the site keeps for protected branches is not to be had by another way.
  return [...ofSite, ...ofProject.filter(name => !Object.hasOwn(rule.secrets, name))]
}

/** The file names a parent that it cannot have. */
export function refuseParent(
  computation: Computation,
  { message, remedy }: { readonly message: string; readonly remedy: string },
): Computation {
  const place = computation.parentPlace
  const at = { line: place?.line ?? null, column: place?.column ?? null }
  return wrong([{ path: 'parent', ...at, message, remedy }], computation.text, computation.sha256)
}

/** What a job of the file asks for is not to be had. */
export function refuseJob(
  computation: Computation,
  job: JobSpec,
  key: 'needs' | 'inputs',
  { message, remedy }: { readonly message: string; readonly remedy: string },
): Computation {
  const line = Number(/line (\d+)$/.exec(job.origins[key] ?? '')?.[1] ?? 0) || null
  return wrong(
    [{ path: `jobs.${job.name}.${key}`, line, column: null, message, remedy }],
    computation.text,
    computation.sha256,
  )
}

/** Without a parent nothing can be taken from one. */
export function needNoParent(computation: Computation): Computation {
  const job = computation.spec?.jobs.find(({ inputs }) => (inputs ?? []).length > 0)
  if (job === undefined) return computation
  const message = `The job ${job.name} takes files from the parent, and this branch has none.`
  const remedy = 'Name it: `parent: <branch>` at the top of the file.'
  return refuseJob(computation, job, 'inputs', { message, remedy })
}

function wrong(problems: readonly SpecProblem[], text: string | null, sha256: string | null): Computation {
  const first = problems[0]
  return {
    spec: null,
    problems,
    problem: first === undefined ? 'the file cannot be read' : describeProblem(first),
    text,
    sha256,
    notices: [],
    leftOut: [],
    includes: [],
  }
}
