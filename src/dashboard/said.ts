import type { Context as HonoContext } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import MarkdownIt from 'markdown-it'
import { Html } from './template.ts'
import type { Cookies } from './visitor.ts'

export interface Said {
  readonly outcome: 'done' | 'refused' | 'nothing to do'
  /** In Markdown, as replies to comments have it. */
  readonly said: string
}

/** No HTML of others, no pictures, no links: an answer of ours has names in it that others gave. */
const markdown = new MarkdownIt({ html: false, linkify: false }).disable(['image', 'link', 'autolink', 'reference'])

/** What came of an act, kept for the next page: also without a script. */
export function leaveSaid(c: HonoContext, cookies: Cookies, said: Said): void {
  const short = { outcome: said.outcome, said: said.said.slice(0, 1_500) }
  setCookie(c, cookies.said, Buffer.from(JSON.stringify(short)).toString('base64url'), {
    ...cookies.options,
    maxAge: 60,
  })
}

export function takeSaid(c: HonoContext, cookies: Cookies): { outcome: string; html: Html } | null {
  const kept = getCookie(c, cookies.said)
  if (kept === undefined) return null
  deleteCookie(c, cookies.said, cookies.options)
  try {
    const { outcome, said } = JSON.parse(Buffer.from(kept, 'base64url').toString()) as Said
    const known = ['done', 'refused', 'nothing to do'].includes(outcome) ? outcome : 'done'
    return { outcome: known, html: new Html(markdown.render(String(said))) }
  } catch {
    return null
  }
}
