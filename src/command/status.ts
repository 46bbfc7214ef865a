import { jobStates } from '../model/job-state.ts'
import { code, inline, prose } from '../render/markdown.ts'
import { failureInWords, verdictOf } from '../render/outcome.ts'
import { loadRun, shortBranch } from '../store/runs.ts'
import type { Verb } from './verb.ts'

const most = 50

export const statusVerb: Verb = {
  also: [],
  usage: '[job|branch]',
  summary: 'how the run stands, each job in a line',
  right: 'see',
  target: 'job or branch',
  async obey(context, _order, place) {
    if (place.run === null) return { outcome: 'done', said: 'There is no run yet.', tell: true }
    const run = await loadRun(context.db, place.run.id)
    const { symbol, words } = verdictOf(run)
    const jobs =
      place.chosen.length === 0 ? run.jobs : run.jobs.filter(job => place.chosen.some(one => one.id === job.id))
    const rows = jobs.slice(0, most).map(job => {
      const attempt = job.attempts.at(-1)
      const state = jobStates[job.state]
      const native = attempt?.nativeId == null ? '' : ` ${inline(attempt.nativeId, 40)}`
      const why =
        job.state === 'failed'
          ? `: ${inline(failureInWords(job), 100)}`
          : job.message === null
            ? ''
            : `: ${prose(job.message, 'paragraph', 200)}`
      return `- ${state.symbol} ${code(job.name, 'paragraph', 80)} ${state.label}${why} (${inline(job.cluster, 60)}${native})`
    })
    const more = jobs.length > most ? [`- and ${jobs.length - most} more`] : []
    const head = `${symbol} ${prose(words, 'paragraph', 200)} · ${code(shortBranch(place.ref))} at ${code(run.sha.slice(0, 8))}`
    return { outcome: 'done', said: [head, '', ...rows, ...more].join('\n'), tell: true }
  },
}
