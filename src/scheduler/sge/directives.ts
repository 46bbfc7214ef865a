import { CompopsError } from '../../errors.ts'
import type { GpuRequest, Resources } from '../../model/job-spec.ts'
import { nodeName } from '../../model/retry.ts'
import type { Directive, DirectiveSpec } from '../dialect.ts'
import { matches } from '../glob.ts'
import { neverAllowed, wordsOf } from './options.ts'
import { show } from './values.ts'

/** What the keys of a job come to in qsub's options, sge_submit(1) and sge_complex(5). The key beside each is that of the job's `origins`. */
export function directives({ resources: r, directives: raw, exclude = [] }: DirectiveSpec): Directive[] {
  const lines: Directive[] = []
  const text = (key: keyof Resources, option: string, pattern: RegExp) => {
    const value = r[key]
    if (value === undefined) return
    if (typeof value !== 'string' || !pattern.test(value) || value.startsWith('-'))
      throw new CompopsError(`${key}: ${show(String(value))} is nothing that qsub ${option} takes`)
    lines.push({ option: `${option} ${value}`, key })
  }
  text('partition', '-q', /^[\w.@*,-]+$/)
  text('account', '-P', /^[\w.-]+$/)
  text('reservation', '-ar', /^\d{1,10}$/)
  if (r.qos !== undefined)
    throw new CompopsError(`qos: Grid Engine has no quality of service: leave ${show(r.qos)} out, or choose a queue`)
  if (r.time !== undefined) lines.push({ option: `-l h_rt=${count(r, 'time')}`, key: 'time' })
  const slots = slotsOf(r, raw)
  // h_vmem counts for each slot, sge_queue_conf(5); the slots of a job are taken to be on one node, as mem is meant.
  if (r.mem !== undefined) lines.push({ option: `-l h_vmem=${Math.ceil(count(r, 'mem') / slots)}M`, key: 'mem' })
  if (r.mem_per_cpu !== undefined) lines.push({ option: `-l h_vmem=${count(r, 'mem_per_cpu')}M`, key: 'mem_per_cpu' })
  for (const key of ['gpus', 'gpus_per_node'] as const) {
    const gpus = r[key]
    if (gpus !== undefined) lines.push({ option: `-l gpu=${gpuCount(key, gpus, slots)}`, key })
  }
  // Grid Engine has one word for features, consumables and licences: the site's complexes.
  text('gres', '-l', complexes)
  text('constraint', '-l', complexes)
  if (r.licenses !== undefined) lines.push({ option: `-l ${licenses(r.licenses)}`, key: 'licenses' })
  if (r.exclusive === true) lines.push({ option: '-l exclusive=true', key: 'exclusive' })
  if (r.nice !== undefined) {
    if (!Number.isSafeInteger(r.nice) || Math.abs(r.nice) > 1023)
      throw new CompopsError(`nice: ${r.nice} is not a whole number from -1023 to 1023`)
    lines.push({ option: `-p ${-r.nice}`, key: 'nice' })
  }
  // A host is a pattern with ! | and parentheses; sge_types(1), "matching of hostnames" and "expression".
  if (exclude.length > 0) {
    const strange = exclude.find(node => !nodeName.test(node))
    if (strange !== undefined) throw new CompopsError(`${show(strange)} is not the name of a host`)
    lines.push({ option: `-l hostname=!(${exclude.join('|')})`, key: 'retry' })
  }
  for (const [i, directive] of raw.entries()) {
    const reason = refuse(directive)
    if (reason !== null) throw new CompopsError(`directives: ${reason}`)
    lines.push({ option: directive, key: `directives[${i}]` })
  }
  return lines
}

/** `name`, `name=value`, several with commas: qsub -l. */
const complexes = /^[A-Za-z_]\w*(?:=[\w.:*|!&()-]+)?(?:,[A-Za-z_]\w*(?:=[\w.:*|!&()-]+)?)*$/

function count(
  r: Resources,
  key: 'time' | 'nodes' | 'ntasks' | 'ntasks_per_node' | 'cpus_per_task' | 'mem' | 'mem_per_cpu',
) {
  const value = r[key] ?? 1
  if (!Number.isSafeInteger(value) || value < 1)
    throw new CompopsError(`${key}: ${value} is not a whole number of at least 1`)
  return value
}

/**
 * How many slots it gets. More than one only comes through a parallel environment, whose name and rule for spreading them over nodes are the
 * site's (sge_pe(5)): the job has to name it.
 */
function slotsOf(r: Resources, raw: readonly string[]): number {
  const perNode = count(r, 'ntasks_per_node')
  const nodes = count(r, 'nodes')
  const wanted = (r.ntasks === undefined ? perNode * nodes : count(r, 'ntasks')) * count(r, 'cpus_per_task')
  const asked = (['cpus_per_task', 'ntasks', 'ntasks_per_node', 'nodes'] as const).find(key => (r[key] ?? 1) > 1)
  const found = raw.flatMap(directive => /^-pe (\S+) (\S+)$/.exec(directive) ?? [])
  const [environment, name, given = ''] = found
  if (environment === undefined) {
    if (asked === undefined) return 1
    throw new CompopsError(
      `${asked}: Grid Engine gives more than one slot only through a parallel environment, which each site names itself: ` +
        `write directives: ["-pe NAME ${wanted}"], where NAME is one that qconf -spl lists`,
    )
  }
  if (asked === undefined) return /^\d{1,6}$/.test(given) ? Math.max(1, Number(given)) : 1
  if (nodes > 1 || perNode > 1)
    throw new CompopsError(
      `${asked}: how slots are spread over nodes is the rule of the parallel environment ${show(name ?? '')}: leave nodes and ntasks_per_node out`,
    )
  if (Number(given) !== wanted)
    throw new CompopsError(
      `${asked}: it makes ${wanted} slots, and ${show(environment)} asks for ${given}: write the same number`,
    )
  return wanted
}

/** Whether a consumable counts for each slot or once a job is the site's choice: with one slot it is the same. */
function gpuCount(key: string, { type, count }: GpuRequest, slots: number): number {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new CompopsError(`${key}: ${count} is not a whole number of at least 1`)
  if (type !== null || slots > 1)
    throw new CompopsError(
      `${key}: ${type !== null ? 'a type of GPU' : 'a GPU beside several slots'} is asked for in the words of the site: write gres, for example gres: "gpu=${count}"`,
    )
  return count
}

/** `ansys:2,matlab` -> `ansys=2,matlab=1` */
function licenses(text: string): string {
  if (!/^[A-Za-z_]\w*(?:[:=][1-9]\d{0,5})?(?:,[A-Za-z_]\w*(?:[:=][1-9]\d{0,5})?)*$/.test(text))
    throw new CompopsError(`licenses: ${show(text)} is nothing that qsub -l takes: write name:count`)
  return text
    .split(',')
    .map(one => (/[:=]/.test(one) ? one.replace(':', '=') : `${one}=1`))
    .join(',')
}

/** A raw directive is `-option`, with the words behind it as on qsub's command line: one blank between, nothing that has to be quoted. */
function refuse(directive: string): string | null {
  if (/[\0-\x1f\x7f]/.test(directive)) return `${show(directive)} holds a newline or another control character`
  const [option = '', ...words] = directive.split(' ')
  if (!/^-(?:@|[A-Za-z][a-z_]*)$/.test(option))
    return `${show(directive)} is not an option as qsub has them: write -option value`
  if (/["'\\#`$;]/.test(directive) || words.some(word => word === '' || word.startsWith('-')))
    return `${show(directive)} holds a quote, a backslash, #, $, a blank too many or a second option`
  const name = option.slice(1)
  const never = neverAllowed(name)
  if (never !== null) return never
  const expected = wordsOf(name, words[0])
  if (expected === null) return `qsub has no option ${option}`
  return words.length === expected ? null : `${option} takes ${expected} ${expected === 1 ? 'word' : 'words'} behind it`
}

/** `true`, or why not. Globs of the site, e.g. `-pe smp *`; blanks count as they stand. */
export function allowedDirective(allowed: readonly string[], directive: string): true | string {
  const reason = refuse(directive)
  if (reason !== null) return reason
  if (allowed.some(pattern => matches(pattern, directive))) return true
  const list = allowed.length === 0 ? 'it allows none' : `it allows ${allowed.join(', ')}`
  return `${directive.split(' ')[0]} is not among the directives that this cluster allows (allow_directives): ${list}`
}
