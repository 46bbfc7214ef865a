import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SimJob } from '../../src/simulator/simulator.ts'
import { until } from './until.ts'
import type { World } from './world.ts'

/** CI pipelines of a world, run for real on this machine. */

const templates = fileURLToPath(new URL('../../ci-templates/templates/', import.meta.url))
export const template = (name: string) => readFileSync(`${templates}${name}.yml`, 'utf8')

/** What a person writes to include one, with the template beside it in the repository. */
export function included(
  world: World,
  name: string,
  inputs: Record<string, unknown>,
  more = '',
): Record<string, string> {
  const given = { url: world.url, ...inputs }
  return {
    [`ci/${name}.yml`]: template(name),
    '.gitlab-ci.yml': `include:\n  - local: ci/${name}.yml\n    inputs: ${JSON.stringify(given)}\n${more}`,
  }
}

export function runsCi(world: World, shell: string[] = ['sh'], path: string | null = null): void {
  Object.assign(world.simulator.settings, { ciJobs: 'run', ciShell: shell, ciPath: path, ciDelayMs: 0, ciJobMs: 1 })
}

/** A PATH with the programs of busybox, and none besides. */
export async function busyboxAlone(path: string): Promise<{ busybox: string; path: string }> {
  const busybox = execFileSync('sh', ['-c', 'command -v busybox']).toString().trim()
  await mkdir(path)
  for (const name of execFileSync(busybox, ['--list']).toString().split('\n').filter(Boolean))
    await symlink(busybox, join(path, name))
  return { busybox, path }
}

/** The newest CI job of that name. */
export const ciJob = (world: World, sha: string, name: string): SimJob | undefined =>
  world.simulator.ciJobs(world.project.id, sha).findLast(job => job.name === name)

export async function ciJobEnds(world: World, sha: string, name: string, seconds = 60): Promise<SimJob> {
  return ciJobIs(world, sha, name, ['success', 'failed', 'canceled', 'skipped'], seconds)
}

export async function ciJobIs(
  world: World,
  sha: string,
  name: string,
  states: readonly string[],
  seconds = 60,
): Promise<SimJob> {
  try {
    return await until(
      `CI job ${name} to be ${states.join(' or ')}`,
      () => {
        const job = ciJob(world, sha, name)
        return job !== undefined && states.includes(job.status) && job
      },
      seconds,
    )
  } catch (error) {
    const all = world.simulator.ciJobs(world.project.id, sha)
    const shown = all.map(job => `${job.name}: ${job.status}\n${world.simulator.trace(job.id) ?? ''}`).join('\n')
    throw new Error(`${String(error)}\n${shown}`, { cause: error })
  }
}

export const traceOf = (world: World, job: SimJob) => world.simulator.trace(job.id) ?? ''

const ciFile = (name = 'solve') => ({ '.gitlab-ci.yml': `${name}:\n  script: [x]\n` })

/** A CI job that waits, and what it would ask with its token. */
export async function waitingJob(world: World, branch = 'main', files: Record<string, string> = {}) {
  world.simulator.settings.ciJobs = 'wait'
  const sha = await world.push(branch, { ...ciFile(), ...files })
  const job = await ciJobIs(world, sha, 'solve', ['pending'])
  const token = (claims: Record<string, unknown> = {}) => world.simulator.idToken(job.id, world.url, claims)
  return { sha, job, token }
}

/** Asks the service as a CI job does; without a form it only looks. */
export async function ask(
  world: World,
  token: string,
  form: Record<string, string> | null,
  path = '',
  more: Record<string, string> = {},
) {
  const answer = await fetch(`${world.url}/bridge/v1/job${path}`, {
    ...(form === null ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    headers: { authorization: `Bearer ${token}`, 'compops-holder': 'the-secret-of-this-job', ...more },
  })
  const body = (await answer.json()) as { detail?: string; run?: string; said?: string; state?: string }
  return { ...body, status: answer.status, type: answer.headers.get('content-type') }
}

/** The form of a CI job that brings its own work. */
export const own = { mode: 'detach', name: 'solve', script: 'true' }
