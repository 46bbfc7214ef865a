import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { asCommandLine, endChild } from './child.ts'
import type { GitLabChild, SharedClock } from './gitlab-child.ts'
import { type InstantSlurm, openInstantSlurm } from './instant-slurm.ts'
import { startRemote } from './rpc.ts'
import type { ServiceChild } from './service-child.ts'

export interface BenchWorldOptions {
  /** A directory of its own is made below. */
  readonly place: string
  readonly name: string
  /** YAML of `clusters:`; default: `falcon`, an instant Slurm of this machine. `ROOT` and `SLURM` stand for its directories. */
  readonly clusters?: string
  readonly rule?: string
  readonly more?: string
  /** How much faster than real time all of it lives. */
  readonly speed?: number
  readonly databaseUrl?: string | null
}

export const secret = 'secret-of-the-bench'

/** GitLab and the service, each a process of its own, and a Slurm that costs nothing: so that what is measured is the service's. */
export async function startBenchWorld(options: BenchWorldOptions) {
  const place = join(options.place, options.name)
  await mkdir(place, { recursive: true })
  const now = Date.now()
  const clock: SharedClock | null =
    options.speed === undefined ? null : { factor: options.speed, start: now, startedAt: now }
  const slurm: InstantSlurm = await openInstantSlurm(place)
  const gitlab = startRemote<GitLabChild>('gitlab-child.ts')
  const service = startRemote<ServiceChild>('service-child.ts', ['--expose-gc', ...asCommandLine])
  const close = async () => {
    await endChild(service.child)
    await endChild(gitlab.child)
  }
  try {
    const { url, token, projectId } = await gitlab.call.start(join(place, 'gitlab'), clock)
    const port = await freePort()
    const configFile = join(place, 'compops.config.yml')
    const clusters =
      options.clusters ??
      '  falcon: { scheduler: slurm, root: ROOT, path: SLURM, poll_interval: 1s, max_submitted: 5000 }'
    await writeFile(
      configFile,
      `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
data_dir: ${join(place, 'data')}
${options.databaseUrl == null ? '' : `database_url: ${options.databaseUrl}`}
gitlab: { url: ${url}, token: "\${BENCH_TOKEN}", webhook_secret: "\${BENCH_SECRET}" }
clusters:
${clusters.replaceAll('ROOT', join(place, 'cluster')).replaceAll('SLURM', slurm.path)}
projects:
  - path: physics/*
${options.rule ?? '    clusters: [falcon]'}
${options.more ?? 'intervals: { shortest_poll: 1s }'}
`,
    )
    return {
      place,
      root: join(place, 'cluster'),
      projectId,
      slurm,
      gitlab: gitlab.call,
      service: service.call,
      port,
      url: `http://127.0.0.1:${port}`,
      clock: () => (clock === null ? Date.now() : clock.start + (Date.now() - clock.startedAt) * clock.factor),
      start: () => service.call.start(configFile, { BENCH_TOKEN: token, BENCH_SECRET: secret }, clock),
      hook: () => gitlab.call.hook(`http://127.0.0.1:${port}/webhooks/gitlab`, secret),
      /** Until every status of these commits has an end; what was asked of GitLab in vain is said in the error. */
      over: (shas: readonly string[], seconds = 60) =>
        until('the statuses to have an end', () => gitlab.call.isOver(shas), seconds).catch(async error => {
          throw new Error(`${error}: ${JSON.stringify(await gitlab.call.states(shas))}`)
        }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

export type BenchWorld = Awaited<ReturnType<typeof startBenchWorld>>

/** A `.compops.yml` of jobs that have no needs. */
export const fileOf = (jobs: number, salt = '') => ({
  '.compops.yml': `jobs:\n${Array.from({ length: jobs }, (_, n) => `  j${n}: { script: ["true ${salt}"] }\n`).join('')}`,
})
