import { CompopsError } from '../errors.ts'
import type { JobSpec, ParamValue } from '../model/job-spec.ts'
import { largestDigested } from '../model/observation.ts'
import { mayRunAgain } from '../model/retry.ts'
import { checkpointing } from './checkpoint.ts'
import type { Dialect, JobRequest } from './dialect.ts'
import { enterImage, findContainerTool } from './image.ts'
import { bringInputs } from './inputs.ts'
import { quote, quoteArray } from './quote.ts'
import { watch } from './watch.ts'
import { prologue, wrapper, wrapperBody } from './wrapper.ts'

/** A line of a script for people to read, and the key of the job's `origins` that its value came from. */
export interface ScriptLine {
  readonly text: string
  readonly key: string | null
}

export interface ScriptLimits {
  /** Larger files are listed without a digest. Bytes, default 1 GiB. */
  readonly hashLimit?: number
  /** More outputs are counted, not listed. Default 2,000. */
  readonly listLimit?: number
  /** Between two looks at the log of a job that is watched. Seconds, default 10, or a quarter of its `stall_timeout`. */
  readonly watchEvery?: number
}

/** One string of an environment may have 128 KiB on Linux (execve(2), MAX_ARG_STRLEN); longer values are in params.json only. */
const environmentLimit = 100 * 1024

/**
 * The whole text that is submitted: directives, values, wrapper. Pure.
 * `-l`: `module` and what else a site sets up is there only for login shells.
 */
export function renderScript(request: JobRequest, dialect: Dialect, limits: ScriptLimits = {}): string {
  return `${[...headLines(request, dialect).map(line => line.text), ...valueLines(request, dialect, limits)].join('\n')}
${prologue}
${dialect.identify}
${wrapper}${isWatched(request.spec) ? watch : ''}${mayRunAgain(request.spec) ? checkpointing : ''}${dialect.hooks}
${wrapperBody}`
}

function isWatched({ fail_on, stall_timeout, progress }: JobSpec): boolean {
  return (fail_on ?? []).length > 0 || stall_timeout !== undefined || progress !== undefined
}

/** The lines that a person wants to see before a submission: what is asked of the scheduler, and what is run. */
export function planLines(request: JobRequest, dialect: Dialect): ScriptLine[] {
  return [...headLines(request, dialect).slice(1), ...commandLines(request.spec)]
}

function headLines(request: JobRequest, dialect: Dialect): ScriptLine[] {
  const lines: ScriptLine[] = [{ text: '#!/bin/bash -l', key: null }]
  for (const { option, key } of dialect.directives(request.spec)) {
    if (dialect.prefix !== null) lines.push({ text: `${dialect.prefix} ${option}`, key })
  }
  return lines
}

function valueLines(
  request: JobRequest,
  dialect: Dialect,
  { hashLimit = largestDigested, listLimit = 2_000, watchEvery }: ScriptLimits,
): string[] {
  const { spec } = request
  for (const { path } of request.inputs ?? []) insideCheckout(path)
  for (const pattern of [...spec.outputs, ...(spec.metrics === null ? [] : [spec.metrics])]) insideCheckout(pattern)
  const env = Object.entries(spec.env).map(([name, value]) => `${environmentName(name)}=${value}`)
  const variables = { ...paramVariables(spec.params), ...request.variables }
  const indexes = request.array?.indexes ?? []
  return [
    `# ${request.name}; everything below is the same for every job`,
    `compops_dir=${quote(request.directory)}`,
    `compops_work=${quote(request.work)}`,
    `compops_output=${quote(request.outputDirectory)}`,
    `compops_events=${quote(request.events ?? '')}`,
    `compops_env=${quoteArray(env)}`,
    `compops_variables=${quoteArray(
      Object.entries({
        ...variables,
        COMPOPS_OUTPUT_DIR: request.outputDirectory,
        COMPOPS_CACHE: request.cache,
        COMPOPS_PARAMS_FILE: `${request.directory}/params.json`,
      }).map(([name, value]) => `${environmentName(name)}=${value}`),
    )}`,
    // Of an array; and where the scheduler could not give its tasks their numbers, those, in the scheduler's order, and its own variable.
    `compops_array=${request.array === null ? '' : 'yes'}`,
    `compops_indexes=(${indexes.map(Math.trunc).join(' ')})`,
    `compops_array_variable=${indexes.length === 0 ? '' : environmentName(dialect.array.variable)}`,
    `compops_patterns=${quoteArray(spec.outputs)}`,
    `compops_metrics=${quote(spec.metrics ?? '')}`,
    `compops_secrets=${(spec.secrets ?? []).length > 0 ? 'yes' : ''}`,
    `compops_seconds=${quote(spec.resources.time === undefined ? '' : String(spec.resources.time))}`,
    ...(isWatched(spec)
      ? [
          `compops_fail_on=${quoteArray(spec.fail_on ?? [])}`,
          `compops_stall=${quote(spec.stall_timeout === undefined ? '' : String(spec.stall_timeout))}`,
          `compops_progress_pattern=${quote(spec.progress ?? '')}`,
          `compops_watch_every=${watchEvery ?? Math.max(1, Math.min(10, Math.floor((spec.stall_timeout ?? 60) / 4)))}`,
        ]
      : []),
    ...(mayRunAgain(spec) ? checkpointLines(request, dialect) : []),
    `compops_hash_limit=${hashLimit}`,
    `compops_list_limit=${listLimit}`,
  ]
}

function checkpointLines({ spec, checkpoints = '' }: JobRequest, dialect: Dialect): string[] {
  const { checkpoint, chain, resources } = spec
  if (chain?.until != null) insideCheckout(chain.until)
  const ours = checkpoint !== undefined && resources.time !== undefined && dialect.sendsSignals !== true
  return [
    `compops_checkpoints=${quote(checkpoints)}`,
    `compops_signal=${checkpoint?.signal ?? ''}`,
    `compops_signal_after=${ours ? Math.max(1, Math.trunc(resources.time! - checkpoint.lead)) : ''}`,
    `compops_until=${quote(chain?.until ?? '')}`,
  ]
}

function environmentName(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new CompopsError(
      `${JSON.stringify(name)} cannot be the name of an environment variable: use letters, digits and _, not a digit first`,
    )
  return name
}

function insideCheckout(path: string): void {
  if (path === '' || path.startsWith('/') || path.split('/').includes('..') || /[\0\n\r]/.test(path))
    throw new CompopsError(
      `${JSON.stringify(path)} leaves the checkout: outputs and metrics are paths below it, without / in front and without ..`,
    )
}

/** `COMPOPS_PARAM_<NAME>` for each parameter: text as it is, everything else as JSON. */
export function paramVariables(params: JobSpec['params']): Record<string, string> {
  const variables = new Map<string, { key: string; value: string }>()
  for (const [key, value] of Object.entries(params)) {
    const name = `COMPOPS_PARAM_${key.toUpperCase().replace(/[^A-Z0-9_]/g, '_')}`
    const before = variables.get(name)
    if (before !== undefined)
      throw new CompopsError(`the params ${before.key} and ${key} would both be ${name}: rename one of them`)
    variables.set(name, { key, value: paramText(value) })
  }
  return Object.fromEntries(
    [...variables]
      .filter(([, { value }]) => Buffer.byteLength(value) <= environmentLimit && !value.includes('\0'))
      .map(([name, { value }]) => [name, value]),
  )
}

function paramText(value: ParamValue): string {
  if (typeof value === 'string') return value
  return value === null ? '' : JSON.stringify(value)
}

/** Read by the wrapper and by nobody else; never part of a script, a spec or an argument. */
export function renderSecrets(secrets: Readonly<Record<string, string>>): string {
  return Object.entries(secrets)
    .map(([name, value]) => `export ${environmentName(name)}=${quote(value)}\n`)
    .join('')
}

export function renderParams(params: JobSpec['params']): string {
  return `${JSON.stringify(params, null, 2)}\n`
}

/**
 * The researcher's commands as a file of their own, run by a bash of its own. Lines stand as they were written; before each, what it is
 * is shown in the log, as GitLab shows it.
 */
export function renderCommands(request: JobRequest): string {
  const { spec } = request
  const own = quote(`${request.directory}/pid.`)
  const lines = [
    // Whom the wrapper passes signals on to.
    `printf '%s\\n' "$$" >${own}"\${COMPOPS_ARRAY_INDEX:-0}"`,
    'set -eo pipefail',
    ...((request.inputs ?? []).length === 0 ? [] : [bringInputs(request.directory)]),
    ...(spec.image === undefined
      ? loadModules(spec)
      : [
          // The same file again, in the image.
          'if [ "${1-}" != inside ]; then',
          ...loadModules(spec),
          findContainerTool,
          ...enterImage(request),
          'fi',
        ]),
    ...spec.setup.flatMap(shown),
    captureEnvironment(request.directory),
  ]
  if (spec.script !== null) lines.push(...spec.script.flatMap(shown))
  else if (spec.file !== null) lines.push(...runFile(spec.file))
  return `${lines.join('\n')}\n`
}

function loadModules({ modules = [] }: JobSpec): string[] {
  return modules.length === 0 ? [] : shown(`module load ${modules.map(quoteWord).join(' ')}`)
}

const quoteWord = (name: string) => (/^[A-Za-z0-9_.+/:@=~-]+$/.test(name) ? name : quote(name))

function shown(line: string): string[] {
  if (line.includes('\0')) throw new CompopsError('a line of the script holds a NUL byte')
  const [first = '', ...more] = line.replace(/\n+$/, '').split('\n')
  const text = more.length > 0 ? `$ ${first} # collapsed multi-line command` : `$ ${first}`
  return [`printf '%s\\n' ${quote(text)}`, line]
}

function runFile({ path, interpreter }: NonNullable<JobSpec['file']>): string[] {
  insideCheckout(path)
  const file = quote(`./${path}`)
  return [
    `printf '%s\\n' ${quote(`$ ${[...interpreter, path].join(' ')}`)}`,
    `[ -f ${file} ] || { printf 'compops: %s is not in this commit\\n' ${file}; exit 127; }`,
    `exec ${interpreter.map(quote).join(' ')} ${file}`,
  ]
}

function commandLines(spec: JobSpec): ScriptLine[] {
  const lines: ScriptLine[] = []
  if (spec.image !== undefined) lines.push({ text: `(in the image ${spec.image})`, key: 'image' })
  if (spec.modules !== undefined) lines.push({ text: `module load ${spec.modules.join(' ')}`, key: 'modules' })
  lines.push(...spec.setup.map((text, i) => ({ text, key: `setup[${i}]` })))
  if (spec.script !== null) lines.push(...spec.script.map((text, i) => ({ text, key: `script[${i}]` })))
  if (spec.file !== null) lines.push({ text: [...spec.file.interpreter, spec.file.path].join(' '), key: 'file' })
  return lines
}

/** After `setup`, since modules loaded there are seen only by this shell. */
function captureEnvironment(directory: string): string {
  return `{
  printf 'modules %s\\n' "\${LOADEDMODULES-}"
  [ -z "\${COMPOPS_BUNDLE_SHA256-}" ] || printf 'packages sha256:%s\\n' "$COMPOPS_BUNDLE_SHA256"
  for compops_tool in gcc python3 julia mpirun nvcc; do
    if command -v "$compops_tool" >/dev/null; then
      printf '%s %s\\n' "$compops_tool" "$(timeout 5 "$compops_tool" --version 2>&1 </dev/null | head -n 1)"
    fi
  done
} >>${quote(`${directory}/environment.`)}"\${COMPOPS_ARRAY_INDEX:-0}" 2>/dev/null || :
unset compops_tool`
}
