/** The answer to "why" for a terminal: a line a step, the step where it stands in the end. */
import { failureReasons, isFinal, type JobState, jobStates } from '../model/job-state.ts'
import {
  type Chain,
  type CiStep,
  type DeliveryStep,
  type JobStep,
  mostChains,
  type ReportStep,
  type RunStep,
  type Step,
  type Why,
  type Work,
} from '../model/why.ts'
import { countOf, formatDuration, formatTime } from './amounts.ts'
import { cut } from './markdown.ts'
import { createPaint, type Paint, safe, type Tone } from './paint.ts'
import { conclusionOf } from './why-conclusion.ts'

export interface WhyStyle {
  readonly colour?: boolean
  /** Columns; nothing is cut without it. */
  readonly width?: number | undefined
}

export function renderWhy(why: Why, style: WhyStyle = {}): string {
  const page: Page = {
    paint: createPaint(style.colour ?? false),
    width: style.width === undefined ? Number.POSITIVE_INFINITY : Math.max(60, style.width),
    now: new Date(why.at),
    timeZone: why.timeZone,
  }
  const lines = why.chains.flatMap((chain, index) => [...(index > 0 ? [''] : []), ...chainLines(why, chain, page)])
  if (why.chains.length === 0) lines.push(...nothingLines(why, page))
  if (why.more > 0) lines.push('', page.paint('dim', `  ${moreWords(why)}`))
  return `\n${lines.join('\n')}\n\n`
}

function moreWords({ more, chains }: Why): string {
  const last = Math.min(mostChains, chains.length + more)
  return more === 1
    ? `1 older match: \`--last ${last}\` shows it.`
    : `${more} older matches: \`--last ${last}\` shows them.`
}

interface Page {
  readonly paint: Paint
  readonly width: number
  readonly now: Date
  readonly timeZone: string
}

/** One line: what it is, what is to be said of it, and since when. */
interface Line {
  readonly symbol: string
  readonly tone: Tone
  readonly name: string
  readonly says: string
  readonly at: string | null
  /** Belongs to the line before. */
  readonly under?: boolean
}

function chainLines(why: Why, chain: Chain, page: Page): string[] {
  const { paint } = page
  const commit = chain.sha === null ? '' : ` at ${safe(chain.sha).slice(0, 8)}`
  const title = `${chain.branch === null ? 'a delivery' : safe(chain.branch, 100)}${commit}`
  const lines = chain.steps.flatMap((step, index) => linesOf(step, page).map(line => ({ line, index })))
  const shown = folded(lines, chain)
  const nameWidth = Math.min(28, Math.max(...shown.map(line => line.name.length)))
  const saysWidth = Math.min(
    Math.max(24, page.width - nameWidth - 34),
    Math.max(...shown.filter(line => line.at !== null).map(line => line.says.length), 0),
  )
  return [
    `  ${paint('bold', title)} ${paint('dim', `in ${safe(chain.project)}`)}`,
    '',
    ...shown.map(line => drawn(line, nameWidth, saysWidth, page)),
    '',
    ...conclusionOf(why, chain).map(({ tone, text }) => `  ${paint(tone, text)}`),
  ]
}

function drawn(line: Line, nameWidth: number, saysWidth: number, page: Page): string {
  const { paint } = page
  const head = line.under === true ? '   ' : `${paint(line.tone, line.symbol)}  `
  const name = cut(line.name, nameWidth).padEnd(nameWidth)
  const left = `  ${head}${line.under === true ? ' '.repeat(nameWidth) : name}  `
  if (line.at === null) {
    const says = Number.isFinite(page.width) ? cut(line.says, Math.max(24, page.width - nameWidth - 8)) : line.says
    return `${left}${line.under === true ? paint(line.tone, says) : says}`.trimEnd()
  }
  const says = Number.isFinite(page.width) ? cut(line.says, saysWidth) : line.says
  return `${left}${line.under === true ? paint(line.tone, says.padEnd(saysWidth)) : says.padEnd(saysWidth)}  ${paint('dim', when(line.at, page))}`
}

/** Ten lines of what went well tell less than one. */
function folded(lines: readonly { line: Line; index: number }[], chain: Chain): Line[] {
  const out: Line[] = []
  for (const kind of ['delivery', 'ci', 'run', 'job', 'report'] as const) {
    const steps = chain.steps.map((step, index) => ({ step, index })).filter(one => one.step.kind === kind)
    const quiet = steps.filter(({ step, index }) => isQuiet(step) && index !== chain.stands.step)
    const hidden = new Set(quiet.length > 8 ? quiet.slice(3).map(one => one.index) : [])
    out.push(
      ...lines.filter(({ index }) => chain.steps[index]?.kind === kind && !hidden.has(index)).map(({ line }) => line),
    )
    if (hidden.size > 0)
      out.push({
        ...{ symbol: '●', tone: 'good', name: '…', at: null },
        says: `${countOf(hidden.size, kind)} more ${kind === 'job' ? 'completed' : 'told'}`,
      })
  }
  return out
}

function isQuiet(step: Step): boolean {
  if (step.kind === 'job') return step.state === 'completed' && step.doing === null
  return step.kind === 'report' && step.state === 'told'
}

function linesOf(step: Step, page: Page): Line[] {
  switch (step.kind) {
    case 'delivery':
      return deliveryLines(step, page)
    case 'ci':
      return ciLines(step, page)
    case 'run':
      return runLines(step, page)
    case 'job':
      return jobLines(step, page)
    case 'report':
      return reportLines(step, page)
  }
}

function deliveryLines(step: DeliveryStep, page: Page): Line[] {
  const what = `${step.event}${step.by === null ? '' : ` by ${safe(step.by, 60)}`}`
  const ignored = step.outcome === 'ignored'
  const answered = ignored ? `ignored: ${safe(step.reason ?? 'no reason')}` : 'accepted'
  const lines: Line[] = [
    {
      ...mark(ignored ? 'over' : step.doneAt === null ? 'open' : 'good'),
      ...{ name: 'delivery', says: `${what}, ${answered}`, at: step.receivedAt },
    },
  ]
  if (!ignored && step.result !== null) lines.push(under(`→ ${safe(step.result)}`, step.doneAt, 'plain'))
  if (step.doneAt === null) lines.push(...workLines(step.work, 'to be read', page))
  if (step.doneAt === null && step.recovering) lines.push(under(recovering, null, 'warn'))
  return lines
}

const recovering = 'waits until what has happened since the restored backup has been read'

const ciWords = { attach: 'follows it', detach: 'ended at once', gate: 'ended at once' }

function ciLines(step: CiStep, page: Page): Line[] {
  const refused = !step.started && step.endedAt !== null
  const which = `${safe(step.name, 60)}, CI job ${step.ciJob} of pipeline ${step.pipeline} by ${safe(step.by, 60)}`
  const lines: Line[] = [
    {
      ...mark(refused ? 'bad' : step.endedAt === null ? 'open' : 'good'),
      ...{ name: `CI ${step.mode}`, says: `${which}${refused ? ': refused' : ''}`, at: step.askedAt },
    },
  ]
  if (refused) return [...lines, under(safe(step.result ?? 'no reason'), step.endedAt, 'bad')]
  if (!step.started) return [...lines, under('it has no run yet: the CI job asks again', null, 'dim')]
  if (step.wanted !== null) lines.push(under(`waits for ${safe(step.wanted.join(', '), 200)}`, null, 'dim'))
  if (step.endedAt !== null) return [...lines, under(`→ ${safe(step.result ?? 'ended')}`, step.endedAt, 'plain')]
  const how =
    step.gate === null
      ? ciWords[step.mode]
      : `${ciWords.gate}; ${safe(step.gate, 60)} is played when its jobs have ended`
  lines.push(step.mode === 'attach' ? under(`${how}; it last asked`, step.heardAt, 'dim') : under(how, null, 'dim'))
  if (step.gateEarly) lines.push(under('its gate was played before the end: it is played again', null, 'warn'))
  if (step.beginsBy !== null) lines.push(under('max_wait: cancelled unless it has begun', step.beginsBy, 'dim'))
  if (step.work.parkedAt !== null || step.work.tries > 0) lines.push(...workLines(step.work, '', page))
  else if (step.over && step.gate !== null && step.work.lastError !== null)
    lines.push(under(safe(step.work.lastError), null, 'dim'))
  return lines
}

function runLines(step: RunStep, page: Page): Line[] {
  const jobs = step.jobs === 0 ? 'no jobs' : countOf(step.jobs, 'job')
  const lines: Line[] = [
    { ...stateMark(step.state), name: 'run', says: `${step.state}, ${jobs}: ${safe(step.how)}`, at: step.createdAt },
    under(`${step.id}${step.endedAt === null ? '' : ', ended'}`, step.endedAt, 'dim'),
  ]
  if (step.problem !== null && step.mistakes.length === 0) lines.push(under(safe(step.problem), null, 'bad'))
  for (const mistake of step.mistakes.slice(0, 5)) lines.push(under(`.compops.yml ${safe(mistake)}`, null, 'bad'))
  if (step.mistakes.length > 5)
    lines.push(under(`and ${countOf(step.mistakes.length - 5, 'more mistake')}`, null, 'bad'))
  if (step.supersededBy !== null) lines.push(under(`superseded by run ${step.supersededBy}`, null, 'dim'))
  if (step.keptBy != null) lines.push(under(`kept by ${safe(step.keptBy, 60)}`, null, 'dim'))
  for (const { cluster, at, days, problem } of step.removed ?? []) {
    const directory = `its directory on ${safe(cluster, 60)}`
    const rule = `(keep: ${days} days)`
    if (at !== null) lines.push(under(`${directory} was removed ${rule}`, at, 'dim'))
    else if (problem == null) lines.push(under(`${directory} is being removed ${rule}`, null, 'dim'))
    else {
      lines.push(under(`${directory} is to be removed ${rule}: ${safe(problem.why, 300)}`, null, 'warn'))
      lines.push(under('it is tried again', problem.nextAt, 'dim'))
    }
  }
  if (step.composing !== null) lines.push(...workLines(step.composing, 'to be composed', page))
  return lines
}

function jobLines(step: JobStep, page: Page): Line[] {
  const where = step.nativeId === null ? step.cluster : `${step.cluster} ${safe(step.nativeId, 60)}`
  const reason = step.reason === null ? '' : ` (${failureReasons[step.reason].label})`
  const attempts = step.attempts > 1 ? `, attempt ${step.attempts}` : ''
  const lines: Line[] = [
    {
      ...stateMark(step.state),
      ...{ name: safe(step.name, 60), says: `${jobStates[step.state].label}${reason}, ${where}${attempts}` },
      at: step.since,
    },
  ]
  // The same words stand on several rows; a person reads them once.
  const { peer } = step
  const blamed = peer?.unreachableSince != null || step.doing === 'submit' ? (peer?.lastError ?? null) : null
  const failed = step.work?.lastError ?? null
  if (step.message !== null && step.message !== failed && step.message !== blamed)
    lines.push(under(safe(step.message), null, 'dim'))
  if (step.cancelling !== null) lines.push(under(`to be cancelled: ${safe(step.cancelling)}`, null, 'dim'))
  if (peer?.unreachableSince != null) {
    const why = peer.lastError === null ? '' : `: ${safe(peer.lastError)}`
    lines.push(under(`${step.connection} has not answered${why}`, peer.unreachableSince, 'bad'))
  } else if (peer?.lastError != null && step.doing === 'submit') {
    lines.push(under(`${step.connection} takes no jobs: ${safe(peer.lastError)}`, peer.troubledSince, 'bad'))
  }
  if (peer?.recovering === true && !isFinal(step.state)) lines.push(under(recovering, null, 'warn'))
  if (step.work !== null && step.doing !== null)
    lines.push(...workLines(step.work, doingWords[step.doing], page, failed === blamed))
  return lines
}

const doingWords = { submit: 'to be submitted', collect: 'its results are to be fetched', cancel: 'to be cancelled' }

function reportLines(step: ReportStep, page: Page): Line[] {
  const name = step.report === 'status' ? `status ${safe(step.name).replace(/^compops\//, '')}` : step.report
  const what = step.report === 'status' ? `${step.wants}` : safe(step.name, 200)
  switch (step.state) {
    case 'told':
      return [
        {
          ...mark('good'),
          name,
          says: `${what}, ${step.report === 'evidence' ? 'committed' : 'told'}`,
          at: step.sentAt,
        },
      ]
    case 'refused':
      return [
        { ...mark('bad'), name, says: `${what}, refused by GitLab`, at: step.sentAt },
        under(safe(step.refused ?? ''), null, 'bad'),
      ]
    case 'not yet':
    case 'parked':
      return [
        {
          ...mark(step.work.lastError === null ? 'open' : 'bad'),
          name,
          says: `${what}, not told yet`,
          at: step.unsentSince,
        },
        ...workLines(step.work, 'to be told', page),
      ]
  }
}

/** How a piece of work goes: its last error, its next try, or that it was given up. */
function workLines(work: Work, waiting: string, page: Page, errorShown = false): Line[] {
  const lines: Line[] = []
  if (work.lastError !== null && !errorShown) lines.push(under(`✕ ${safe(work.lastError)}`, null, 'bad'))
  if (work.parkedAt !== null)
    lines.push(under(`parked after ${countOf(work.tries, 'try').replace('trys', 'tries')}`, work.parkedAt, 'warn'))
  else if (work.busy)
    lines.push(under(`↻ it is being tried at this moment, try ${Math.max(1, work.tries)}`, null, 'dim'))
  else if (work.lastError !== null)
    lines.push(under(`↻ ${nextTry(work, page.now)}, ${tries(work.tries)} so far`, null, 'warn'))
  else {
    const later = work.nextAt !== null && new Date(work.nextAt) > page.now ? `, ${nextTry(work, page.now)}` : ''
    lines.push(under(`${waiting}${later}`, null, 'dim'))
  }
  return lines
}

const tries = (n: number): string => (n === 1 ? '1 try' : `${n} tries`)

/** `next try in 12 s`, `next try at once`. */
export function nextTry(work: Pick<Work, 'nextAt'>, now: Date): string {
  const seconds = work.nextAt === null ? 0 : (new Date(work.nextAt).getTime() - now.getTime()) / 1000
  return seconds < 1 ? 'next try at once' : `next try in ${formatDuration(seconds)}`
}

function under(says: string, at: string | null, tone: Tone): Line {
  return { symbol: '', tone, name: '', says, at, under: true }
}

function mark(kind: 'good' | 'open' | 'bad' | 'over'): Pick<Line, 'symbol' | 'tone'> {
  return {
    good: { symbol: '●', tone: 'good' },
    open: { symbol: '○', tone: 'warn' },
    bad: { symbol: '✕', tone: 'bad' },
    over: { symbol: '⊘', tone: 'dim' },
  }[kind] as Pick<Line, 'symbol' | 'tone'>
}

function stateMark(state: JobState): Pick<Line, 'symbol' | 'tone'> {
  const { symbol, gitlab } = jobStates[state]
  const tones = {
    pending: 'warn',
    running: 'moving',
    success: 'good',
    failed: 'bad',
    canceled: 'dim',
    skipped: 'dim',
  } as const
  return { symbol, tone: tones[gitlab] }
}

/** `16:32:10 CET, 8 min ago` */
function when(at: string, { now, timeZone }: Page): string {
  const date = new Date(at)
  return `${formatTime(date, timeZone, { seenFrom: now, seconds: true })}, ${formatAgo(date, now)}`
}

/** `just now`, `12 s ago`, `8 min ago`, `3 h ago`, `5 d ago`; also what is to come: `in 12 s`. */
export function formatAgo(date: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - date.getTime()) / 1000)
  const amount = Math.abs(seconds)
  if (amount < 2) return 'just now'
  const text =
    amount < 60
      ? `${amount} s`
      : amount < 3_600
        ? `${Math.round(amount / 60)} min`
        : amount < 48 * 3_600
          ? `${Math.round(amount / 3_600)} h`
          : `${Math.round(amount / 86_400)} d`
  return seconds < 0 ? `in ${text}` : `${text} ago`
}

function nothingLines(why: Why, page: Page): string[] {
  const { paint } = page
  const looked = why.lookedFor.join(', ').replace(/, ([^,]*)$/, ' and $1')
  const lines = [
    `  ${paint('bold', 'Nothing is known of')} ${safe(why.asked, 120)}`,
    '',
    `  It was looked for as ${looked}.`,
  ]
  if (why.near.length === 0)
    return [
      ...lines,
      '  No delivery has ever come in: look at the webhook of the project in GitLab (Settings, Webhooks).',
    ]
  lines.push('', `  ${paint('dim', 'What comes nearest:')}`)
  for (const near of why.near) {
    const at = near.at === null ? '' : paint('dim', `  ${when(near.at, page)}`)
    lines.push(
      `    compops why ${safe(near.ask, 120)}  ${paint('dim', `${safe(near.project)}, ${safe(near.what, 160)}`)}${at}`,
    )
  }
  return lines
}
