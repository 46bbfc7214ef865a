import type { Commit } from '../git.ts'
import { findCommit, listCommits, listTree, readBlob } from '../git.ts'
import { highlightLines, languageOf } from '../highlight.ts'
import { renderMarkdown } from '../markdown.ts'
import type { SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath } from '../world.ts'
import type { Markup } from './html.ts'
import { html, raw } from './html.ts'
import { ago, projectCrumbs, projectFrame, renderPage } from './layout.ts'
import { markdownContext } from './markdown-context.ts'

export interface Place {
  /** As asked for: branch, tag or sha. */
  ref: string
  sha: string
  path: string
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function trail(project: SimProject, place: Place, view: 'tree' | 'blob'): Markup {
  const base = `/${project.fullPath}/-/tree/${encodePath(place.ref)}`
  const parts = place.path.split('/').filter(part => part !== '')
  const links = parts.map((part, index) => {
    const below = encodePath(parts.slice(0, index + 1).join('/'))
    const last = index === parts.length - 1
    return html`<span class="muted"> / </span>${last && view === 'blob' ? part : html`<a href="${base}/${below}">${part}</a>`}`
  })
  return html`<p><span class="ref">${place.ref}</span> <a href="${base}">${project.name}</a>${links}</p>`
}

export function lastCommitLine(world: World, project: SimProject, commit: Commit): Markup {
  const base = `/${project.fullPath}/-`
  return html`<div class="head small"><strong>${commit.author.name}</strong><a class="main" href="${base}/commit/${commit.id}">${commit.title}</a><span class="grow"></span><a class="ref" href="${base}/commit/${commit.id}">${commit.id.slice(0, 8)}</a><span class="muted nowrap">${ago(world, commit.committer.date)}</span></div>`
}

const FOLDER = raw(
  '<svg class="icon muted" viewBox="0 0 16 16" aria-hidden="true"><path fill="currentColor" opacity=".75" d="M1 4a1.5 1.5 0 0 1 1.5-1.5h3.2c.4 0 .8.2 1.1.5l.8 1h5.9A1.5 1.5 0 0 1 15 5.500v6A1.500 1.500 0 0 1 13.500 13h-11A1.500 1.500 0 0 1 1 11.500z"/></svg>',
)
const FILE = raw(
  '<svg class="icon muted" viewBox="0 0 16 16" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="1.3" d="M3.500 1.700h5.300l3.700 3.700v8.900h-9zM8.700 1.900v3.700h3.700"/></svg>',
)

/** The files of a folder, folders first. Null when it is no folder. */
export async function fileTable(project: SimProject, place: Place): Promise<Markup | null> {
  const entries = await listTree(project.directory, place.sha, place.path, false)
  if (entries === null) return null
  const ref = encodePath(place.ref)
  const sorted = entries.toSorted(
    (a, b) => Number(b.type === 'tree') - Number(a.type === 'tree') || (a.name < b.name ? -1 : 1),
  )
  if (sorted.length === 0) return html`<div class="empty">This folder is empty.</div>`
  return html`<table class="list"><tbody>${sorted.map(entry => {
    const view = entry.type === 'tree' ? 'tree' : 'blob'
    const name =
      entry.type === 'commit'
        ? html`${entry.name} <span class="muted">@ ${entry.id.slice(0, 8)}</span>`
        : html`<a href="/${project.fullPath}/-/${view}/${ref}/${encodePath(entry.path)}">${entry.name}</a>`
    return html`<tr><td style="width:1%;padding-right:0">${entry.type === 'tree' ? FOLDER : FILE}</td><td>${name}</td></tr>`
  })}</tbody></table>`
}

/** The rendered README of a folder, if there is one. */
export async function readme(world: World, project: SimProject, place: Place): Promise<Markup | null> {
  const entries = await listTree(project.directory, place.sha, place.path, false)
  const entry = entries?.find(e => /^readme(\.md)?$/i.test(e.name) && e.type === 'blob')
  const blob = entry && (await readBlob(project.directory, place.sha, entry.path))
  if (!entry || !blob) return null
  const context = markdownContext(world, project, { file: entry.path, ref: place.ref, mermaidLimited: false })
  return html`<section class="card" style="margin-top:1.6rem"><div class="head small"><strong>${entry.name}</strong></div><div class="md" style="padding:1.4rem 1.6rem">${raw(renderMarkdown(blob.bytes.toString(), context))}</div></section>`
}

export async function treePage(world: World, project: SimProject, place: Place) {
  const table = await fileTable(project, place)
  if (table === null) return null
  const [commit] = await listCommits(project.directory, { from: [place.sha], path: place.path, max: 1 })
  const body = html`<div id="live" data-live>${trail(project, place, 'tree')}<section class="card">${commit ? lastCommitLine(world, project, commit) : ''}${table}</section>${await readme(world, project, place)}</div>`
  return renderPage({
    title: `${place.path || place.ref} · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Files', null]),
    body: projectFrame(world, project, 'files', body),
  })
}

const MAX_SHOWN = 1024 * 1024

function sourceTable(text: string, language: string): Markup {
  const lines = highlightLines(text.replace(/\n$/, ''), language)
  return html`<div class="source"><table><tbody>${lines.map((line, index) => {
    const n = index + 1
    return html`<tr id="L${n}"><td class="no"><a href="#L${n}" data-n="${n}" aria-label="line ${n}"></a></td><td>${raw(line)}</td></tr>`
  })}</tbody></table></div>`
}

export async function blobPage(world: World, project: SimProject, place: Place) {
  const blob = await readBlob(project.directory, place.sha, place.path)
  if (blob === null) return null
  const [commit] = await listCommits(project.directory, { from: [place.sha], path: place.path, max: 1 })
  const shown = commit ?? (await findCommit(project.directory, place.sha))
  const rawAddress = `/${project.fullPath}/-/raw/${encodePath(place.ref)}/${encodePath(place.path)}`
  const language = languageOf(place.path)
  const head = html`<div class="head small"><strong>${place.path.split('/').at(-1) ?? ''}</strong><span class="muted">${size(blob.bytes.length)}</span><span class="grow"></span><a href="${rawAddress}">raw</a></div>`
  let content: Markup
  if (/^(png|jpe?g|gif|webp|svg)$/.test(language))
    content = html`<div class="empty"><img src="${rawAddress}" alt="" style="max-width:100%"></div>`
  else if (blob.bytes.includes(0) || blob.bytes.length > MAX_SHOWN)
    content = html`<div class="empty">${size(blob.bytes.length)}, not shown here. <a href="${rawAddress}">Get it</a>.</div>`
  else if (language === 'md' || language === 'markdown') {
    const context = markdownContext(world, project, { file: place.path, ref: place.ref, mermaidLimited: false })
    content = html`<div class="md" style="padding:1.4rem 1.6rem">${raw(renderMarkdown(blob.bytes.toString(), context))}</div>`
  } else content = sourceTable(blob.bytes.toString(), language)
  const body = html`<div id="live" data-live>${trail(project, place, 'blob')}<section class="card">${shown ? lastCommitLine(world, project, shown) : ''}</section><section class="card" style="margin-top:1rem">${head}${content}</section></div>`
  return renderPage({
    title: `${place.path} · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Files', null]),
    body: projectFrame(world, project, 'files', body),
  })
}
