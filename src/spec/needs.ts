import { asList, asScalar, asSwitch, choice, join, type Report, reportUnknown } from '../config/fields.ts'
import { asBranch } from '../config/values.ts'
import type { Located } from '../config/yaml.ts'
import type { MatrixChoice } from '../model/matrix.ts'
import { type BranchNeed, type JobNeed, needKinds } from '../model/needs.ts'
import type { Written } from './level.ts'
import { readChoice } from './matrix-choice.ts'

/** `optional`: it may be missing in a run that its own `rules` leave it out of. */
export interface WrittenNeed extends Written<JobNeed> {
  readonly optional: boolean
  /** Which of the jobs that a matrix has made; left out: all. */
  readonly matrix?: MatrixChoice
}

export interface WrittenNeeds {
  /** Of this file. */
  readonly own: readonly WrittenNeed[]
  /** Of other branches. */
  readonly others: readonly Written<BranchNeed>[]
}

/** `[mesh, { job: solve, kind: afternotok }, { job: sweep, parallel: { matrix: [{ DEGREE: 1 }] } }, { branch: calc/heat, job: mesh }]`. What is wrong is reported and left out. */
export function readNeeds(node: Located, path: string, report: Report): WrittenNeeds | undefined {
  const all = asList(node, path, report)?.items.flatMap((item, i) => readNeed(item, `${path}[${i}]`, report))
  if (all === undefined) return undefined
  return {
    own: all.flatMap(need => ('optional' in need ? [need] : [])),
    others: all.flatMap(need => ('optional' in need ? [] : [need])),
  }
}

const keys = ['job', 'kind', 'optional', 'branch', 'parallel'] as const
const readKind = choice(needKinds)

function readNeed(node: Located, path: string, report: Report): (WrittenNeed | Written<BranchNeed>)[] {
  if (node.kind !== 'map') {
    const job = readName(node, path, report)
    return job === undefined ? [] : [{ value: { job, kind: 'afterok' }, optional: false, place: node }]
  }
  const unknown = node.entries.find(entry => !(keys as readonly string[]).includes(entry.key))
  if (unknown !== undefined) {
    reportUnknown(unknown, join(path, unknown.key), '`needs`', keys, report)
    return []
  }
  const [named, kinded, spared, branched, chosen] = keys.map(key => node.entries.find(entry => entry.key === key))
  if (named === undefined) {
    report(node, path, 'A need must name a job.', 'Write `needs: [{ job: mesh, kind: any }]`.')
    return []
  }
  const job = readName(named.value, join(path, 'job'), report)
  const kind = kinded === undefined ? 'afterok' : readKind(kinded.value, join(path, 'kind'), report)
  const optional = spared === undefined ? false : asSwitch(spared.value, join(path, 'optional'), report)
  const matrix = chosen === undefined ? null : readChoice(chosen, join(path, 'parallel'), report)
  if (job === undefined || kind === undefined || optional === undefined || matrix === undefined) return []
  const which = matrix === null ? {} : { matrix }
  if (branched === undefined) return [{ value: { job, kind }, optional, ...which, place: node }]
  const branch = asBranch(branched.value, join(path, 'branch'), report)
  return branch === undefined ? [] : [{ value: { branch, job, kind, ...which }, place: node }]
}

function readName(node: Located, path: string, report: Report): string | undefined {
  const scalar = asScalar(node, path, report)
  return typeof scalar?.value === 'string' ? scalar.value : scalar?.source
}

/**
 * Cycles among jobs: each as the names along it, the first again at the end. One cycle for each job where a search meets itself; jobs that merely wait for a cycle are not named.
 * Takes time in proportion to jobs and needs.
 */
export function findCycles(needs: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>()
  const cycles: string[][] = []
  for (const start of needs.keys()) {
    if (done.has(start)) continue
    const path: { name: string; next: number }[] = [{ name: start, next: 0 }]
    const onPath = new Map([[start, 0]])
    while (path.length > 0) {
      const top = path[path.length - 1]
      if (top === undefined) break
      const needed = needs.get(top.name)?.[top.next++]
      if (needed === undefined) {
        path.pop()
        onPath.delete(top.name)
        done.add(top.name)
        continue
      }
      const at = onPath.get(needed)
      if (at !== undefined) cycles.push([...path.slice(at).map(step => step.name), needed])
      else if (!done.has(needed) && needs.has(needed)) {
        onPath.set(needed, path.length)
        path.push({ name: needed, next: 0 })
      }
    }
  }
  return cycles
}
