/** SUMMARY.md of collected results: the page of a run for whoever finds the directory in a year. */
import type { ResultsOfJob } from '../model/results.ts'
import { formatSize } from './amounts.ts'
import { jobsSection } from './jobs-section.ts'
import { pathUrl } from './links.ts'
import { code, inline, link } from './markdown.ts'
import { metricsSection } from './metrics-section.ts'
import type { Effort, PageView } from './page.ts'
import { failuresSection, footerSection, verdictSection } from './sections.ts'
import { template } from './template.ts'

const page = template<object>('summary')
const effort: Effort = { jobs: 1_000, failures: 50, lines: 20, metrics: 500, diagram: 0 }
const mostFiles = 200

export function renderSummary(view: PageView, jobs: readonly ResultsOfJob[]): string {
  const { run } = view
  return page({
    title: `${inline(run.projectPath, 200)}: ${inline(run.branch, 300)}`,
    ...verdictSection(view),
    commit: run.commit === null ? null : `${inline(run.commit.subject, 200)}, by ${inline(run.commit.author, 120)}`,
    jobs: jobsSection(view, effort),
    metrics: metricsSection(view, effort),
    failures: failuresSection(view, effort),
    files: jobs.map(job => ({
      name: inline(job.name, 80),
      rows: job.files.slice(0, mostFiles).map(file => ({
        file: link(code(file.local.slice(file.local.indexOf('/') + 1), 'table', 200), pathUrl(file.local)),
        size: file.size === null ? '–' : formatSize(file.size),
        sha256: file.sha256 === null ? '–' : `\`${file.sha256.slice(0, 16)}…\``,
      })),
      rest: job.files.length > mostFiles ? `and ${job.files.length - mostFiles} more` : null,
      left: job.left.map(line => `Not fetched: ${inline(line, 300)}`),
    })),
    footer: footerSection(view),
  })
}
