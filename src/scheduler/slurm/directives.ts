import { CompopsError } from '../../errors.ts'
import type { GpuRequest, Resources } from '../../model/job-spec.ts'
import { nodeName } from '../../model/retry.ts'
import type { BatchDirectives, Directive, DirectiveSpec, DroppedDirective } from '../dialect.ts'
import { matches } from '../glob.ts'
import { neverAllowed, optionByLetter, optionByName } from './options.ts'
import { show } from './values.ts'

/** What we write behind `#SBATCH`, and what others wrote there. */

/** What the keys of a job come to in sbatch's long options. The key beside each is that of the job's `origins`. */
export function directives({ resources: r, directives: raw, exclude = [], checkpoint }: DirectiveSpec): Directive[] {
  const lines: Directive[] = []
  const text = (key: keyof Resources, option: string, pattern = /^[\w.:,;=@%+/-]+$/) => {
    const value = r[key]
    if (value === undefined) return
    if (typeof value !== 'string' || !pattern.test(value) || value.startsWith('-'))
      throw new CompopsError(`${key}: ${show(String(value))} is nothing that sbatch --${option} takes`)
    lines.push({ option: `--${option}=${value}`, key })
  }
  const count = (key: keyof Resources, option: string, least = 1) => {
    const value = r[key]
    if (value === undefined) return
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
      throw new CompopsError(`${key}: ${String(value)} is not a whole number of at least ${least}`)
    lines.push({ option: `--${option}=${value}`, key })
  }
  text('partition', 'partition')
  text('account', 'account')
  text('qos', 'qos')
  text('reservation', 'reservation')
  if (r.time !== undefined) lines.push({ option: `--time=${writeTime(r.time)}`, key: 'time' })
  count('nodes', 'nodes')
  count('ntasks', 'ntasks')
  count('ntasks_per_node', 'ntasks-per-node')
  count('cpus_per_task', 'cpus-per-task')
  for (const [key, option] of [
    ['mem', 'mem'],
    ['mem_per_cpu', 'mem-per-cpu'],
  ] as const) {
    count(key, option)
    const last = lines.at(-1)
    // The unit is written, since a site may have another default.
    if (last?.key === key) lines[lines.length - 1] = { option: `${last.option}M`, key }
  }
  for (const [key, option] of [
    ['gpus', 'gpus'],
    ['gpus_per_node', 'gpus-per-node'],
  ] as const) {
    const gpus = r[key]
    if (gpus !== undefined) lines.push({ option: `--${option}=${writeGpus(key, gpus)}`, key })
  }
  text('gres', 'gres')
  // Features combine with & | , * () [] and !.
  text('constraint', 'constraint', /^[\w.:,;=@%+/&|*()[\]!-]+$/)
  text('licenses', 'licenses', /^[\w.:,;=@%+/|()-]+$/)
  if (r.exclusive === true) lines.push({ option: '--exclusive', key: 'exclusive' })
  if (r.nice !== undefined) {
    if (!Number.isSafeInteger(r.nice)) throw new CompopsError(`nice: ${r.nice} is not a whole number`)
    lines.push({ option: `--nice=${r.nice}`, key: 'nice' })
  }
  if (exclude.length > 0) {
    const strange = exclude.find(node => !nodeName.test(node))
    if (strange !== undefined) throw new CompopsError(`${show(strange)} is not the name of a node`)
    lines.push({ option: `--exclude=${exclude.join(',')}`, key: 'retry' })
  }
  // B: to the batch shell alone, our wrapper; sbatch(1), --signal, which takes up to 65535 seconds.
  if (checkpoint !== undefined)
    lines.push({ option: `--signal=B:${checkpoint.signal}@${Math.min(65_535, checkpoint.lead)}`, key: 'checkpoint' })
  for (const [i, directive] of raw.entries()) {
    const reason = refuse(directive)
    if (reason !== null) throw new CompopsError(`directives: ${reason}`)
    lines.push({ option: directive, key: `directives[${i}]` })
  }
  return lines
}

/** `[days-]hh:mm:ss`. A bare number would be minutes. */
function writeTime(seconds: number): string {
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new CompopsError(`time: ${seconds} is not a whole number of seconds of at least 1`)
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0')
  const days = Math.floor(seconds / 86_400)
  const clock = `${two((seconds % 86_400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`
  return days === 0 ? clock : `${days}-${clock}`
}

function writeGpus(key: string, { type, count }: GpuRequest): string {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new CompopsError(`${key}: ${count} is not a whole number of at least 1`)
  if (type === null) return String(count)
  if (!/^[A-Za-z0-9][\w.+-]*$/.test(type)) throw new CompopsError(`${key}: ${show(type)} is not a type of GPU`)
  return `${type}:${count}`
}

/** A raw directive is `--option` or `--option=value`, without what a `#SBATCH` line would read as something else (blanks, quotes, #, \). */
function refuse(directive: string): string | null {
  if (/[\0-\x1f\x7f]/.test(directive)) return `${show(directive)} holds a newline or another control character`
  const found = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/.exec(directive)
  if (found === null)
    return `${show(directive)} is not an option as sbatch has them: write --option=value, in its long form`
  if (/[\s"'\\#]/.test(found[2] ?? '')) return `${show(directive)} holds a blank, a quote, a backslash or #`
  return neverAllowed(found[1]!)
}

/** `true`, or why not. Globs of the site: `*` stands for anything. */
export function allowedDirective(allowed: readonly string[], directive: string): true | string {
  const reason = refuse(directive)
  if (reason !== null) return reason
  const name = /^--[^=]*/.exec(directive)![0]
  // A shortened option would pass by a pattern for another one.
  if (!optionByName.has(name.slice(2))) {
    const meant = [...optionByName.keys()].find(option => option.startsWith(name.slice(2)))
    if (meant !== undefined) return `${name} is short for --${meant}: write it out`
  }
  if (allowed.some(pattern => matches(pattern, directive))) return true
  const list = allowed.length === 0 ? 'it allows none' : `it allows ${allowed.join(', ')}`
  return `${name} is not among the directives that this cluster allows (allow_directives): ${list}`
}

/** Left out, these would make another computation of it. */
const essential: ReadonlySet<string> = new Set(['dependency', 'clusters', 'begin', 'hold'])

/**
 * The `#SBATCH` lines of a batch script: up to the first line that is neither blank nor a comment, several options on a line, quotes and
 * backslashes as sbatch reads them, a `#` that is not quoted ends the line. The last one wins, as with sbatch.
 */
export function readDirectives(text: string): BatchDirectives {
  const resources: { [key: string]: unknown } = {}
  const lines: Record<string, number> = {}
  const kept: { directive: string; line: number }[] = []
  const dropped: DroppedDirective[] = []
  let array: BatchDirectives['array']
  for (const [i, written] of text.split('\n').entries()) {
    const line = i + 1
    const row = written.replace(/\r$/, '')
    if (!row.startsWith('#SBATCH')) {
      const command = /\S/.exec(row)?.[0]
      if (command !== undefined && command !== '#') break
      continue
    }
    // `#SBATCHx` is a comment to people and an option to sbatch; it starts right behind the word.
    const { words, problem } = splitWords(row.slice('#SBATCH'.length))
    if (problem !== null) dropped.push({ directive: row, line, reason: problem })
    for (const option of readOptions(words)) {
      if ('problem' in option) {
        dropped.push({ directive: option.text, line, reason: option.problem })
        continue
      }
      if (option.name === 'array' && option.value !== null) {
        array = { text: option.value, line }
        continue
      }
      const directive = option.value === null ? `--${option.name}` : `--${option.name}=${option.value}`
      const reason = refuse(directive)
      if (reason !== null) {
        dropped.push({ directive, line, reason, ...(essential.has(option.name) ? { essential: true } : {}) })
        continue
      }
      const known = readResource(option.name, option.value)
      if (known === null) {
        const before = kept.findIndex(one => one.directive.split('=')[0] === `--${option.name}`)
        if (before !== -1) kept.splice(before, 1)
        kept.push({ directive, line })
      } else {
        resources[known.key] = known.value
        lines[known.key] = line
      }
    }
  }
  return {
    resources: resources as Resources,
    lines,
    directives: kept,
    ...(array === undefined ? {} : { array }),
    dropped,
  }
}

function splitWords(text: string): { words: string[]; problem: string | null } {
  const words: string[] = []
  let word: string | null = null
  let quote: string | null = null
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (c === '\\' && i + 1 < text.length) word = (word ?? '') + text[++i]
    else if (quote !== null) {
      if (c === quote) quote = null
      else word = (word ?? '') + c
    } else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (c === '#') break
    else if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (quote !== null) return { words: [], problem: `a quote (${quote}) is not closed` }
  if (word !== null) words.push(word)
  return { words, problem: null }
}

type ReadOption =
  | { readonly name: string; readonly value: string | null }
  | { readonly problem: string; readonly text: string }

/** getopt_long(3): `--name=value`, `--name value`, `-n value`, `-nvalue`, beginnings of long names. */
function readOptions(words: readonly string[]): ReadOption[] {
  const found: ReadOption[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word.startsWith('--') && word.length > 2) {
      const equals = word.indexOf('=')
      const given = word.slice(2, equals === -1 ? undefined : equals)
      const meant = [...optionByName.keys()].filter(option => option.startsWith(given))
      const option = optionByName.get(given) ?? (meant.length === 1 ? optionByName.get(meant[0]!) : undefined)
      const value = equals === -1 ? null : word.slice(equals + 1)
      if (option?.value === 'required' && value === null) {
        const next = words[++i]
        found.push(
          next === undefined
            ? { problem: `--${option.name} needs a value`, text: word }
            : { name: option.name, value: next },
        )
      } else found.push({ name: option?.name ?? given, value })
    } else if (/^-[A-Za-z]/.test(word)) {
      const option = optionByLetter.get(word[1]!)
      const attached = word.slice(2)
      if (option === undefined) found.push({ problem: 'sbatch has no such option', text: word })
      else if (option.value !== 'required') {
        found.push({ name: option.name, value: option.value === 'optional' && attached !== '' ? attached : null })
        if (option.value === 'none' && attached !== '') found.push(...readOptions([`-${attached}`]))
      } else if (attached !== '') found.push({ name: option.name, value: attached })
      else {
        const next = words[++i]
        found.push(
          next === undefined
            ? { problem: `--${option.name} needs a value`, text: word }
            : { name: option.name, value: next },
        )
      }
    } else found.push({ problem: 'not an option', text: word })
  }
  return found
}

const textKeys: Readonly<Record<string, keyof Resources>> = {
  partition: 'partition',
  account: 'account',
  qos: 'qos',
  reservation: 'reservation',
  gres: 'gres',
  constraint: 'constraint',
  licenses: 'licenses',
}
const countKeys: Readonly<Record<string, keyof Resources>> = {
  nodes: 'nodes',
  ntasks: 'ntasks',
  'ntasks-per-node': 'ntasks_per_node',
  'cpus-per-task': 'cpus_per_task',
}
const sizeKeys: Readonly<Record<string, keyof Resources>> = { mem: 'mem', 'mem-per-cpu': 'mem_per_cpu' }
const gpuKeys: Readonly<Record<string, keyof Resources>> = { gpus: 'gpus', 'gpus-per-node': 'gpus_per_node' }

/** An option in our words; null where we have none for it or not for this value (`--nodes=2-4`, `--mem=0`, `--exclusive=user`): it stays as it is. */
function readResource(name: string, value: string | null): { key: keyof Resources; value: unknown } | null {
  if (name === 'exclusive') return value === null ? { key: 'exclusive', value: true } : null
  if (name === 'nice') return { key: 'nice', value: value === null ? 100 : /^-?\d+$/.test(value) ? Number(value) : 0 }
  if (value === null) return null
  if (Object.hasOwn(textKeys, name)) return { key: textKeys[name]!, value }
  const count = (key: keyof Resources | undefined, read: number | GpuRequest | null) =>
    key === undefined || read === null ? null : { key, value: read }
  if (Object.hasOwn(countKeys, name)) return count(countKeys[name], positive(value))
  if (Object.hasOwn(sizeKeys, name)) return count(sizeKeys[name], readMebibytes(value))
  if (Object.hasOwn(gpuKeys, name)) return count(gpuKeys[name], readGpus(value))
  if (name === 'time') return count('time', readTimeLimit(value))
  return null
}

function positive(value: string): number | null {
  return /^[1-9]\d{0,8}$/.test(value) ? Number(value) : null
}

/** `2G`, `512`, in MiB; a bare number is megabytes (sbatch(1)). */
function readMebibytes(value: string): number | null {
  const found = /^(\d+)([KMGT]?)B?$/i.exec(value)
  if (found === null) return null
  const factor = { '': 1, K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 }[found[2]!.toUpperCase()]!
  const size = Math.ceil(Number(found[1]) * factor)
  return size > 0 ? size : null
}

function readGpus(value: string): GpuRequest | null {
  const found = /^(?:([A-Za-z0-9][\w.+-]*):)?([1-9]\d*)$/.exec(value)
  return found === null ? null : { type: found[1] ?? null, count: Number(found[2]) }
}

/** minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, days-hours:minutes:seconds (sbatch(1)); in seconds. */
export function readTimeLimit(value: string): number | null {
  const found = /^(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$/.exec(value)
  if (found === null) return null
  const [days, a, b, c] = found.slice(1).map(part => (part === undefined ? null : Number(part)))
  let seconds: number
  if (days !== null && days !== undefined) seconds = days * 86_400 + a! * 3600 + (b ?? 0) * 60 + (c ?? 0)
  else if (c !== null) seconds = a! * 3600 + b! * 60 + c!
  else seconds = a! * 60 + (b ?? 0)
  // 0 asks for no limit.
  return seconds > 0 && Number.isSafeInteger(seconds) ? seconds : null
}
