import { findCommit, listCommits, listRefs } from '../git.ts'
import type { SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath, mergeRequestsOf, pipelinesOf } from '../world.ts'
import { fileTable, lastCommitLine, readme } from './files.ts'
import { html } from './html.ts'
import { ago, projectCrumbs, projectFrame, renderPage, statusIcon } from './layout.ts'
import { mergeRequestRows } from './merge-requests.ts'

/** All projects, or those of one group. */
export function homePage(world: World, group?: string) {
  const projects = [...world.projects.values()].filter(
    project => group === undefined || project.namespace === group || project.namespace.startsWith(`${group}/`),
  )
  const rows = projects.map(project => {
    const last = pipelinesOf(world, project.id).at(-1)
    const open = mergeRequestsOf(world, project.id).filter(mr => mr.state === 'opened').length
    return html`<li><span class="main"><a class="line" href="/${project.fullPath}"><span class="muted">${project.namespace} / </span><strong>${project.name}</strong></a><span class="muted small">${project.description || 'No description.'}</span></span><span class="tag">${project.visibility}</span>${last ? statusIcon(last.status) : ''}<span class="muted small nowrap">${open} open</span><span class="muted small nowrap">${ago(world, project.lastActivityAt)}</span></li>`
  })
  const body = html`<main class="shell"><h1 style="margin-bottom:1.2rem">${group ?? 'Projects'}</h1><div id="live" data-live>${
    rows.length === 0 ? html`<div class="card empty">No projects yet.</div>` : html`<ul class="card rows">${rows}</ul>`
  }</div></main>`
  return renderPage({ title: group ?? 'Projects', crumbs: group === undefined ? [] : [[group, null]], body })
}

const SHOWN_BRANCHES = 30

export async function projectPage(world: World, project: SimProject) {
  const branches = (await listRefs(project.directory, 'refs/heads', ['--sort=-committerdate'])).slice(0, SHOWN_BRANCHES)
  const main = branches.find(ref => ref.name === project.defaultBranch) ?? null
  const address = `/${project.fullPath}/-`
  const clone = `git clone ${world.url}/${project.fullPath}.git`
  const tips = await Promise.all(branches.map(ref => findCommit(project.directory, ref.sha)))
  const rows = branches.map((ref, index) => {
    const pipeline = pipelinesOf(world, project.id).findLast(p => p.sha === ref.sha)
    const tip = tips[index]
    return html`<li><span class="main"><a class="line ref" style="display:inline" href="${address}/tree/${encodePath(ref.name)}">${ref.name}</a> <span class="muted small">${tip?.title ?? ''}</span></span>${pipeline ? html`<a href="${address}/pipelines/${pipeline.id}">${statusIcon(pipeline.status)}</a>` : ''}<span class="muted small nowrap">${tip ? ago(world, tip.committer.date) : ''}</span></li>`
  })
  const open = mergeRequestsOf(world, project.id)
    .filter(mr => mr.state === 'opened')
    .toReversed()
  let files = html`<div class="card empty">The repository is empty. Push a first commit.</div>`
  let about = null
  if (main) {
    const place = { ref: main.name, sha: main.sha, path: '' }
    const [commit] = await listCommits(project.directory, { from: [main.sha], max: 1 })
    files = html`<section class="card">${commit ? lastCommitLine(world, project, commit) : ''}${await fileTable(project, place)}</section>`
    about = await readme(world, project, place)
  }
  const body = html`<div class="title"><h1>${project.name}</h1><span class="tag">${project.visibility}</span></div>
<p class="muted">${project.description || html`<span class="mono">${project.fullPath}</span>`}</p>
<div class="card clone">${clone}</div>
<div id="live" data-live>${open.length > 0 ? html`<h2>Open merge requests</h2>${mergeRequestRows(world, project, open)}` : ''}
<h2>Branches</h2>${rows.length === 0 ? html`<div class="card empty">No branches yet.</div>` : html`<ul class="card rows">${rows}</ul>`}
<h2>Files</h2>${files}${about}</div>`
  return renderPage({
    title: project.fullPath,
    crumbs: projectCrumbs(project),
    body: projectFrame(world, project, 'project', body),
  })
}
