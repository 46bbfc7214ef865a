/** Handlebars for pages: everything of others is escaped where it stands; only our own templates write HTML. */
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type JobState, jobStates } from '../model/job-state.ts'
import { formatDuration, formatTime } from '../render/amounts.ts'

type Handlebars = typeof import('handlebars')

const require = createRequire(import.meta.url)
const folder = new URL('./views/', import.meta.url)
let made: Handlebars | undefined
const compiled = new Map<string, (view: object) => string>()

/** HTML that our own code has made: everything else that a template writes is escaped. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  toHTML(): string {
    return this.text
  }
}

function engine(): Handlebars {
  if (made !== undefined) return made
  made = (require('handlebars') as Handlebars).create()
  for (const [name, help] of Object.entries(helpers)) made.registerHelper(name, help as never)
  for (const file of readdirSync(folder))
    if (file.startsWith('_'))
      made.registerPartial(file.slice(1).replace(/\.hbs$/, ''), readFileSync(new URL(file, folder), 'utf8'))
  return made
}

/** A template of `views/`, filled in. */
export function render(name: string, view: object): string {
  let write = compiled.get(name)
  if (write === undefined) {
    write = engine().compile<object>(readFileSync(new URL(`${name}.hbs`, folder), 'utf8'), {
      knownHelpersOnly: true,
      knownHelpers: Object.fromEntries(Object.keys(helpers).map(helper => [helper, true])),
    })
    compiled.set(name, write)
  }
  return write(view)
}

/** `&`, `<`, `>`, quotes: nothing of it is markup any more, in text or in an attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`=]/g, char => `&#${char.charCodeAt(0)};`)
}

const helpers = {
  /** A state: its sign in its colour, and its word. */
  mark: (name: JobState, word: unknown) => stateMark(name, typeof word === 'string' ? word : undefined),
  /** A moment, with the whole of it for who points at it. */
  at: (date: Date | null, zone: string, now: Date) =>
    date === null
      ? new Html('<span class="none">–</span>')
      : new Html(
          `<time datetime="${date.toISOString()}" title="${escapeHtml(formatTime(date, zone, { seconds: true }))}">${escapeHtml(formatTime(date, zone, { seenFrom: now }))}</time>`,
        ),
  /** A length of time. */
  span: (seconds: number | null) =>
    seconds === null ? new Html('<span class="none">–</span>') : formatDuration(seconds),
  /** How long ago it began; goes on by itself in the browser. */
  since: (date: Date | null, now: Date) => (date === null ? new Html('<span class="none">–</span>') : since(date, now)),
  eq: (a: unknown, b: unknown) => a === b,
}

export function since(date: Date, now: Date): Html {
  const seconds = Math.max(0, (now.getTime() - date.getTime()) / 1_000)
  return new Html(`<span data-from="${date.toISOString()}">${escapeHtml(formatDuration(seconds))}</span>`)
}

export function stateMark(name: JobState, word?: string): Html {
  const known = name in jobStates ? name : 'waiting'
  return new Html(
    `<span class="state s-${known}"><svg class="icon" aria-hidden="true"><use href="#i-${known}"/></svg>${escapeHtml(word ?? jobStates[known].label)}</span>`,
  )
}
