import type { SimJob, SimPipeline, SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath, pipelinesOf, userOf } from '../world.ts'
import type { Markup } from './html.ts'
import { html } from './html.ts'
import { ago, avatar, duration, projectCrumbs, projectFrame, renderPage, statusIcon, statusPill } from './layout.ts'

function showJob(job: SimJob): Markup {
  const name =
    job.targetUrl === null
      ? html`<span class="name">${job.name}</span>`
      : html`<a class="name" href="${safe(job.targetUrl)}" rel="noreferrer noopener">${job.name}</a>`
  return html`<li class="${job.retried ? 'retried' : ''}">${statusIcon(job.status)}${name}<span class="said">${job.description ?? ''}</span><span class="muted small nowrap">${job.retried ? 'retried' : duration(job)}</span></li>`
}

// Statuses are posted with http addresses only; still nothing else may become a link here.
function safe(address: string): string {
  return /^https?:\/\//i.test(address) ? address : '#'
}

/** A pipeline as the merge request's widget shows it: head line, then its rows by stage. */
export function pipelineCard(project: SimProject, pipeline: SimPipeline, all = false): Markup {
  const address = `/${project.fullPath}/-`
  const jobs = pipeline.jobs.filter(job => all || !job.retried)
  const stages = Map.groupBy(
    jobs.toSorted((a, b) => a.stageIndex - b.stageIndex || a.id - b.id),
    job => job.stage,
  )
  const rows = [...stages].map(
    ([stage, list]) => html`<div class="stage">${stage}</div><ul class="jobs">${list.map(showJob)}</ul>`,
  )
  const said = pipeline.yamlErrors ?? (pipeline.status === 'skipped' ? 'Skipped: the commit says so.' : 'No jobs.')
  return html`<section class="card widget"><div class="head">${statusPill(pipeline.status)}<span>Pipeline <a href="${address}/pipelines/${pipeline.id}">#${pipeline.id}</a> for <a class="ref" href="${address}/commit/${pipeline.sha}">${pipeline.sha.slice(0, 8)}</a> on <span class="ref">${pipeline.ref}</span></span><span class="tag">${pipeline.source}</span></div>
${rows.length > 0 ? rows : html`<div class="empty small">${said}</div>`}</section>`
}

export function pipelinesPage(world: World, project: SimProject) {
  const address = `/${project.fullPath}/-`
  const list = pipelinesOf(world, project.id).toReversed().slice(0, 100)
  const body = html`<div id="live" data-live>${
    list.length === 0
      ? html`<div class="card empty">No pipelines yet. A push with a .gitlab-ci.yml makes one, and so does a commit status.</div>`
      : html`<ul class="card rows">${list.map(
          p =>
            html`<li>${statusPill(p.status)}<span class="main"><a class="line" href="${address}/pipelines/${p.id}">#${p.id} ${p.commit?.title ?? ''}</a><span class="muted small"><a class="ref" href="${address}/commits/${encodePath(p.ref)}">${p.ref}</a> <a class="ref" href="${address}/commit/${p.sha}">${p.sha.slice(0, 8)}</a></span></span><span class="tag">${p.source}</span>${avatar(userOf(world, p.userId), 24)}<span class="muted small nowrap">${ago(world, p.createdAt)}</span></li>`,
        )}</ul>`
  }</div>`
  return renderPage({
    title: `Pipelines · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Pipelines', null]),
    body: projectFrame(world, project, 'pipelines', body),
  })
}

export function pipelinePage(world: World, project: SimProject, pipeline: SimPipeline) {
  const body = html`<div id="live" data-live><h1>${pipeline.commit?.title ?? `Pipeline #${pipeline.id}`}</h1>${pipelineCard(project, pipeline, true)}</div>`
  return renderPage({
    title: `Pipeline #${pipeline.id} · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Pipelines', `/${project.fullPath}/-/pipelines`], [`#${pipeline.id}`, null]),
    body: projectFrame(world, project, 'pipelines', body),
  })
}
