/** A node of the tree on the evidence branch: for programs as YAML, for people as the page to read where there is no merge request. */
import { renderBranchRecord } from './evidence.ts'
import { jobsSection } from './jobs-section.ts'
import { branchPath, evidencePath, relativeUrl } from './links.ts'
import { code, inline, link } from './markdown.ts'
import type { Neighbour } from './mermaid.ts'
import { metricsSection } from './metrics-section.ts'
import type { Effort, PageView } from './page.ts'
import {
  awaySection,
  failuresSection,
  footerSection,
  historySection,
  lineageSection,
  mistakesSection,
  plotsSection,
  treeSection,
  verdictSection,
} from './sections.ts'
import { template } from './template.ts'

const page = template<object>('branch')

/** Pages of the repository have no limit on diagrams (render_sandboxed_mermaid.js exempts them); readers have. */
const effort: Effort = { jobs: 200, failures: 20, lines: 20, metrics: 100, diagram: 20_000 }

export function branchPage(view: PageView): { readonly yml: string; readonly md: string } {
  const { run } = view
  const path = branchPath(run.branch, 'md')
  const linked = (node: Neighbour) =>
    link(code(node.branch, 'paragraph', 200), relativeUrl(path, branchPath(node.branch, 'md')))
  const children = view.children ?? []
  return {
    yml: renderBranchRecord({
      project: run.projectPath,
      branch: run.branch,
      parent: run.parent,
      stale: view.stale ?? false,
      children: children.map(child => child.branch),
      run,
    }),
    md: page({
      title: inline(run.branch, 300),
      ...verdictSection(view),
      around: [
        link('all computations', relativeUrl(path, 'README.md')),
        ...(view.parent == null ? [] : [`parent ${linked(view.parent)}`]),
        ...(children.length === 0 ? [] : [`children ${children.slice(0, 20).map(linked).join(', ')}`]),
      ].join(' · '),
      ...lineageSection(view),
      away: awaySection(view),
      mistakes: mistakesSection(view, effort),
      tree: treeSection(view, effort),
      jobs: jobsSection({ ...view, evidenceUrl: relativeUrl(path, evidencePath(run)) }, effort),
      metrics: metricsSection(view, effort),
      failures: failuresSection(view, effort),
      plots: plotsSection(view, plot => relativeUrl(path, plot.file)),
      history: historySection(view),
      footer: footerSection({ ...view, evidenceUrl: relativeUrl(path, evidencePath(run)) }),
    }),
  }
}
