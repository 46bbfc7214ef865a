import { runsOfProjects } from '../../store/lists.ts'
import { listRegion } from '../page.ts'
import { render } from '../template.ts'
import { runList } from './overview.ts'
import { addressesOf, type PageKind } from './site.ts'

const roles: readonly (readonly [number, string])[] = [
  [50, 'Owner'],
  [40, 'Maintainer'],
  [30, 'Developer'],
  [20, 'Reporter'],
  [10, 'Guest'],
]

export const roleInWords = (level: number) => roles.find(([least]) => level >= least)?.[1] ?? 'no member'

/** The projects that the visitor is a member of and that are computed here. */
export const projectsPage: PageKind = {
  at: /^\/projects$/,
  async show(site, visitor) {
    const seen = await visitor.projects()
    const to = addressesOf(site)
    const rows = seen.map(({ project, rule, level }) => ({
      key: String(project.id),
      html: render('project-row', {
        ...{ path: project.path, clusters: rule.clusters.join(', '), role: roleInWords(level) },
        ...{ href: to.project(project.path), gitlab: to.inGitLab(project.path) },
      }),
    }))
    const found = await runsOfProjects(
      site.context.db,
      seen.map(one => one.project.id),
      'newest',
      20,
    )
    const paths = new Map(seen.map(one => [one.project.id, one.project.path]))
    return {
      title: 'Projects',
      section: 'projects',
      template: 'projects',
      view: {},
      regions: [
        listRegion('projects', {
          before: render('project-head', { none: rows.length === 0 }),
          rows,
          after: rows.length === 0 ? '' : '</tbody></table></div>',
        }),
        runList(site, 'newest', { title: 'Newest runs', empty: 'There has been no run yet.', found, paths }),
      ],
    }
  },
}
