import { eq } from 'drizzle-orm'
import { isId } from '../../model/id.ts'
import { formatResource, type ResourceName, resourceKeys } from '../../model/resources.ts'
import type { Job, Run } from '../../model/run.ts'
import { formatDuration, formatNumber, secondsBetween } from '../../render/amounts.ts'
import { metricsOf, type Verdict, verdictOf } from '../../render/metrics.ts'
import { loadRun } from '../../store/runs.ts'
import { runs } from '../../store/schema.ts'
import { loadTree } from '../../store/tree.ts'
import type { BranchNode } from '../../tree/node.ts'
import { axesOf, chooseAxes, type Point, pointsOf } from './points.ts'
import { type Mark, markOf, scatter } from './scatter.ts'
import { addressesOf, type PageKind, type Site } from './site.ts'

const mostRuns = 12
const mostBranches = 300
const mostRows = 200
const mostPoints = 4_000
const mostListed = 500

/** Runs beside each other: their numbers, against those of the first; what differs in what was asked; and what was varied against what was measured. */
export const comparePage: PageKind = {
  at: /^\/projects\/(.+)\/-\/compare$/,
  async show(site, visitor, { params, query }) {
    const { project } = await site.desk.project(visitor.caller, params[0]!)
    const to = addressesOf(site)
    const now = site.context.clock.now()
    const asked = [
      ...new Set(
        query
          .getAll('of')
          .map(one => one.trim())
          .filter(one => one !== ''),
      ),
    ]
    const tree = (await loadTree(site.context.db, project.id)).filter(node => node.run !== null)
    const chosen: Chosen[] = []
    const missing: string[] = []
    for (const word of asked.slice(0, mostRuns)) {
      const id = await runMeant(site, project.id, word, tree)
      if (id === null) missing.push(word.slice(0, 100))
      else if (!chosen.some(one => one.run.id === id))
        chosen.push({ word, run: await loadRun(site.context.db, id, 'collected') })
    }
    const all = chosen.map(one => one.run)
    const points = pointsOf(all, now)
    const axes = axesOf(points)
    const [x, y] = [query.get('x'), query.get('y')]
    const picked = chooseAxes(axes, { x, y })
    const words = new Set(chosen.map(one => one.word))
    const offered = tree
      .filter(node => node.life === 'active' || words.has(node.branch))
      .slice(0, mostBranches)
      .map(({ branch }) => ({ branch, here: words.has(branch) }))
    return {
      title: `Compare · ${project.path}`,
      section: 'projects',
      template: 'compare',
      regions: [],
      view: {
        ...{ path: project.path, project: to.project(project.path), address: to.compare(project.path), offered, now },
        zone: site.context.config.timeZone,
        // Runs that are no branch's own stay chosen when the form is sent.
        others: chosen.filter(one => !offered.some(({ branch }) => branch === one.word)).map(one => one.word),
        missing: missing.length === 0 ? null : missing.join(', '),
        many: asked.length > mostRuns ? asked.length - mostRuns : null,
        runs: all.map((run, series) => ({
          ...{ branch: run.branch, sha: run.sha.slice(0, 8), state: run.state, href: to.run(run.id) },
          ...{
            created: run.createdAt,
            shape: all.length > 1 ? markOf(series) : null,
            first: series === 0 && all.length > 1,
          },
        })),
        metrics: all.length === 0 ? [] : metricRows(all),
        differ: all.length < 2 ? [] : differences(all),
        alone: all.length < 2,
        plot: picked === null || points.length < 2 ? null : plotView(points, picked, all),
        axes:
          picked === null
            ? null
            : {
                x: axes.map(one => ({ ...one, here: one.key === picked.x.key })),
                y: axes.map(one => ({ ...one, here: one.key === picked.y.key })),
              },
      },
    }
  },
}

interface Chosen {
  /** As it stands in the address. */
  readonly word: string
  readonly run: Run
}

/** A run of this project by its id, or what a branch has to show: its newest result, else the run that is under way. */
async function runMeant(
  site: Site,
  projectId: number,
  word: string,
  tree: readonly BranchNode[],
): Promise<string | null> {
  if (isId(word)) {
    const [run] = await site.context.db.select({ project: runs.projectId }).from(runs).where(eq(runs.id, word))
    return run?.project === projectId ? word : null
  }
  const node = tree.find(one => one.branch === word)
  return node?.result?.id ?? node?.run?.id ?? null
}

interface MetricRow {
  readonly name: string
  readonly cells: readonly {
    readonly value: string | null
    readonly how: Verdict['how'] | null
    readonly by: string | null
  }[]
}

/** Every metric that one of them has; each beside that of the first. */
export function metricRows(all: readonly Run[]): MetricRow[] {
  const found = all.map(run => metricsOf(run))
  const names = [...new Set(found.flatMap(one => [...one.keys()]))].sort()
  const [first] = found
  const rows = names.slice(0, mostRows).map((name): MetricRow => {
    const reference = first?.get(name)
    return {
      name,
      cells: found.map((metrics, at) => {
        const metric = metrics.get(name)
        if (metric === undefined) return { value: null, how: null, by: null }
        const verdict = at === 0 || reference === undefined ? null : verdictOf(metric, reference.value)
        return {
          value: formatNumber(metric.value),
          how: verdict === null ? null : verdict.how,
          by: verdict === null || verdict.how === 'same' ? null : verdict.by,
        }
      }),
    }
  })
  const walls = all.map(run => secondsBetween(run.createdAt, run.endedAt))
  if (rows.length > 0 && walls.some(wall => wall !== null))
    rows.push({
      name: 'wall time',
      cells: walls.map(wall => ({ value: wall === null ? null : formatDuration(wall), how: null, by: null })),
    })
  return rows
}

/** What was asked in different ways: parameters, resources, clusters, variables, by job. */
export function differences(
  all: readonly Run[],
): { readonly name: string; readonly cells: readonly (string | null)[] }[] {
  const asked = all.map(run => new Map(run.jobs.flatMap(job => askedOf(job))))
  const names = [...new Set(asked.flatMap(one => [...one.keys()]))]
  return names
    .map(name => ({ name, cells: asked.map(one => one.get(name) ?? null) }))
    .filter(({ cells }) => new Set(cells).size > 1)
    .slice(0, mostRows)
}

function askedOf({ name, spec }: Job): [string, string][] {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
  return [
    [`${name}: cluster`, spec.cluster],
    ...Object.entries(spec.params).map(([key, value]): [string, string] => [`${name}: params.${key}`, text(value)]),
    ...Object.entries(spec.resources)
      .filter(([key]) => Object.hasOwn(resourceKeys, key))
      .map(([key, value]): [string, string] => [
        `${name}: ${key}`,
        formatResource(key as ResourceName, value as never),
      ]),
    ...(spec.array === undefined ? [] : [[`${name}: array`, spec.array.tasks] as [string, string]]),
    ...Object.entries(spec.env).map(([key, value]): [string, string] => [`${name}: env.${key}`, value]),
    ...(spec.image === undefined ? [] : [[`${name}: image`, spec.image] as [string, string]]),
  ]
}

function plotView(points: readonly Point[], { x, y }: NonNullable<ReturnType<typeof chooseAxes>>, all: readonly Run[]) {
  const drawn = points.flatMap(point => {
    const [px, py] = [point.values.get(x.key), point.values.get(y.key)]
    return px === undefined || py === undefined ? [] : [{ point, px, py }]
  })
  if (drawn.length === 0) return null
  const marks = drawn.slice(0, mostPoints).map(
    ({ point, px, py }): Mark => ({
      ...{ x: px, y: py, series: point.series },
      words: `${all.length > 1 ? `${all[point.series]!.branch}, ` : ''}${point.label}: ${x.label} ${formatNumber(px)}, ${y.label} ${formatNumber(py)}`,
    }),
  )
  return {
    svg: scatter(marks, { x: x.label, y: y.label }),
    ...{ x: x.label, y: y.label },
    left: drawn.length > mostPoints ? drawn.length - mostPoints : null,
    legend:
      all.length < 2
        ? []
        : all.map((run, series) => ({ shape: markOf(series), branch: run.branch, sha: run.sha.slice(0, 8) })),
    rows: drawn
      .toSorted((a, b) => a.px - b.px || a.py - b.py)
      .slice(0, mostListed)
      .map(({ point, px, py }) => ({
        ...{ label: point.label, x: formatNumber(px), y: formatNumber(py) },
        branch: all.length > 1 ? all[point.series]!.branch : null,
      })),
    more: drawn.length > mostListed ? drawn.length - mostListed : null,
  }
}

export function compareQuery(of: readonly string[]): string {
  return new URLSearchParams(of.map(one => ['of', one] as [string, string])).toString()
}
