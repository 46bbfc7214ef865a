import { access, constants, mkdir } from 'node:fs/promises'
import { CompopsError } from '../errors.ts'
import { CommandError, type Io, type RunCommand, readCommandLine, UsageError } from './command.ts'
import { type Driver, jobVariable, leaveNothing, runStage, say, tokenOf } from './executor/run.ts'

/**
 * `compops executor config|prepare|run|cleanup`: what gitlab-runner's custom executor calls. The script of a job runs on the cluster through the service, everything else of it on the runner;
 * ci-templates/README.md has the lines of `config.toml`. The job's own failure and ours have the exit codes that the runner asks for.
 */
export const run: RunCommand = async (args, io) => {
  const codes = {
    build: codeOf(io, 'BUILD_FAILURE_EXIT_CODE', 1),
    system: codeOf(io, 'SYSTEM_FAILURE_EXIT_CODE', 2),
  }
  try {
    const { values, files } = readCommandLine(args, io.env, { values: ['url', 'builds-dir'], files: 3 })
    const [step, ...rest] = files
    const url = values.get('url') ?? io.env.COMPOPS_URL
    const buildsDir = values.get('builds-dir') ?? io.env.COMPOPS_BUILDS_DIR
    if (url === undefined || buildsDir === undefined)
      throw new UsageError('where? compops executor STEP --url https://… --builds-dir /shared/builds')
    const driver: Driver = { io, url, buildsDir, codes, tmp: io.env.TMPDIR ?? '/tmp' }
    switch (step) {
      case 'config':
        return config(driver)
      case 'prepare':
        return await prepare(driver)
      case 'run': {
        const [script, stage] = rest
        if (script === undefined || stage === undefined) throw new UsageError('compops executor run SCRIPT STAGE')
        return await runStage(driver, script, stage)
      }
      case 'cleanup':
        return await cleanup(driver)
      default:
        throw new UsageError('compops executor config|prepare|run|cleanup')
    }
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    io.stderr.write(`compops: ${error.message}\n`)
    return error instanceof CommandError && error.exitCode === codes.build ? codes.build : codes.system
  }
}

function codeOf(io: Io, name: string, otherwise: number): number {
  const text = io.env[name] ?? ''
  return /^\d{1,3}$/.test(text) ? Number(text) : otherwise
}

/** The directories must be the same on the nodes: what `get_sources` clones is what the batch job finds. */
function config({ io, buildsDir }: Driver): number {
  io.stdout.write(
    `${JSON.stringify({
      builds_dir: buildsDir,
      cache_dir: `${buildsDir}/.cache`,
      builds_dir_is_shared: true,
      driver: { name: 'compops', version: '1' },
    })}\n`,
  )
  return 0
}

async function prepare(driver: Driver): Promise<number> {
  await mkdir(driver.buildsDir, { recursive: true, mode: 0o700 }).catch(() => {})
  await access(driver.buildsDir, constants.W_OK).catch(() => {
    throw new CompopsError(`${driver.buildsDir} cannot be written`)
  })
  if (tokenOf(driver) === '')
    throw new CommandError(
      driver.codes.build,
      `the job has no id_token: write \`id_tokens: { COMPOPS_ID_TOKEN: { aud: ${driver.url} } }\``,
    )
  const answer = await fetch(`${driver.url.replace(/\/$/, '')}/healthz`, { signal: AbortSignal.timeout(20_000) }).catch(
    () => null,
  )
  if (answer?.ok !== true) throw new CompopsError(`${driver.url} does not answer`)
  say(driver, `${jobVariable(driver, 'CI_JOB_NAME')} runs on the cluster through ${driver.url}`)
  return 0
}

/** Called whatever happened, and never a reason to fail: a batch job whose driver was killed is ended here. */
async function cleanup(driver: Driver): Promise<number> {
  if (tokenOf(driver) !== '') await leaveNothing(driver).catch(() => {})
  return 0
}
