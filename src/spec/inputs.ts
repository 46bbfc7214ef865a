import { asList, asMap, choice, join, type Report, reportUnknown } from '../config/fields.ts'
import type { Located } from '../config/yaml.ts'
import type { InputsFrom } from '../model/job-spec.ts'
import { readGlobs } from './glob.ts'

const keys = ['from', 'paths'] as const
const readFrom = choice(['parent'])

/** `[{ from: parent, paths: [mesh/*.msh] }]`. What is wrong is reported and left out. */
export function readInputs(node: Located, path: string, report: Report): InputsFrom[] | undefined {
  return asList(node, path, report)?.items.flatMap((item, i) => {
    const here = `${path}[${i}]`
    const map = asMap(item, here, report)
    if (map === undefined) return []
    const unknown = map.entries.find(entry => !(keys as readonly string[]).includes(entry.key))
    if (unknown !== undefined) {
      reportUnknown(unknown, join(here, unknown.key), '`inputs`', keys, report)
      return []
    }
    const [from, paths] = keys.map(key => map.entries.find(entry => entry.key === key))
    if (from === undefined || paths === undefined) {
      report(
        item,
        here,
        'Inputs must say where they come `from`, and which `paths`.',
        'Write `inputs: [{ from: parent, paths: [mesh/*.msh] }]`.',
      )
      return []
    }
    const where = readFrom(from.value, join(here, 'from'), report)
    const globs = readPaths(paths.value, join(here, 'paths'), report)
    return where === undefined || globs.length === 0 ? [] : [{ from: where, paths: globs }]
  })
}

function readPaths(node: Located, path: string, report: Report): readonly string[] {
  if (node.kind === 'list' && node.items.length === 0)
    report(node, path, '`paths` is empty.', 'Write at least one, for example `mesh/*.msh`.')
  return readGlobs(node, path, report) ?? []
}
