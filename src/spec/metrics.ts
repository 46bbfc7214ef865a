import { asLine, asMap, asScalar, choice, join, type Report, reportUnknown } from '../config/fields.ts'
import { type Located, type LocatedMap, quote } from '../config/yaml.ts'
import type { MetricWish } from '../model/job-spec.ts'
import { refusePath } from './glob.ts'

/** What `metrics:` says: the file, and how its numbers are judged. */
export interface MetricsKey {
  readonly file: string
  readonly better: Readonly<Record<string, MetricWish>>
  /** A ratio; null where nothing is noise. */
  readonly noise: number | null
}

const keys = ['file', 'better', 'noise'] as const
const mostWishes = 100
const readWish = choice(['lower', 'higher'])

/** `results/metrics.json`, or `{ file: results/metrics.json, better: { rmse: lower }, noise: 1% }`. */
export function readMetricsKey(node: Located, path: string, report: Report): MetricsKey | undefined {
  if (node.kind !== 'map') {
    const file = readFile(node, path, report)
    return file === undefined ? undefined : { file, better: {}, noise: null }
  }
  const unknown = node.entries.find(entry => !(keys as readonly string[]).includes(entry.key))
  if (unknown !== undefined) {
    reportUnknown(unknown, join(path, unknown.key), '`metrics`', keys, report)
    return undefined
  }
  const [named, wished, blurred] = keys.map(key => node.entries.find(entry => entry.key === key)?.value)
  if (named === undefined) {
    report(
      node,
      path,
      '`metrics` must name a file.',
      'Write `metrics: { file: results/metrics.json, better: { rmse: lower } }`.',
    )
    return undefined
  }
  const file = readFile(named, join(path, 'file'), report)
  const better = wished === undefined ? {} : readBetter(asMap(wished, join(path, 'better'), report), path, report)
  const noise = blurred === undefined ? null : readNoise(blurred, join(path, 'noise'), report)
  return file === undefined || better === undefined || noise === undefined ? undefined : { file, better, noise }
}

function readFile(node: Located, path: string, report: Report): string | undefined {
  const value = asLine(node, path, report)
  if (value === undefined) return undefined
  const refusal = refusePath(value, false)
  if (refusal === null) return value.replace(/^\.\//, '')
  report(node, path, `\`metrics\`: ${quote(value)} ${refusal.message}.`, refusal.remedy)
  return undefined
}

function readBetter(map: LocatedMap | undefined, path: string, report: Report): Record<string, MetricWish> | undefined {
  if (map === undefined) return undefined
  if (map.entries.length > mostWishes) {
    report(
      map,
      join(path, 'better'),
      `\`better\` names ${map.entries.length} metrics; ${mostWishes} are the most.`,
      'Name those that people look at.',
    )
    return undefined
  }
  const wishes = map.entries.map(
    ({ key, value }) => [key, readWish(value, join(join(path, 'better'), key), report)] as const,
  )
  const right = wishes.filter((wish): wish is readonly [string, MetricWish] => wish[1] !== undefined)
  return right.length === wishes.length ? Object.fromEntries(right) : undefined
}

function readNoise(node: Located, path: string, report: Report): number | undefined {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const percent = /^(\d{1,2}(?:\.\d{1,6})?) ?%$/.exec(scalar.source)?.[1]
  if (percent !== undefined) return Number(percent) / 100
  report(
    node,
    path,
    `\`noise\` is ${quote(scalar.source)}, which is no percentage below 100.`,
    'Write for example `noise: 1%`.',
  )
  return undefined
}
