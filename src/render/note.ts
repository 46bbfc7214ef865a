/** The one note on a merge request: edited in place, so it always says how things stand. */
import { jobsSection } from './jobs-section.ts'
import { prose } from './markdown.ts'
import { noteDiagramLimit } from './mermaid.ts'
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

export interface NoteView extends PageView {
  readonly mergeRequest: { readonly projectId: number; readonly iid: number }
}

/** GitLab takes a million characters, but nobody reads them, and each edit is sent whole. */
export const maxNote = 60_000

const note = template<object>('note')

const efforts: readonly Effort[] = [
  { jobs: 50, failures: 8, lines: 20, metrics: 30, diagram: noteDiagramLimit },
  { jobs: 40, failures: 8, lines: 8, metrics: 20, diagram: noteDiagramLimit },
  { jobs: 25, failures: 4, lines: 4, metrics: 10, diagram: noteDiagramLimit },
  { jobs: 10, failures: 2, lines: 0, metrics: 5, diagram: 1000 },
]

/** The hidden first line by which the note is found again; `v` changes when the note's form does. */
export function noteMarker(mergeRequest: NoteView['mergeRequest']): string {
  return `<!-- compops:tree project=${mergeRequest.projectId} mr=${mergeRequest.iid} v=1 -->`
}

/** Markdown of less than 60,000 characters whatever comes in: a note too long says less, and says so. */
export function renderNote(view: NoteView): string {
  let text = ''
  for (const effort of efforts) {
    text = note(noteSections(view, effort))
    if (text.length < maxNote) return text
  }
  // Beyond hope (every name at its longest): what stands in one line.
  const { verdict, on, facts } = verdictSection(view)
  return `${noteMarker(view.mergeRequest)}\n\n**${verdict}**${on} · ${facts}\n\nThe rest is too long for a note. ${footerSection(view)}\n`
}

function noteSections(view: NoteView, effort: Effort): object {
  return {
    marker: noteMarker(view.mergeRequest),
    ...verdictSection(view),
    evidenceRefused: view.evidenceRefused == null ? null : prose(view.evidenceRefused, 'paragraph', 400),
    away: awaySection(view),
    mistakes: mistakesSection(view, effort),
    tree: treeSection(view, effort),
    ...lineageSection(view),
    jobs: jobsSection(view, effort),
    metrics: metricsSection(view, effort),
    failures: failuresSection(view, effort),
    plots: plotsSection(view, plot => plot.upload),
    history: historySection(view),
    footer: footerSection(view),
  }
}
