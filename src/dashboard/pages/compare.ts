import type { Run } from '../../model/run.ts'
import { formatDuration, formatNumber, secondsBetween } from '../../render/amounts.ts'
import { differences, metricRows } from '../../render/compare.ts'
import { axesOf, chooseAxes, type Point, pointsOf } from '../../render/points.ts'
import { runsToCompare } from '../../run/compared.ts'
import { type Mark, markOf, scatter } from './scatter.ts'
import { addressesOf, type PageKind } from './site.ts'

const mostBranches = 300
const mostPoints = 4_000
const mostListed = 500

/** Runs beside each other: their numbers, against those of the first; what differs in what was asked; and what was varied against what was measured. */
export const comparePage: PageKind = {
  at: /^\/projects\/(.+)\/-\/compare$/,
  async show(site, visitor, { params, query }) {
    const { project } = await site.desk.project(visitor.caller, params[0]!)
    const to = addressesOf(site)
    const now = site.context.clock.now()
    const asked = query.getAll('of')
    const { chosen, missing, left, tree } = await runsToCompare(site.context.db, project.id, asked)
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
        many: left === 0 ? null : left,
        runs: all.map((run, series) => ({
          ...{ branch: run.branch, sha: run.sha.slice(0, 8), state: run.state, href: to.run(run.id) },
          ...{
            created: run.createdAt,
            shape: all.length > 1 ? markOf(series) : null,
            first: series === 0 && all.length > 1,
          },
        })),
        metrics: shownRows(all),
        differ: differences(all),
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

function shownRows(all: readonly Run[]) {
  const rows = metricRows(all).map(({ name, cells }) => ({
    name,
    cells: cells.map(({ value, how, by }) => ({ value: value === null ? null : formatNumber(value), how, by })),
  }))
  const walls = all.map(run => secondsBetween(run.createdAt, run.endedAt))
  if (rows.length > 0 && walls.some(wall => wall !== null))
    rows.push({
      name: 'wall time',
      cells: walls.map(wall => ({ value: wall === null ? null : formatDuration(wall), how: null, by: null })),
    })
  return rows
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
