import type { Located } from '../config/yaml.ts'
import { createYamlReader } from '../spec/index.ts'

export interface Metrics {
  readonly values: Record<string, number>
  /** A sentence without its beginning; null where all is well. */
  readonly problem: string | null
}

const metricLimit = 500
const problem = (text: string): Metrics => ({ values: {}, problem: `the metrics file ${text}` })

/** The numbers of a metrics file, read by its ending: JSON, YAML, or the last row of a CSV file. The job wrote it: nothing in it is believed to be small or honest. */
export async function readMetrics(text: string, name = ''): Promise<Metrics> {
  if (text.trim() === '') return { values: {}, problem: null }
  if (/\.(csv|tsv)$/i.test(name)) return readCsv(text)
  if (/\.ya?ml$/i.test(name)) return readYaml(text)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return problem('is not JSON')
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) return problem('is not a JSON object')
  return numbersOf(parsed, object => Object.entries(object as object))
}

// A thread of its own: the `yaml` package needs seconds for some texts. Sixty-four KiB of numbers are more than anybody compares.
const reader = createYamlReader()
const yamlBytes = 64 * 1024

async function readYaml(text: string): Promise<Metrics> {
  if (text.length > yamlBytes) return problem('is YAML of more than 64 KiB; write JSON')
  const answer = await reader.read(text)
  if (answer.kind !== 'read') return problem('is YAML that takes too long to read; write JSON')
  if (!answer.result.ok) {
    const first = answer.result.mistakes[0]
    return problem(`is not YAML that can be read${first === undefined ? '' : `: line ${first.line}: ${first.message}`}`)
  }
  const { root } = answer.result
  if (root.kind !== 'map') return problem('is not a YAML map')
  return numbersOf(root, node => {
    const located = node as Located
    if (located.kind === 'map')
      return located.entries.map(({ key, value }) => [key, value.kind === 'scalar' ? value.value : value])
    if (located.kind === 'list')
      return located.items.map((value, index) => [String(index), value.kind === 'scalar' ? value.value : value])
    return []
  })
}

/** The header gives the names, the last row that is not empty the numbers. The wrapper sends no more than these two lines. */
function readCsv(text: string): Metrics {
  const lines = text.split(/\r?\n|\r/).filter(line => line.trim() !== '')
  const [header, last] = [lines[0]!, lines.at(-1)!]
  if (lines.length < 2) return problem('has no row below its header')
  const separator = ['\t', ';', ','].find(one => fields(header, one).length > 1) ?? ','
  const names = fields(header.replace(/^\ufeff/, ''), separator)
  const row = fields(last, separator)
  if (row.length !== names.length)
    return problem(`has ${names.length} names in its header and ${row.length} values in its last row`)
  const values = new Map<string, number>()
  for (const [index, name] of names.entries()) {
    // With `;` between the values the decimal sign may be a comma (RFC 4180 knows neither).
    const written = separator === ';' ? row[index]!.replace(/^([+-]?\d+),(\d+)$/, '$1.$2') : row[index]!
    if (name !== '' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(written)) values.set(name, Number(written))
  }
  return bounded(values)
}

/** RFC 4180: a quoted field may hold the separator, and a quote as two. */
function fields(line: string, separator: string): string[] {
  const found: string[] = []
  let at = 0
  while (at <= line.length) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*/.exec(line.slice(at, at + 10_000))
    const end = line.indexOf(separator, at + (quoted?.[0].length ?? 0))
    const stop = end === -1 ? line.length : end
    found.push(quoted === null ? line.slice(at, stop).trim() : quoted[1]!.replaceAll('""', '"'))
    at = stop + separator.length
    if (end === -1) break
  }
  return found
}

/** Numbers, nested ones by dotted names. Everything else is no metric. */
function numbersOf(root: object, entriesOf: (object: object) => readonly (readonly [string, unknown])[]): Metrics {
  const values = new Map<string, number>()
  const open: [string, object][] = [['', root]]
  for (let at = 0; at < open.length && values.size <= metricLimit; at++) {
    const [prefix, object] = open[at]!
    for (const [key, value] of entriesOf(object)) {
      const name = `${prefix}${key}`
      if (typeof value === 'number' && Number.isFinite(value)) values.set(name.slice(0, 200), value)
      else if (value !== null && typeof value === 'object' && open.length < 10_000)
        open.push([`${name.slice(0, 200)}.`, value])
    }
  }
  return bounded(values)
}

function bounded(values: ReadonlyMap<string, number>): Metrics {
  return {
    values: Object.fromEntries([...values].slice(0, metricLimit).map(([name, value]) => [name.slice(0, 200), value])),
    problem: values.size > metricLimit ? `the metrics file has more than ${metricLimit} numbers` : null,
  }
}
