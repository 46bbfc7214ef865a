/** What a page about a run says, section by section, as Markdown that the templates only arrange. The note and the branch page share it. */
import { failureReasons, isFinal, jobStates } from '../model/job-state.ts'
import { mostSeconds } from '../model/most-seconds.ts'
import type { Job, Run } from '../model/run.ts'
import { countOf, formatCoreHours, formatDuration, formatSize, formatTime, secondsBetween } from './amounts.ts'
import { approvalSentence } from './approval.ts'
import { jobUrl, runUrl } from './links.ts'
import { code, fence, html, inline, lastLines, link, oneLine, prose, together } from './markdown.ts'
import { renderNeighbourhood } from './mermaid.ts'
import {
  advice,
  clustersOf,
  coreSeconds,
  coresOf,
  failureInWords,
  lastAttempt,
  ranSeconds,
  verdictOf,
} from './outcome.ts'
import type { Effort, PageView, Plot } from './page.ts'

export type { ClusterAway, Comparison, PageView, PastRun, Plot } from './page.ts'

export function verdictSection(view: PageView) {
  const { run, at } = view
  const verdict = verdictOf(run)
  const on = clustersOf(run)
  const approved = approvalSentence(run)
  return {
    verdict: `${verdict.symbol} ${prose(verdict.words, 'paragraph', 200)}`,
    on: on === '' ? '' : ` on ${inline(on, 200)}`,
    facts: [
      `${code(run.branch, 'paragraph', 200)} at ${code(run.sha.slice(0, 8))}`,
      ...times(run, at),
      ...cost(run, at),
    ].join(' · '),
    approved: approved === null ? null : prose(approved, 'paragraph', 300),
    removed: removedSentence(run, view.timeZone),
    superseded:
      run.supersededBy === null
        ? null
        : `A newer push took over: ${link('its run', runUrl(view.publicUrl, { id: run.supersededBy }))}.`,
  }
}

function removedSentence(run: Run, timeZone: string): string | null {
  const gone = (run.removed ?? []).flatMap(({ cluster, at, days }) =>
    at === null ? [] : [`${inline(cluster, 60)} on ${formatTime(at, timeZone)} (keep: ${days} days)`],
  )
  return gone.length === 0
    ? null
    : `Its directory was removed from ${gone.join(' and ')}: of its outputs what came back into the evidence is left.`
}

function times(run: Run, at: Date): string[] {
  if (run.jobs.length === 0) return []
  const starts = run.jobs.flatMap(job => job.attempts.flatMap(attempt => attempt.startedAt?.getTime() ?? []))
  const first = starts.length === 0 ? null : new Date(Math.min(...starts))
  const until = isFinal(run.state) ? (run.endedAt ?? at) : at
  const waited = secondsBetween(run.createdAt, first ?? until)
  const ran = secondsBetween(first, until)
  const waitedText = waited === null || (first !== null && waited < 1) ? [] : [`waited ${formatDuration(waited)}`]
  if (ran === null) return waitedText
  return [`${[...waitedText, `${isFinal(run.state) ? 'ran' : 'running'} ${formatDuration(ran)}`].join(', ')}`]
}

/** What it cost so far, and what it can cost at most where every job has a time limit. */
function cost(run: Run, at: Date): string[] {
  const spent = coreSeconds(run, at)
  if (isFinal(run.state)) return spent > 0 ? [formatCoreHours(spent)] : []
  const limits = run.jobs.map(job => (mostSeconds(job.spec) ?? Number.NaN) * coresOf(job))
  const most = limits.reduce((sum, limit) => sum + limit, 0)
  const atMost = Number.isNaN(most) || most === 0 ? '' : `at most ${formatCoreHours(most)}`
  if (spent < 36) return atMost === '' ? [] : [atMost]
  return [`${formatCoreHours(spent)} so far${atMost === '' ? '' : `, ${atMost}`}`]
}

export function awaySection(view: PageView) {
  return (view.clustersAway ?? []).slice(0, 5).map(away => ({
    name: inline(away.name, 60),
    since: formatTime(away.since, view.timeZone, { seenFrom: view.at }),
    why: inline(away.why, 200),
  }))
}

/** The mistakes of a wrong file, each with its line and the neighbours; or the sentence why nothing was run. */
export function mistakesSection(view: PageView, effort: Effort) {
  const { run } = view
  const problems = run.spec?.problems ?? []
  if (problems.length === 0 && run.problem === null) return null
  const shown = problems.slice(0, Math.max(1, Math.min(10, effort.failures)))
  const rest = problems.length - shown.length
  return {
    reason: problems.length > 0 || run.problem === null ? null : prose(run.problem, 'paragraph', 1000),
    mistakes: shown.map(({ file, line, message, remedy }) => ({
      where: `${code(file ?? '.compops.yml', 'paragraph', 120)}${line === null ? '' : `, line ${line}`}`,
      message: prose(remedy === null ? message : `${message} ${remedy}`, 'paragraph', 600),
      excerpt: file === undefined ? excerpt(view.specText ?? null, line) : null,
    })),
    rest: rest > 0 ? `and ${countOf(rest, 'more mistake')}` : null,
  }
}

function logLink(view: PageView, job: Job, size: number): string {
  const text = size > 0 ? `log (${formatSize(size)})` : 'log'
  return view.dashboard === false ? text : link(text, jobUrl(view.publicUrl, view.run, job))
}

/** The line and its neighbours, numbered, the line itself marked. */
function excerpt(text: string | null, line: number | null): string | null {
  if (text === null || line === null) return null
  const lines = text.split(/\r?\n/, line + 2)
  if (line < 1 || line > lines.length) return null
  const from = Math.max(1, line - 2)
  const to = Math.min(lines.length, line + 2)
  const width = String(to).length
  const rows: string[] = []
  for (let number = from; number <= to; number += 1) {
    const shown = lastLines(lines[number - 1] ?? '', { lines: 1, width: 160 })[0] ?? ''
    rows.push(`${number === line ? '>' : ' '} ${String(number).padStart(width)} | ${shown}`.trimEnd())
  }
  return fence(rows.join('\n'), 'text')
}

export function treeSection(view: PageView, effort: Effort): string | null {
  const { run } = view
  const diagram = renderNeighbourhood(
    {
      parent: view.parent ?? null,
      branch: run.branch,
      stale: view.stale ?? false,
      jobs: run.jobs.map(job => ({ name: job.name, state: job.state, needs: job.spec.needs })),
      children: view.children ?? [],
      siblings: view.siblings ?? [],
      moreSiblings: view.moreSiblings ?? 0,
      tree: view.tree ?? null,
    },
    effort.diagram,
  )
  // A fence of our own text: fence() would put zero-width characters into the labels.
  return diagram === null ? null : `\`\`\`mermaid\n${diagram}\n\`\`\``
}

/** From which result of its parent a run was computed, and why that is its parent; that it is stale, and by which commit. */
export function lineageSection({ run, stale, staleBy }: PageView) {
  const { parent } = run
  const at = parent?.sha === undefined ? '' : ` at ${code(parent.sha.slice(0, 8))}`
  return {
    lineage:
      parent === null
        ? null
        : `Child of ${code(parent.branch, 'paragraph', 200)}${parent.why === '' ? '' : ` (${prose(parent.why, 'paragraph', 200)})`}${at === '' ? '' : `, computed from it${at}`}.`,
    stale:
      stale !== true
        ? null
        : staleBy == null
          ? 'Stale: the parent has a newer result than the one this was computed from.'
          : `Stale: ${code(staleBy.branch, 'paragraph', 200)} has a newer result, at ${code(staleBy.sha.slice(0, 8))}, than the one this was computed from.`,
  }
}

export function failuresSection(view: PageView, effort: Effort) {
  const failed = view.run.jobs.filter(job => job.state === 'failed')
  const shown = failed.slice(0, effort.failures).map(job => failure(job, view, effort))
  const rest = failed.length - shown.length
  return {
    shown,
    rest: rest > 0 ? link(`and ${countOf(rest, 'more failed job')}`, runUrl(view.publicUrl, view.run)) : null,
  }
}

function failure(job: Job, view: PageView, effort: Effort) {
  const attempt = lastAttempt(job)
  const ran = attempt?.endedAt == null ? null : ranSeconds(attempt, attempt.endedAt)
  const words = failureInWords(job)
  const exitCode = attempt?.exitCode ?? null
  const exit = exitCode === null || exitCode === 0 || words.startsWith('exit ') ? '' : ` (exit ${exitCode})`
  const array = job.spec.array !== undefined
  const lines =
    effort.lines === 0 ? [] : lastLines(attempt?.collected?.logTail ?? '', { lines: effort.lines, width: 240 })
  const log = attempt?.collected?.logSize ?? 0
  const advised = advice(job, view.commands ?? false)
  return {
    summary: `<b>${html(job.name, 80)}</b>: ${html(words)}${ran === null ? '' : ` after ${formatDuration(ran)}`}${exit}`,
    message: job.message === null || words === job.message ? null : prose(job.message, 'paragraph', 500),
    caption:
      lines.length === 0
        ? null
        : `${lines.length === 1 ? 'The last line' : `The last ${lines.length} lines`} of ${array ? taskOf(job) : 'its'} ${logLink(view, job, log)}:`,
    tail: lines.length === 0 ? null : fence(lines.join('\n'), 'text'),
    advice: advised === null ? null : `**Try:** ${advised}`,
  }
}

/** More than this nobody looks at in a note; all of them are in the evidence. */
export const mostPlots = 6

/** `sourceOf`: the address of a picture where this page stands; null where it has none there. */
export function plotsSection(view: PageView, sourceOf: (plot: Plot) => string | null) {
  const all = view.plots ?? []
  const shown = all.flatMap(plot => {
    const source = sourceOf(plot)
    return source === null ? [] : [{ plot, source }]
  })
  if (shown.length === 0) return null
  const rest = all.length - Math.min(shown.length, mostPlots)
  return {
    summary: `plots (${all.length})`,
    shown: shown.slice(0, mostPlots).map(({ plot, source }) => ({
      title: `${inline(plot.job, 80)} · ${code(plot.path, 'paragraph', 200)}`,
      // The words in the brackets are ours: a name could end them.
      image: `!${link('plot', source)}`,
    })),
    rest: rest > 0 ? `and ${countOf(rest, 'more')} in the evidence` : null,
  }
}

/** Whose log it is that an array shows. */
function taskOf(job: Job): string {
  const shown = lastAttempt(job)?.collected?.tasks?.find(task => task.logTail !== undefined)
  const task = job.tasks?.find(one => one.index === shown?.index)
  if (task === undefined) return 'its'
  const exit = task.exitCode === null ? '' : `, exit ${task.exitCode}`
  return `task ${task.index} (${task.reason === null || task.reason === 'exit' ? task.state : failureReasons[task.reason].label}${exit}), its`
}

export function historySection(view: PageView) {
  const past = view.history ?? []
  const shown = past.slice(0, 10)
  if (shown.length === 0) return null
  return {
    summary: `history (${countOf(past.length, 'earlier run')})`,
    rows: shown.map(run => {
      const took = secondsBetween(run.createdAt, run.endedAt)
      return {
        commit: link(code(run.sha.slice(0, 8), 'table'), runUrl(view.publicUrl, run)),
        state: `${jobStates[run.state].symbol} ${prose(run.words, 'table', 120)}`,
        started: formatTime(run.createdAt, view.timeZone, { seenFrom: view.at }),
        took: took === null ? '–' : together(formatDuration(took)),
      }
    }),
  }
}

export function footerSection(view: PageView): string {
  const { run } = view
  const cause = oneLine(run.causedHow) === '' ? [] : [inline(run.causedHow, 120)]
  return [
    ...(view.commands === true ? ['`/compops help`'] : []),
    ...(view.evidenceUrl == null ? [] : [link('evidence', view.evidenceUrl)]),
    ...(view.dashboard === false ? [] : [link('dashboard', runUrl(view.publicUrl, run))]),
    ...cause,
    `updated ${formatTime(view.at, view.timeZone, { seenFrom: run.createdAt, seconds: true })}`,
  ].join(' · ')
}
