import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { CompopsError, UnreadableError } from '../errors.ts'
import { tarOf } from '../git/tar.ts'
import { type AttemptArray, countTasks, nativeNumbers, readTasks } from '../model/array.ts'
import type { Dialect, JobRequest } from '../scheduler/dialect.ts'
import { renderInputs } from '../scheduler/inputs.ts'
import { planLines, renderCommands, renderParams, renderScript, renderSecrets } from '../scheduler/script.ts'
import { renderAbout } from './about.ts'
import { bringBundle } from './bundle.ts'
import type { Plan, SubmitOutcome, SubmitRequest } from './contract.ts'
import { type AttemptIds, bundlesDirectory, eventsDirectory, jobName, pathsOf, sourceName } from './layout.ts'
import { notWhole, type Reach } from './reach.ts'
import { submitProgram, uploadProgram } from './submit-program.ts'

/** Looking up, and sbatch with its own 60 s. */
const submitDeadline = 150_000
/** Sources may be large and the line slow. */
const uploadDeadline = 1_800_000
/** Somebody else is between two steps. */
const busyMs = 2_000
/** Sources up to this size come along with the first job of a commit, which spares two questions; larger ones only where they are missing. Bytes. */
const inlineLimit = 512 * 1024

export function planSubmission(reach: Reach, request: SubmitRequest): Plan {
  const job = toJobRequest(reach, request)
  const { origins } = request.spec
  return {
    script: renderScript(job, reach.dialect),
    userScript: renderCommands(job),
    lines: planLines(job, reach.dialect).map(({ text, key }) => ({
      text,
      from: key === null ? null : (origins[key] ?? origins[key.replace(/\[\d+\]$/, '')] ?? null),
    })),
  }
}

/** Everything the guarded program reads, in order; `inline` is how many bytes of the sources follow the files. Exported for exact-text tests. */
export function submitInput(
  reach: Pick<Reach, 'root' | 'dialect' | 'settle' | 'name' | 'events'>,
  request: SubmitRequest,
  inline = 0,
) {
  const job = toJobRequest(reach, request)
  const paths = pathsOf(reach.root, ids(request))
  const files = tarOf({
    script: renderScript(job, reach.dialect),
    commands: renderCommands(job),
    'params.json': renderParams(request.spec.params),
    about: renderAbout(request),
    ...((request.inputs ?? []).length === 0 ? {} : { inputs: renderInputs(request.inputs ?? []) }),
    ...(Object.keys(request.secrets).length === 0 ? {} : { secrets: renderSecrets(request.secrets) }),
  })
  const options = reach.dialect.submitArguments(job)
  const lines = [
    paths.project,
    paths.run,
    paths.attempt,
    sourceName(request.source.sha),
    String(request.source.size),
    job.name,
    String(reach.settle),
    request.siblings.join(' '),
    String(files.length),
    String(inline),
    String(options.length),
    ...options,
  ]
  return { lines, files }
}

export async function submitAttempt(reach: Reach, request: SubmitRequest): Promise<SubmitOutcome> {
  const text = programOf(reach.dialect)
  const brought = `${request.projectId} ${request.source.sha}`
  if (request.bundle != null) await bringBundle(reach, pathsOf(reach.root, ids(request)), request.bundle)
  for (let roundTrips = 1; ; roundTrips += 2) {
    const sources =
      roundTrips > 1 || reach.brought.has(brought) || request.source.size > inlineLimit
        ? null
        : await readFile(request.source.path)
    const { lines, files } = submitInput(reach, request, sources?.length ?? 0)
    const rest = sources === null ? files : Buffer.concat([files, sources])
    const answer = await reach.run({ text, lines, rest, urgent: true, deadline: submitDeadline })
    if (answer.rc !== 0) throw notWhole(reach.name, 'the submission stopped half way, it is asked for again', answer)
    const [head = '', ...more] = answer.stdout.split('\n')
    const message = more.join('\n').trim()
    const [word = '', asked = '', value = ''] = head.split(' ')
    reach.count(Number(asked) || 0)
    switch (word) {
      case 'NEEDSOURCE': {
        reach.brought.delete(brought)
        const later = await sendSources(reach, request, roundTrips > 1)
        if (later !== null) return later
        continue
      }
      case 'ACCEPTED':
        if (!reach.dialect.nativeId.test(value))
          throw new UnreadableError(`${reach.name}: ${JSON.stringify(value)} is no job id`)
        if (reach.brought.size > 10_000) reach.brought.clear()
        reach.brought.add(brought)
        return { kind: 'accepted', nativeId: value, roundTrips }
      case 'REFUSED':
        return { kind: 'refused', message: `${reach.name} did not accept the job: ${said(message)}` }
      case 'GIVENUP':
        return { kind: 'given up' }
      case 'OVERTAKEN':
        return {
          kind: 'overtaken',
          message: `${reach.name} knows attempt ${value.slice(0, 36)} of this job, which is not known here`,
        }
      case 'BUSY':
        return {
          kind: 'unsure',
          message: `${reach.name}: another submission of this attempt is under way`,
          askAgainInMs: busyMs,
        }
      case 'UNSURE': {
        const seconds = Number.parseInt(value, 10)
        return {
          kind: 'unsure',
          message: `${reach.name} did not say clearly whether it accepted the job: ${said(message)}`,
          askAgainInMs: Math.max(1, Number.isFinite(seconds) ? seconds : reach.settle) * 1000,
        }
      }
      case 'TRANSIENT':
        return { kind: 'transient', message: `${reach.name} does not accept jobs at present: ${said(message)}` }
      case 'FAILED':
        return {
          kind: 'transient',
          message: `${reach.name}: the directory of the job cannot be prepared: ${said(message)}`,
        }
      default:
        throw new UnreadableError(
          `${reach.name}: the submission answered ${JSON.stringify(answer.stdout.slice(0, 200))}`,
          {
            transient: true,
          },
        )
    }
  }
}

/** To a cluster that lacks them. Why that is for later; null: they are there, and it can be asked again. */
export async function sendSources(
  reach: Reach,
  request: AttemptIds & Pick<SubmitRequest, 'source'>,
  sentBefore: boolean,
): Promise<{ readonly kind: 'transient'; readonly message: string } | null> {
  if (sentBefore) return { kind: 'transient', message: `${reach.name}: the sources were sent and are gone again` }
  try {
    await upload(reach, request)
    return null
  } catch (error) {
    // The cluster answers, only its file server does not: nothing was begun.
    if (!reach.ownTransfer || !(error instanceof CompopsError)) throw error
    return { kind: 'transient', message: `${reach.name}: the sources could not be brought: ${error.message}` }
  }
}

async function upload(
  reach: Reach,
  { source, projectId, ...rest }: AttemptIds & Pick<SubmitRequest, 'source'>,
): Promise<void> {
  const { project } = pathsOf(reach.root, ids({ projectId, ...rest }))
  const file = createReadStream(source.path)
  try {
    const answer = await reach.run({
      text: uploadProgram,
      lines: [project, sourceName(source.sha), String(source.size)],
      rest: file,
      urgent: true,
      bulk: true,
      deadline: uploadDeadline,
    })
    if (answer.rc !== 0) throw notWhole(reach.name, 'the sources could not be stored', answer)
  } finally {
    file.destroy()
  }
}

const programs = new WeakMap<Dialect, string>()

function programOf(dialect: Dialect): string {
  const known = programs.get(dialect)
  if (known !== undefined) return known
  const text = submitProgram(dialect.shell)
  programs.set(dialect, text)
  return text
}

/** The scheduler's own words without the name of its command before each line. */
function said(message: string): string {
  const lines = message
    .split('\n')
    .map(line => line.replace(/^(?:[bqs]sub|sbatch|timeout|sh): (?:error: )?/, '').trim())
  return [...new Set(lines.filter(line => line !== ''))].join('; ') || 'it gave no reason'
}

export function ids(request: Pick<SubmitRequest, 'projectId' | 'runId' | 'jobId' | 'attemptId'>) {
  const { projectId, runId, jobId, attemptId } = request
  return { projectId, runId, jobId, attemptId }
}

function toJobRequest(reach: Pick<Reach, 'root' | 'events'>, request: SubmitRequest): JobRequest {
  const paths = pathsOf(reach.root, ids(request))
  const { spec, array } = request
  if (!Number.isSafeInteger(request.attempt) || request.attempt < 1)
    throw new CompopsError(`${request.attempt} is not the number of an attempt`)
  const by = request.person === null ? '' : ` by ${request.person}`
  return {
    name: jobName(request.attemptId),
    comment: `${request.projectPath} ${request.branch} ${spec.name}${by}`,
    directory: paths.attempt,
    work: paths.work,
    outputDirectory: paths.output,
    cache: paths.cache,
    checkpoints: paths.checkpoints,
    ...(reach.events ? { events: eventsDirectory(reach.root) } : {}),
    spec,
    inputs: request.inputs ?? [],
    variables: {
      COMPOPS_RUN_ID: request.runId,
      COMPOPS_JOB: spec.name,
      COMPOPS_ATTEMPT: String(request.attempt),
      COMPOPS_RESTART: String(request.restart ?? 0),
      COMPOPS_PROJECT: request.projectPath,
      COMPOPS_BRANCH: request.branch,
      COMPOPS_SHA: request.sha,
      COMPOPS_PARENT_BRANCH: request.parentBranch ?? '',
      COMPOPS_PARENT_DIR:
        request.parentRunId === null ? '' : pathsOf(reach.root, { ...ids(request), runId: request.parentRunId }).work,
      ...(request.bundle == null
        ? {}
        : {
            COMPOPS_BUNDLE: `${bundlesDirectory(paths)}/${request.bundle.sha256}.tar`,
            COMPOPS_BUNDLE_SHA256: request.bundle.sha256,
          }),
      ...(spec.array === undefined ? {} : { COMPOPS_ARRAY_COUNT: String(countTasks(spec.array.tasks)) }),
    },
    dependsOn: request.dependsOn,
    array: array == null ? null : toArray(array),
  }
}

function toArray(array: AttemptArray): NonNullable<JobRequest['array']> {
  return {
    numbers: nativeNumbers(array),
    throttle: array.throttle,
    ...(array.renumbered ? { indexes: readTasks(array.tasks) } : {}),
  }
}
