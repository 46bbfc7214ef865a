import { createHash } from 'node:crypto'

/** A piece of a page that is renewed by itself. A list in it is renewed row by row. */
export interface Region {
  readonly id: string
  readonly html: string
  readonly list?: { readonly before: string; readonly rows: readonly Row[]; readonly after: string }
}

export interface Row {
  readonly key: string
  readonly html: string
}

/** What a page shows: a template around regions. */
export interface Page {
  readonly title: string
  /** Which entry of the navigation it stands under. */
  readonly section: Section
  readonly template: string
  readonly view: object
  readonly regions: readonly Region[]
  /** ms after which it is made anew while it stays open, although no row has changed; left out: only then. */
  readonly again?: number
}

export const sections = ['overview', 'scheduler', 'projects', 'clusters', 'deliveries', 'audit', 'load'] as const
export type Section = (typeof sections)[number]

export function region(id: string, html: string): Region {
  return { id, html }
}

/** `before` and `after` are around the rows, e.g. a table's head and end. */
export function listRegion(id: string, list: NonNullable<Region['list']>): Region {
  return { id, list, html: `${list.before}${list.rows.map(row => row.html).join('')}${list.after}` }
}

/** What a browser has of a region: digests, not text, so that a thousand open pages are small. */
export interface Held {
  readonly whole: string
  readonly frame: string | null
  readonly rows: ReadonlyMap<string, string> | null
}

export interface Change {
  readonly id: string
  /** The whole of it, or only these rows. */
  readonly html?: string
  readonly rows?: readonly Row[]
}

export function hold({ html, list }: Region): Held {
  return {
    whole: digest(html),
    frame:
      list === undefined ? null : digest(`${list.before}\0${list.rows.map(row => row.key).join('\0')}\0${list.after}`),
    rows: list === undefined ? null : new Map(list.rows.map(row => [row.key, digest(row.html)])),
  }
}

/** What has to be sent so that who has `held` sees `now`; null where nothing has. */
export function changeOf(held: Held | undefined, now: Region, next: Held = hold(now)): Change | null {
  if (held?.whole === next.whole) return null
  if (held === undefined || held.frame === null || held.frame !== next.frame || now.list === undefined)
    return { id: now.id, html: now.html }
  return { id: now.id, rows: now.list.rows.filter(row => held.rows?.get(row.key) !== next.rows?.get(row.key)) }
}

/** Lengths of time go on by themselves in the browser: they are no change. */
function digest(html: string): string {
  return createHash('sha1')
    .update(html.replace(/(data-from="[^"]*">)[^<]*/g, '$1'))
    .digest('base64')
}

/** Of everything that a page shows, for Last-Event-ID: who comes back with it has missed nothing. */
export function stamp(regions: readonly Region[]): string {
  return digest(regions.map(one => `${one.id}\0${one.html}`).join('\0')).slice(0, 20)
}
