import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Writable } from 'node:stream'
import { systemClock } from '../../clock.ts'
import { ciCodes, formerNames, ownWorkKeys } from '../../model/ci.ts'
import { CommandError, type Io } from '../command.ts'
import { type BridgeClient, openBridge } from './bridge-client.ts'

/** What gitlab-runner gives a driver; a person's variables come as `CUSTOM_ENV_…`, and nothing of the site's is read from them. */
export interface Driver {
  readonly io: Io
  readonly url: string
  readonly buildsDir: string
  /** gitlab-runner's directory for this job; it goes with it. */
  readonly tmp: string
  /** Exit codes for the job's own failure, and for ours. */
  readonly codes: { readonly build: number; readonly system: number }
}

/** The stages whose script is the person's: the runner renames `step_script` while it tells drivers, and says that this will change. */
const onCluster: ReadonlySet<string> = new Set(['build_script', 'step_script'])

export const say = ({ io }: Driver, text: string) => io.stdout.write(`compops: ${text}\n`)

export const jobVariable = ({ io }: Driver, name: string): string => io.env[`CUSTOM_ENV_${name}`] ?? ''

/** The id_token of the job: ours, or the one that jobs for Jacamar have. */
export const tokenOf = (driver: Driver): string =>
  jobVariable(driver, 'COMPOPS_ID_TOKEN') || jobVariable(driver, 'SITE_ID_TOKEN')

/** `run SCRIPT STAGE`: the person's script goes to the cluster; clone, artifacts and the rest stay on the runner. */
export async function runStage(driver: Driver, script: string, stage: string): Promise<number> {
  if (!onCluster.has(stage)) return (await runHere(script, hereOf(driver.io.env))) === 0 ? 0 : driver.codes.build
  const copy = await shareScript(driver, script)
  const stop = new AbortController()
  let asked = false
  const bridge = await bridgeOf(driver, stop.signal)
  // Cancelled in GitLab, or its time is up: the runner ends us, and in a while kills us.
  const onEnd = () => stop.abort()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, onEnd)
  try {
    const begun = await bridge.ask('', formOf(driver, copy))
    asked = true
    say(driver, `${begun.said}; run ${begun.words.get('run')}`)
    const code = await follow(driver, bridge, stop.signal)
    await rm(copy, { force: true })
    if (code === 0) return 0
    if (code === ciCodes.notRun) return driver.codes.system
    const file = driver.io.env.BUILD_EXIT_CODE_FILE
    if (file !== undefined && file !== '') await writeFile(file, String(code))
    return driver.codes.build
  } catch (error) {
    if (!stop.signal.aborted) throw error
    if (asked) await cancel(driver)
    return driver.codes.build
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, onEnd)
  }
}

/** Ends what is left of the job, whatever became of the driver. Throws where the job never asked for anything. */
async function cancel(driver: Driver): Promise<BridgeClient> {
  const bridge = await bridgeOf(driver, undefined, 20)
  const { said } = await bridge.ask('/cancel', {})
  say(driver, said)
  return bridge
}

/** What a call that was killed has left: the batch job, and its script, which is there as long as the job may still open it. */
export async function leaveNothing(driver: Driver, seconds = 30): Promise<void> {
  try {
    const bridge = await cancel(driver)
    for (let n = 0; n < seconds && (await bridge.ask('')).words.get('ended') !== 'yes'; n++)
      await new Promise(resolve => setTimeout(resolve, 1_000))
  } finally {
    const folder = scriptsOf(driver)
    const own = `${jobVariable(driver, 'CI_JOB_ID')}.`
    for (const name of await readdir(folder).catch(() => []))
      if (name.startsWith(own)) await rm(join(folder, name), { force: true })
  }
}

const scriptsOf = ({ buildsDir }: Driver) => join(buildsDir, '.compops')

/** As many bytes as the runner keeps where `output_limit` is not set, less what it says itself. */
const usualLimit = 3_500_000

/** As `compops_follow` in the templates: from `after` on there is room for the last lines only. */
async function follow(driver: Driver, bridge: BridgeClient, signal: AbortSignal): Promise<number> {
  const limit = Number(/^\d{1,12}$/.exec(jobVariable(driver, 'COMPOPS_LOG_LIMIT'))?.[0] ?? usualLimit)
  let [attempt, offset, last, pause, printed] = ['-', '0', '', 500, 0]
  let after: string | null = null
  for (;;) {
    const where: string = after === null ? `offset=${offset}&room=${Math.max(0, limit - printed)}` : `after=${after}`
    const { words, said, body } = await bridge.ask(`/log?job=0&attempt=${attempt}&${where}`)
    const done = words.get('done') === 'yes'
    // What was left out is said behind the last lines.
    if (said !== last && !(after !== null && done)) say(driver, said)
    if (body.length > 0) await written(driver, body)
    if (after !== null && done && said !== last) say(driver, said)
    last = said
    printed += Number(words.get('cost') ?? 0)
    attempt = words.get('attempt') ?? '-'
    offset = words.get('next') ?? '0'
    if (after === null && words.get('full') === 'yes') {
      say(
        driver,
        'COMPOPS_LOG_LIMIT is reached: the last lines follow when it has ended, the rest stays on the cluster',
      )
      after = offset
      continue
    }
    if (done) break
    if (body.length > 0) {
      pause = 500
      if (Number(offset) < Number(words.get('size'))) continue
    } else pause = Math.min(5_000, pause * 1.5)
    await systemClock.sleep(pause, signal)
    signal.throwIfAborted()
  }
  for (;;) {
    const { words } = await bridge.ask('')
    if (words.get('ended') === 'yes') return Number(words.get('code'))
    await systemClock.sleep(1_000, signal)
    signal.throwIfAborted()
  }
}

/** Not faster than the runner takes it: what waits would be kept in memory. */
async function written({ io }: Driver, body: Buffer): Promise<void> {
  if (io.stdout.write(body.toString()) === false && io.stdout instanceof Writable) await once(io.stdout, 'drain')
}

/** Its text holds the job's variables, masked ones too: it goes through the shared file system, for its owner alone, never through the service. */
async function shareScript(driver: Driver, script: string): Promise<string> {
  const folder = scriptsOf(driver)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const copy = join(folder, `${jobVariable(driver, 'CI_JOB_ID') || basename(script)}.${process.pid}`)
  await copyFile(script, copy)
  await chmod(copy, 0o700)
  return copy
}

function formOf(driver: Driver, script: string): Record<string, string> {
  const form: Record<string, string> = {
    mode: 'attach',
    name: jobVariable(driver, 'CI_JOB_NAME'),
    script: `exec bash '${script.replaceAll("'", `'\\''`)}'`,
  }
  const take = (field: string, variable: string) => {
    const value = jobVariable(driver, variable)
    if (value !== '') form[field] = value
  }
  for (const key of [...ownWorkKeys.text, ...ownWorkKeys.count, ...ownWorkKeys.list])
    take(key, `COMPOPS_${key.toUpperCase()}`)
  for (const name of ['SCHEDULER_PARAMETERS', 'SLURM_EXCLUSIVE', ...Object.keys(formerNames)]) take(name, name)
  take('max_wait', 'COMPOPS_MAX_WAIT')
  return form
}

async function bridgeOf(driver: Driver, signal?: AbortSignal, patience?: number): Promise<BridgeClient> {
  const token = tokenOf(driver)
  if (token === '')
    throw new CommandError(
      driver.codes.build,
      `the job has no id_token: write \`id_tokens: { COMPOPS_ID_TOKEN: { aud: ${driver.url} } }\``,
    )
  return openBridge({
    ...{ url: driver.url, token, holder: await holderOf(driver) },
    onTrouble: why => say(driver, `no answer yet, trying on: ${why}`),
    ...(signal === undefined ? {} : { signal }),
    ...(patience === undefined ? {} : { patience }),
  })
}

/** The same in each call of one job. */
async function holderOf(driver: Driver): Promise<string> {
  const file = join(driver.tmp, `compops-holder-${jobVariable(driver, 'CI_JOB_ID')}`)
  const known = await readFile(file, 'utf8').catch(() => '')
  if (known !== '') return known
  const made = randomBytes(24).toString('hex')
  await writeFile(file, made, { mode: 0o600, flag: 'wx' })
  return made
}

/** What clone, caches and artifacts need of the machine: its programs, a place for files, its way out. */
const ofMachine = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'].flatMap(name => [name, name.toUpperCase()]),
]

/** For scripts on the runner, `after_script` of the person among them: the variables of the job, and of the driver's own environment, which may hold the site's secrets, what they need. */
export function hereOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const prefix = 'CUSTOM_ENV_'
  const ofJob = Object.keys(env).flatMap(name =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), env[name]] as const] : [],
  )
  const here = [...ofJob, ...ofMachine.map(name => [name, env[name]] as const)]
  return Object.fromEntries(here.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

function runHere(script: string, env: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [script], { stdio: 'inherit', env })
    child.once('error', reject)
    child.once('close', code => resolve(code ?? 1))
  })
}
