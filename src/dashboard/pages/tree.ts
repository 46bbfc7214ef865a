import { type JobState, runStateOrder } from '../../model/job-state.ts'
import { pathUrl } from '../../render/links.ts'
import { loadTree } from '../../store/tree.ts'
import type { BranchNode } from '../../tree/node.ts'
import { inTreeOrder } from '../../tree/shape.ts'
import { listRegion, region } from '../page.ts'
import { render } from '../template.ts'
import { roleInWords } from './projects.ts'
import { addressesOf, type PageKind, wordOf } from './site.ts'
import { stateBar } from './strip.ts'

/** Deeper ones stand under each other: a screen has an edge. */
const deepest = 12
const mostBranches = 2_000

/** The computation branches of a project: each below its parent, with how its run stands and whether it is computed from the newest. */
export const treePage: PageKind = {
  at: /^\/projects\/(.+)$/,
  async show(site, visitor, { params, query }) {
    const { context } = site
    const { project, rule, level } = await site.desk.project(visitor.caller, params[0]!)
    const [now, zone, to] = [context.clock.now(), context.config.timeZone, addressesOf(site)]
    const gone = query.get('gone') === '1'
    const search = wordOf(query, 'search')
    const all: readonly BranchNode[] = await loadTree(context.db, project.id)
    const ordered = inTreeOrder(all)
    const wanted = chosen(ordered, { gone, search })
    const shown = wanted.slice(0, mostBranches)
    const rows = shown.map(({ node, depth }, at) => ({
      key: node.branch,
      html: render('tree-row', {
        ...{ node, now, zone, key: node.branch, indent: Math.min(depth, deepest), depth },
        // What is below it follows directly and stands deeper.
        below: (wanted[at + 1]?.depth ?? 0) > depth,
        href: node.run === null ? null : to.run(node.run.id),
        sha: node.run?.sha.slice(0, 8) ?? null,
        stale:
          node.stale === null
            ? null
            : { ...node.stale, href: to.run(node.stale.run), short: node.stale.sha.slice(0, 8) },
        request:
          node.mergeRequest === null
            ? null
            : {
                ...node.mergeRequest,
                href: to.inGitLab(project.path, 'merge_requests', String(node.mergeRequest.iid)),
              },
        rerun:
          level >= 30 && node.stale !== null && node.life === 'active' && node.run !== null && node.run.endedAt !== null
            ? to.act(node.run.id, 'rerun-subtree', null, `/projects/${pathUrl(project.path)}`)
            : null,
        life: node.life === 'active' ? null : node.life,
        why: node.parent?.why ?? null,
      }),
    }))
    const counts: Partial<Record<JobState, number>> = {}
    for (const { node } of ordered)
      if (node.run !== null && node.life === 'active') counts[node.run.state] = (counts[node.run.state] ?? 0) + 1
    const stale = all.filter(node => node.stale !== null && node.life === 'active').length
    return {
      title: project.path,
      section: 'projects',
      template: 'tree',
      view: {
        ...{
          search,
          gone,
          path: project.path,
          address: to.project(project.path),
          role: roleInWords(level),
          clusters: rule.clusters.join(', '),
        },
        jobs: to.jobs({ when: 'all', project: project.path }),
        launch: to.launch(project.path),
        compare: to.compare(project.path),
        picture: to.tree(project.path),
        gitlab: to.inGitLab(project.path),
      },
      regions: [
        region(
          'summary',
          render('tree-summary', {
            bar: stateBar(counts),
            counts: runStateOrder.flatMap(state => (counts[state] === undefined ? [] : [{ state, n: counts[state] }])),
            stale: stale === 0 ? null : stale === 1 ? '1 branch is stale' : `${stale} branches are stale`,
          }),
        ),
        listRegion('tree', {
          before: render('tree-head', { empty: rows.length === 0, search, some: all.length > 0 }),
          rows,
          after:
            rows.length === 0
              ? ''
              : `</ol>${wanted.length > shown.length ? `<p class="quiet">and ${wanted.length - shown.length} more: search for them</p>` : ''}`,
        }),
      ],
    }
  },
}

type Placed = { readonly node: BranchNode; readonly depth: number }

/** Those that are looked for, with what they hang from: a branch without its parents would stand nowhere. */
export function chosen(ordered: readonly Placed[], { gone, search }: { gone: boolean; search: string }): Placed[] {
  const kept: boolean[] = ordered.map(() => false)
  const needle = search.toLowerCase()
  // From below: whatever has somebody kept below it is kept.
  const keptAt: boolean[] = []
  for (let at = ordered.length - 1; at >= 0; at--) {
    const { node, depth } = ordered[at]!
    const fits = (gone || node.life === 'active') && node.branch.toLowerCase().includes(needle)
    kept[at] = fits || keptAt[depth + 1] === true
    for (let below = depth + 1; below < keptAt.length; below++) keptAt[below] = false
    keptAt[depth] = keptAt[depth] === true || kept[at] === true
  }
  return ordered.filter((_, at) => kept[at])
}
