import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { protectionsOf } from './access.ts'
import type { CiJob } from './ci-config.ts'
import { claimsOf, signToken } from './id-tokens.ts'
import type { SimJob, SimPipeline } from './types.ts'
import type { World } from './world.ts'
import { projectOf, userOf } from './world.ts'

/** A CI job that runs on this machine, as gitlab-runner's shell executor would have it. */
export interface RunningJob {
  /** Graceful, as GitLab since 17.0: the script is ended, `after_script` still runs. */
  cancel(): void
}

const artifactsOf = (world: World, jobId: number) => join(world.dataDir, 'artifacts', String(jobId))

/** Runs a job's script for real: trace, masking, artifacts, `after_script`. Returns how it ended. */
export async function runScript(
  world: World,
  pipeline: SimPipeline,
  job: SimJob,
  ci: CiJob,
  needed: readonly SimJob[],
): Promise<'success' | 'failed' | 'canceled'> {
  const place = join(world.dataDir, 'builds', String(job.id))
  await mkdir(place, { recursive: true })
  const project = projectOf(world, job.projectId)
  const secret = [...(world.variables.get(job.projectId)?.values() ?? [])].filter(
    one => !one.protected || protectionsOf(project, pipeline.ref).length > 0,
  )
  const own = expandAll(
    {
      ...Object.fromEntries(secret.map(one => [one.key, one.value])),
      ...ci.variables,
      ...predefined(world, pipeline, job, place),
    },
    ci.rawVariables,
  )
  for (const [name, audience] of Object.entries(ci.idTokens)) {
    own[name] = signToken(
      world,
      claimsOf(
        world,
        pipeline,
        job,
        audience.map(one => expand(one, own)),
      ),
    )
    hide(world, job, own[name])
  }
  for (const one of secret) if (one.masked) hide(world, job, one.value)
  const say = (text: string | Buffer) => keepOutput(world, job, Buffer.from(text))
  if (own.GIT_STRATEGY !== 'none')
    await shell('sh', [
      '-c',
      `git -C "$1" archive "$2" | tar -x -C "$3"`,
      'checkout',
      project.directory,
      job.sha,
      place,
    ])
  for (const one of needed)
    await cp(artifactsOf(world, one.id), place, { recursive: true, force: true }).catch(() => {})

  let canceled = false
  let child: ChildProcess | null = null
  const end = (signal: NodeJS.Signals) => {
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null)
      try {
        process.kill(-child.pid, signal)
      } catch {
        // It has just ended.
      }
  }
  const part = async (name: string, list: readonly string[], more: Record<string, string>): Promise<number> => {
    if (list.length === 0) return 0
    const file = join(world.dataDir, 'builds', `${job.id}.${name}`)
    await writeFile(file, scriptOf(list))
    const [program = 'sh', ...words] = world.settings.ciShell
    child = spawn(program, [...words, file], {
      cwd: place,
      env: { ...own, ...more, PATH: world.settings.ciPath ?? process.env.PATH, HOME: place },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout?.on('data', say)
    child.stderr?.on('data', say)
    return ended(child)
  }
  const stop = () => {
    canceled = true
    end('SIGTERM')
    setTimeout(() => end('SIGKILL'), 2_000).unref()
  }
  const close = () => end('SIGKILL')
  world.running.set(job.id, { cancel: stop })
  world.closed.addEventListener('abort', close)
  try {
    const code = await part('script', ci.script, {})
    const status = canceled ? 'canceled' : code === 0 ? 'success' : 'failed'
    world.running.delete(job.id)
    if (!world.closed.aborted) await part('after_script', ci.afterScript, { CI_JOB_STATUS: status })
    job.exitCode = code
    say(status === 'success' ? 'Job succeeded\n' : `ERROR: Job ${status}: exit code ${code}\n`)
    if (status === 'success' || ci.artifacts.always) await keepArtifacts(world, job, ci, place)
    return status
  } finally {
    world.running.delete(job.id)
    world.closed.removeEventListener('abort', close)
    await rm(place, { recursive: true, force: true, maxRetries: 5 }).catch(() => {})
  }
}

/** What a person sees of the trace: masked values never. */
export function traceOf(world: World, jobId: number): string | null {
  const trace = world.traces.get(jobId)
  if (trace === undefined) return null
  return trace.hidden.reduce((text, value) => text.replaceAll(value, '[MASKED]'), Buffer.concat(trace.parts).toString())
}

/**
 * helpers/trace/buffer.go: over its limit the runner drops whatever comes. What counts is what it sends: text, with a time before each line
 * (common/buildlogger, FF_TIMESTAMPS), which GitLab does not show as part of it.
 */
function keepOutput(world: World, job: SimJob, chunk: Buffer): void {
  const trace = world.traces.get(job.id)
  const limit = world.settings.ciOutputLimit
  if (trace === undefined || trace.written >= limit) return
  let from = 0
  while (from < chunk.length) {
    const end = chunk.indexOf(10, from) + 1 || chunk.length
    const line = chunk.subarray(from, end)
    const size = Buffer.byteLength(line.toString()) + (line.at(-1) === 10 ? timeBeforeLine : 0)
    if (trace.written + size > limit) break
    trace.written += size
    from = end
  }
  trace.parts.push(chunk.subarray(0, from))
  if (from === chunk.length) return
  trace.written = limit
  trace.parts.push(
    Buffer.from(
      `\n\x1b[33;1mJob's log exceeded limit of ${limit} bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n`,
    ),
  )
}

const timeBeforeLine = '2026-11-28T00:00:00.000000Z 00O '.length

function hide(world: World, job: SimJob, value: string): void {
  world.traces.get(job.id)?.hidden.push(value)
}

/** As runners write it: each line is shown before it runs, the first that fails ends the script. */
function scriptOf(list: readonly string[]): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
  const shown = (line: string) => (line.includes('\n') ? `${line.split('\n')[0]} # collapsed multi-line command` : line)
  return [
    'set -e',
    ...list.flatMap(line => [`printf '\\033[32;1m$ %s\\033[0;m\\n' ${quote(shown(line))}`, line]),
    '',
  ].join('\n')
}

async function keepArtifacts(world: World, job: SimJob, ci: CiJob, place: string): Promise<void> {
  const to = artifactsOf(world, job.id)
  await mkdir(to, { recursive: true })
  const copy =
    'cd "$1" && shift && to=$1 && shift && for one in "$@"; do for path in $one; do [ -e "$path" ] && cp -a --parents "$path" "$to"; done; done; true'
  await shell('sh', ['-c', copy, 'artifacts', place, to, ...ci.artifacts.paths.map(path => path.replace(/\/$/, ''))])
}

/** Where the files are that a job left, as its artifacts. */
export const artifactFolder = artifactsOf

async function shell(program: string, words: string[]): Promise<void> {
  await ended(spawn(program, words, { stdio: 'ignore' }))
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    // Not `exit`: what it wrote last is still on its way then.
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })
}

function predefined(world: World, pipeline: SimPipeline, job: SimJob, place: string): Record<string, string> {
  const project = projectOf(world, job.projectId)
  const user = userOf(world, job.userId)
  return {
    CI: 'true',
    GITLAB_CI: 'true',
    CI_SERVER_URL: world.url,
    CI_SERVER_FQDN: new URL(world.url).host,
    CI_API_V4_URL: `${world.url}/api/v4`,
    CI_PROJECT_ID: String(project.id),
    CI_PROJECT_PATH: project.fullPath,
    CI_PROJECT_DIR: place,
    CI_PIPELINE_ID: String(pipeline.id),
    CI_PIPELINE_SOURCE: pipeline.source,
    CI_COMMIT_SHA: job.sha,
    CI_COMMIT_SHORT_SHA: job.sha.slice(0, 8),
    CI_COMMIT_REF_NAME: job.ref,
    ...(pipeline.tag || pipeline.mergeRequestId !== null ? {} : { CI_COMMIT_BRANCH: job.ref }),
    CI_JOB_ID: String(job.id),
    CI_JOB_NAME: job.name,
    CI_JOB_STAGE: job.stage,
    CI_JOB_TIMEOUT: String(world.settings.ciJobTimeout),
    GITLAB_USER_ID: String(user.id),
    GITLAB_USER_LOGIN: user.username,
  }
}

function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\{(\w+)\}|\$(\w+)/g, (whole, braced?: string, bare?: string) =>
    whole === '$$' ? '$' : (values[braced ?? bare ?? ''] ?? ''),
  )
}

/** GitLab expands variables in variables, those of the project too, unless they are raw; one level is enough here. */
function expandAll(values: Record<string, string>, raw: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      value.includes('$') && !raw.includes(key) ? expand(value, values) : value,
    ]),
  )
}
