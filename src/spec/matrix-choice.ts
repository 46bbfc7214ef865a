import { asList, asMap, asScalar, isEmpty, join, type Report, reportUnknown } from '../config/fields.ts'
import type { Located, LocatedEntry } from '../config/yaml.ts'
import type { MatrixChoice } from '../model/matrix.ts'

const shape = 'Write `parallel: { matrix: [{ NAME: [a, b] }] }`.'

/** Which of a matrix's jobs are needed, as GitLab has it below a need: `{ matrix: [{ DEGREE: [1, 2] }] }`. undefined: nothing can be made of it, which has been told. */
export function readChoice(entry: LocatedEntry, path: string, report: Report): MatrixChoice | undefined {
  const map = asMap(entry.value, path, report)
  if (map === undefined) return undefined
  for (const other of map.entries)
    if (other.key !== 'matrix') reportUnknown(other, join(path, other.key), '`parallel`', ['matrix'], report)
  const matrix = map.entries.find(one => one.key === 'matrix')
  if (matrix === undefined) {
    report(entry, path, '`parallel` has no `matrix`.', shape)
    return undefined
  }
  const rows = asList(matrix.value, join(path, 'matrix'), report)?.items.map((item, i) =>
    readRow(item, `${join(path, 'matrix')}[${i}]`, report),
  )
  if (rows === undefined) return undefined
  if (rows.length === 0) report(matrix, join(path, 'matrix'), 'The `matrix` is empty.', shape)
  const whole = rows.filter(row => row !== undefined)
  return whole.length > 0 && whole.length === rows.length ? whole : undefined
}

function readRow(item: Located, path: string, report: Report): MatrixChoice[number] | undefined {
  const map = asMap(item, path, report)
  if (map === undefined) return undefined
  if (map.entries.length === 0) {
    report(item, path, 'This row of the `matrix` is empty.', shape)
    return undefined
  }
  const row: Record<string, string[]> = {}
  for (const { key, value } of map.entries) {
    const items = value.kind === 'list' ? value.items : [value]
    const texts = items.map(one => (isEmpty(one) ? undefined : asScalar(one, join(path, key), report)))
    if (texts.length === 0 || texts.some(one => one === undefined)) {
      if (items.every(isEmpty)) report(value, join(path, key), 'There are no values.', shape)
      return undefined
    }
    // As written: 1.10 stays 1.10.
    row[key] = texts.map(one => (typeof one!.value === 'string' ? one!.value : one!.source))
  }
  return row
}
