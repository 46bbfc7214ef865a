import { asLine, asList, asScalar, type Report } from '../config/fields.ts'
import { type Located, quote } from '../config/yaml.ts'
import { parseWalltime } from '../model/walltime.ts'

export const mostPatterns = 20
export const longestPattern = 200
/** A job may well be silent for a while. Seconds. */
const shortestStall = 10

/** One pattern of `grep -E`, which the cluster's grep has the last word on. What matches an empty line would match every line. */
export function readPattern(node: Located, path: string, report: Report): string | undefined {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const refuse = (message: string, remedy: string) => {
    report(node, path, `${quote(text)} ${message}.`, remedy)
    return undefined
  }
  if (text.length > longestPattern) return refuse(`is longer than ${longestPattern} characters`, 'Write a shorter one.')
  if (matchesNothing(text)) return refuse('matches every line', 'Write what only such lines hold: `^ERROR`.')
  return text
}

export function readPatterns(node: Located, path: string, report: Report): readonly string[] | undefined {
  if (node.kind === 'scalar') {
    const one = readPattern(node, path, report)
    return one === undefined ? undefined : [one]
  }
  const items = asList(node, path, report)?.items
  if (items !== undefined && items.length > mostPatterns) {
    report(node, path, `There are ${items.length} patterns; ${mostPatterns} are the most.`, 'Join some with `|`.')
    return undefined
  }
  return items?.flatMap((item, i) => readPattern(item, `${path}[${i}]`, report) ?? [])
}

export function readStallTimeout(node: Located, path: string, report: Report): number | undefined {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const parsed = parseWalltime(scalar.value, !scalar.plain)
  if (!parsed.ok) {
    report(scalar, path, `\`stall_timeout\`: ${parsed.message}`, parsed.remedy)
    return undefined
  }
  if (parsed.value >= shortestStall) return parsed.value
  report(scalar, path, `\`stall_timeout\` is shorter than ${shortestStall} s.`, 'Write for example `30m`.')
  return undefined
}

/** As far as it can be told here: most extended expressions mean the same in our own, and one that does not is grep's to judge. */
function matchesNothing(pattern: string): boolean {
  try {
    return new RegExp(pattern).test('')
  } catch {
    return false
  }
}
