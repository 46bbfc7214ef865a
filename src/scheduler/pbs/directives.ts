import { CompopsError } from '../../errors.ts'
import type { Resources } from '../../model/job-spec.ts'
import type { Directive, DirectiveSpec } from '../dialect.ts'
import { matches } from '../glob.ts'
import { neverAllowed, takesNone, takesValue } from './options.ts'
import { placingKeys, writePlacement } from './select.ts'
import { show } from './values.ts'

/** What we write behind `#PBS`. Each option stands in one form, `-x value`, whatever form somebody wrote. */

/** What the keys of a job come to in qsub's options. The key beside each is that of the job's `origins`. */
export function directives({ resources: r, directives: raw }: DirectiveSpec): Directive[] {
  refuseUnknown(r)
  const lines: Directive[] = []
  const text = (key: keyof Resources, option: string, pattern: RegExp) => {
    const value = r[key]
    if (value === undefined) return
    if (typeof value !== 'string' || !pattern.test(value))
      throw new CompopsError(`${key}: ${show(String(value))} is nothing that qsub ${option} takes`)
    lines.push({ option: `${option} ${value}`, key })
  }
  // A reservation is a queue of its own (pbs_rsub(1B)).
  if (r.reservation !== undefined && r.partition !== undefined)
    throw new CompopsError(`reservation: in PBS it is a queue, and partition names another one: leave partition out`)
  text('partition', '-q', /^[A-Za-z0-9][\w.@-]*$/)
  text('reservation', '-q', /^[A-Za-z0-9][\w.@-]*$/)
  text('account', '-A', /^[A-Za-z0-9][\w.:@/+-]*$/)
  if (r.time !== undefined) lines.push({ option: `-l walltime=${writeTime(r.time)}`, key: 'time' })
  lines.push(...placement(r, raw))
  if (r.nice !== undefined) lines.push({ option: `-p ${writePriority(r.nice)}`, key: 'nice' })
  for (const [i, directive] of raw.entries()) {
    const option = readOption(directive)
    if (typeof option === 'string') throw new CompopsError(`directives: ${option}`)
    lines.push({ option: option.text, key: `directives[${i}]` })
  }
  return lines
}

/** `select` and `place` say everything about where a job runs; written by hand, our keys have nothing to add. */
function placement(r: Resources, raw: readonly string[]): Directive[] {
  const own = raw.find(directive => /^-l ?(?:select|place|nodes|ncpus|mem|ngpus|mpiprocs)=/.test(directive))
  const keys = placingKeys(r)
  if (own !== undefined && keys.length > 0)
    throw new CompopsError(`${keys[0]}: ${show(own)} says already where the job runs: leave one of them out`)
  const written = writePlacement(r)
  if (written === null) return []
  const key = keys.find(one => one !== 'exclusive') ?? 'exclusive'
  return [
    { option: `-l select=${written.select}`, key },
    ...(written.place === null
      ? []
      : [{ option: `-l place=${written.place}`, key: r.exclusive === true ? 'exclusive' : key }]),
  ]
}

/** What PBS has no word of its own for, and what to do. */
const unknown: Partial<Readonly<Record<keyof Resources, string>>> = {
  qos: 'PBS has none: choose a queue (partition)',
  gres: 'PBS has no generic resources: write gpus, or the resource of your site as a directive, e.g. directives: ["-l ssd=true"]',
  constraint:
    'PBS has no features: write the resource of your site as a directive, e.g. directives: ["-l select=1:ncpus=4:cpu_type=rome"]',
  licenses: 'licenses are resources of the site in PBS: write them as a directive, e.g. directives: ["-l matlab=2"]',
}

function refuseUnknown(r: Resources): void {
  for (const [key, why] of Object.entries(unknown))
    if (r[key as keyof Resources] !== undefined) throw new CompopsError(`${key}: ${why}`)
}

/** `hours:minutes:seconds`, of any number of hours. A bare number would be seconds. */
function writeTime(seconds: number): string {
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new CompopsError(`time: ${seconds} is not a whole number of seconds of at least 1`)
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0')
  return `${two(seconds / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`
}

/** Priority is the other way round, from -1024 to 1023. */
function writePriority(nice: number): number {
  if (!Number.isSafeInteger(nice) || nice < -1023 || nice > 1024)
    throw new CompopsError(`nice: ${nice} is not a whole number from -1023 to 1024, as qsub -p takes it`)
  return nice === 0 ? 0 : -nice
}

export interface RawOption {
  readonly letter: string
  /** What stands before the `=` of `-l` and `-W`. */
  readonly name: string | null
  readonly text: string
}

/** A raw directive is one option, `-x value` or `-xvalue`, without what a `#PBS` line would read as something else; else why not. */
export function readOption(directive: string): RawOption | string {
  if (/[\0-\x1f\x7f]/.test(directive)) return `${show(directive)} holds a newline or another control character`
  const found = /^-([A-Za-z])(?: +|)(\S.*)?$/.exec(directive.trim())
  if (found === null || (!takesValue.has(found[1]!) && !takesNone.has(found[1]!)))
    return `${show(directive)} is not an option as qsub has them: write -l name=value`
  const [, letter = '', value = ''] = found
  if (/[\s"'\\#]/.test(value)) return `${show(directive)} holds a blank, a quote, a backslash or #`
  if (takesNone.has(letter) !== (value === ''))
    return value === '' ? `-${letter} needs a value` : `-${letter} takes no value`
  const named = letter === 'l' || letter === 'W' ? /^([A-Za-z]\w*)=/.exec(value) : null
  if ((letter === 'l' || letter === 'W') && named === null)
    return `${show(directive)} names no ${letter === 'l' ? 'resource' : 'attribute'}: write -${letter} name=value`
  // Several in one would be judged by the first.
  if (letter === 'l' && value.includes(','))
    return `${show(directive)} holds several resources: write a directive for each`
  if (letter === 'W' && /,\w+=/.test(value))
    return `${show(directive)} holds several attributes: write a directive for each`
  const name = named?.[1] ?? null
  return neverAllowed(letter, name) ?? { letter, name, text: value === '' ? `-${letter}` : `-${letter} ${value}` }
}

/** `true`, or why not. Globs of the site: `*` stands for anything, and `-lname=value` is `-l name=value`. */
export function allowedDirective(allowed: readonly string[], directive: string): true | string {
  const option = readOption(directive)
  if (typeof option === 'string') return option
  const one = (text: string) => text.replace(/^(-[A-Za-z]) +/, '$1')
  if (allowed.some(pattern => matches(one(pattern), one(option.text)))) return true
  const list = allowed.length === 0 ? 'it allows none' : `it allows ${allowed.join(', ')}`
  const what = option.name === null ? `-${option.letter}` : `-${option.letter} ${option.name}`
  return `${what} is not among the directives that this cluster allows (allow_directives): ${list}`
}
