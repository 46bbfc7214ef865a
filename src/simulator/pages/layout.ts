import { randomBytes } from 'node:crypto'
import type { SimJob, SimProject, SimUser } from '../types.ts'
import type { World } from '../world.ts'
import { mergeRequestsOf, pipelinesOf, webUrl } from '../world.ts'
import type { Markup } from './html.ts'
import { html, raw } from './html.ts'

const LOGO = raw(
  '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path fill="currentColor" d="M12 22 2.6 14.9a1.6 1.6 0 0 1-.5-1.8L5.6 2.6c.2-.6 1-.6 1.2 0l2.4 7.1h5.6l2.4-7.1c.2-.6 1-.6 1.2 0l3.5 10.5a1.6 1.6 0 0 1-.5 1.8z"/></svg>',
)

const SHAPES: Record<string, string> = {
  success:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M4.8 8.3l2.2 2.2 4.2-4.6" fill="none" stroke="currentColor" stroke-width="1.7"/>',
  failed:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" stroke="currentColor" stroke-width="1.7"/>',
  running:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6" opacity=".35"/><path class="turn" d="M8 3.4A4.6 4.6 0 0 1 8 12.6z" fill="currentColor"/>',
  pending:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M6.3 5.3v5.4M9.7 5.3v5.4" stroke="currentColor" stroke-width="1.7"/>',
  created:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><circle cx="8" cy="8" r="2.4" fill="currentColor"/>',
  canceled:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M4 12L12 4" stroke="currentColor" stroke-width="1.6"/>',
  skipped:
    '<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M5.2 5.3L8 8l-2.8 2.7M8.6 5.3L11.4 8l-2.8 2.7" fill="none" stroke="currentColor" stroke-width="1.5"/>',
}

export function statusIcon(status: string): Markup {
  return raw(
    `<svg class="icon st-${status}" viewBox="0 0 16 16" role="img" aria-label="${status}">${SHAPES[status] ?? ''}</svg>`,
  )
}

const LABELS: Record<string, string> = { success: 'passed', opened: 'Open', closed: 'Closed', merged: 'Merged' }

export function statusPill(status: string): Markup {
  return html`<span class="pill pill-${status}">${status in SHAPES ? statusIcon(status) : ''}${LABELS[status] ?? status}</span>`
}

/** A coloured disc with initials: nothing is fetched from anywhere. */
export function avatar(user: SimUser, size: number): Markup {
  const hue = (user.id * 137) % 360
  const letters = user.name
    .split(/\s+/)
    .map(word => word[0] ?? '')
    .slice(0, 2)
    .join('')
  return html`<span class="avatar" style="width:${size}px;height:${size}px;font-size:${Math.round(size * 0.4)}px;background:hsl(${hue} 42% 46%)" title="${user.name} @${user.username}">${letters || '?'}</span>`
}

export function ago(world: World, date: Date | string): Markup {
  const when = typeof date === 'string' ? new Date(date) : date
  const seconds = Math.max(0, Math.round((world.now().getTime() - when.getTime()) / 1000))
  const [count, unit] =
    seconds < 60
      ? [seconds, 'second']
      : seconds < 3_600
        ? [Math.floor(seconds / 60), 'minute']
        : seconds < 86_400
          ? [Math.floor(seconds / 3_600), 'hour']
          : [Math.floor(seconds / 86_400), 'day']
  const said = seconds < 10 ? 'just now' : `${count} ${unit}${count === 1 ? '' : 's'} ago`
  return html`<time datetime="${when.toISOString()}" title="${when.toISOString()}">${said}</time>`
}

export function duration(job: Pick<SimJob, 'startedAt' | 'finishedAt'>): string {
  if (!job.startedAt || !job.finishedAt) return ''
  const seconds = Math.round((job.finishedAt.getTime() - job.startedAt.getTime()) / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`
  return `${Math.floor(seconds / 3_600)} h ${String(Math.floor((seconds % 3_600) / 60)).padStart(2, '0')} m`
}

// Takes the page again and swaps what changed: scroll, open details and a half-written comment stay.
const REFRESH = `
const opened = root => new Set([...root.querySelectorAll('details[open] > summary')].map(s => s.textContent));
async function refresh() {
  if (document.visibilityState !== 'visible') return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer || !answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of document.querySelectorAll('[data-live]')) {
    const fresh = next.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.dataset.last) continue;
    const last = fresh.innerHTML;
    const keep = opened(part);
    for (const s of fresh.querySelectorAll('details > summary')) if (keep.has(s.textContent)) s.parentElement.open = true;
    part.innerHTML = fresh.innerHTML;
    part.dataset.last = last;
  }
}
setInterval(refresh, 3000);
`

export interface PageOptions {
  title: string
  /** Behind the logo, from the outside in. */
  crumbs: [text: string, address: string | null][]
  body: Markup
}

export interface Page {
  markup: string
  /** Content-Security-Policy that allows this page's own script and nothing from elsewhere. */
  policy: string
}

export function renderPage(o: PageOptions): Page {
  const nonce = randomBytes(12).toString('base64')
  const crumbs = o.crumbs.map(([text, address], index) => {
    const last = index === o.crumbs.length - 1
    return html`<span class="sep">/</span>${address === null || last ? html`<span class="${last ? 'here' : ''}">${text}</span>` : html`<a href="${address}">${text}</a>`}`
  })
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${o.title} · Simulated GitLab</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/-/style.css"></head>
<body><header class="top"><a class="logo" href="/" aria-label="home">${LOGO}</a><a href="/">Projects</a>${crumbs}<span class="grow"></span><span class="tag">simulated GitLab</span></header>
${o.body}
<footer>A simulator: these pages show everything to everybody who can reach them. The API and git ask for tokens and passwords, as GitLab does.</footer>
<script nonce="${nonce}">${raw(REFRESH)}</script></body></html>`
  const policy = `default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; script-src 'nonce-${nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`
  return { markup: page.markup, policy }
}

export type Tab = 'project' | 'files' | 'commits' | 'merge_requests' | 'pipelines'

export function projectCrumbs(project: SimProject, ...more: [string, string | null][]): PageOptions['crumbs'] {
  return [[project.namespace, `/${project.namespace}`], [project.name, `/${project.fullPath}`], ...more]
}

/** The head every page of a project shares: its name and the tabs. */
export function projectFrame(world: World, project: SimProject, tab: Tab, body: Markup): Markup {
  const address = new URL(webUrl(world, project)).pathname
  const open = mergeRequestsOf(world, project.id).filter(mr => mr.state === 'opened').length
  const tabs: [Tab, string, string, number | null][] = [
    ['project', 'Project', address, null],
    ['files', 'Files', `${address}/-/tree/${project.defaultBranch}`, null],
    ['commits', 'Commits', `${address}/-/commits/${project.defaultBranch}`, null],
    ['merge_requests', 'Merge requests', `${address}/-/merge_requests`, open],
    ['pipelines', 'Pipelines', `${address}/-/pipelines`, pipelinesOf(world, project.id).length],
  ]
  return html`<main class="shell"><nav class="tabs">${tabs.map(
    ([key, text, href, count]) =>
      html`<a class="${key === tab ? 'on' : ''}" href="${href}">${text}${count === null ? '' : html`<span class="count">${count}</span>`}</a>`,
  )}</nav>${body}</main>`
}
