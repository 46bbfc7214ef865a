import type { Commit, FileDiff } from '../git.ts'
import { listCommits, listDiffs } from '../git.ts'
import { highlightLines } from '../highlight.ts'
import type { SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { pipelinesOf } from '../world.ts'
import type { Place } from './files.ts'
import type { Markup } from './html.ts'
import { html, raw } from './html.ts'
import { ago, projectCrumbs, projectFrame, renderPage, statusIcon } from './layout.ts'
import { pipelineCard } from './pipelines.ts'

export function commitRows(world: World, project: SimProject, commits: Commit[]): Markup {
  const base = `/${project.fullPath}/-`
  return html`<ul class="card rows">${commits.map(commit => {
    const pipeline = pipelinesOf(world, project.id).findLast(p => p.sha === commit.id)
    return html`<li><span class="main"><a class="line" href="${base}/commit/${commit.id}">${commit.title || '(no message)'}</a><span class="muted small">${commit.author.name} · ${ago(world, commit.committer.date)}</span></span>${pipeline ? html`<a href="${base}/pipelines/${pipeline.id}">${statusIcon(pipeline.status)}</a>` : ''}<a class="ref" href="${base}/commit/${commit.id}">${commit.id.slice(0, 8)}</a></li>`
  })}</ul>`
}

const SHOWN = 100

export async function commitsPage(world: World, project: SimProject, place: Place) {
  const commits = await listCommits(project.directory, { from: [place.sha], path: place.path, max: SHOWN })
  const body = html`<div id="live" data-live><p><span class="ref">${place.ref}</span> ${place.path}</p>${commitRows(world, project, commits)}</div>`
  return renderPage({
    title: `Commits · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Commits', null]),
    body: projectFrame(world, project, 'commits', body),
  })
}

const MAX_DIFF = 100_000

export function diffCard(diff: FileDiff): Markup {
  const name = diff.renamedFile ? `${diff.oldPath} → ${diff.newPath}` : diff.newPath
  const kind = diff.newFile ? 'new' : diff.deletedFile ? 'deleted' : diff.renamedFile ? 'moved' : ''
  const lines =
    diff.diff.length > MAX_DIFF ? ['too large to show'] : highlightLines(diff.diff.replace(/\n$/, ''), 'diff')
  const rows =
    diff.diff === ''
      ? ''
      : html`<div class="source"><table><tbody>${lines.map(line => html`<tr><td>${raw(line)}</td></tr>`)}</tbody></table></div>`
  return html`<section class="card" style="margin-top:1rem"><div class="head small"><strong class="mono">${name}</strong>${kind === '' ? '' : html`<span class="tag">${kind}</span>`}</div>${rows}</section>`
}

export async function commitPage(world: World, project: SimProject, commit: Commit) {
  const diffs = await listDiffs(project.directory, commit.parents[0] ?? null, commit.id)
  const pipelines = pipelinesOf(world, project.id)
    .filter(p => p.sha === commit.id)
    .toReversed()
  const base = `/${project.fullPath}/-`
  const rest = commit.message.slice(commit.title.length).trim()
  const parents = commit.parents.map(sha => html`<a class="ref" href="${base}/commit/${sha}">${sha.slice(0, 8)}</a> `)
  const body = html`<div id="live" data-live><h1>${commit.title || '(no message)'}</h1>
<p class="muted">${commit.author.name} · ${ago(world, commit.committer.date)} · <span class="ref">${commit.id}</span>${parents.length > 0 ? html` · parent ${parents}` : ''} · <a href="${base}/tree/${commit.id}">files</a></p>
${rest === '' ? '' : html`<pre class="code">${rest}</pre>`}
${pipelines.map(pipeline => pipelineCard(project, pipeline, true))}
<h2>${diffs.length} changed file${diffs.length === 1 ? '' : 's'}</h2>${diffs.slice(0, 200).map(diffCard)}</div>`
  return renderPage({
    title: `${commit.title} · ${project.fullPath}`,
    crumbs: projectCrumbs(
      project,
      ['Commits', `${base}/commits/${project.defaultBranch}`],
      [commit.id.slice(0, 8), null],
    ),
    body: projectFrame(world, project, 'commits', body),
  })
}
