import { canComment } from '../access.ts'
import { listCommits } from '../git.ts'
import { emoji, renderMarkdown } from '../markdown.ts'
import { mergeRequestRange } from '../merge-requests.ts'
import { detailedMergeStatus } from '../payloads.ts'
import type { SimMergeRequest, SimNote, SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { encodePath, headPipeline, mergeRequestsOf, notesOf, projectOf, userOf } from '../world.ts'
import { commitRows } from './commits.ts'
import type { Markup } from './html.ts'
import { html, raw } from './html.ts'
import { ago, avatar, projectCrumbs, projectFrame, renderPage, statusIcon, statusPill } from './layout.ts'
import { markdownContext } from './markdown-context.ts'
import { pipelineCard } from './pipelines.ts'

export function mergeRequestRows(world: World, project: SimProject, list: SimMergeRequest[]): Markup {
  if (list.length === 0) return html`<div class="card empty">No merge requests yet.</div>`
  return html`<ul class="card rows">${list.map(mr => {
    const pipeline = headPipeline(world, mr)
    const comments = notesOf(world, mr.id).filter(note => !note.system).length
    return html`<li>${statusPill(mr.state)}<span class="main"><a class="line" href="/${project.fullPath}/-/merge_requests/${mr.iid}"><strong>${mr.title}</strong></a><span class="muted small">!${mr.iid} · <span class="ref">${mr.sourceBranch}</span> → <span class="ref">${mr.targetBranch}</span> · ${userOf(world, mr.authorId).name}, ${ago(world, mr.createdAt)}</span></span>${pipeline ? statusIcon(pipeline.status) : ''}<span class="muted small nowrap">${comments} comment${comments === 1 ? '' : 's'}</span></li>`
  })}</ul>`
}

export function mergeRequestsPage(world: World, project: SimProject) {
  const list = mergeRequestsOf(world, project.id).toReversed()
  return renderPage({
    title: `Merge requests · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Merge requests', null]),
    body: projectFrame(
      world,
      project,
      'merge_requests',
      html`<div id="live" data-live>${mergeRequestRows(world, project, list)}</div>`,
    ),
  })
}

function showNote(world: World, project: SimProject, note: SimNote): Markup {
  const author = userOf(world, note.authorId)
  const context = markdownContext(world, project, { mermaidLimited: true })
  if (note.system) {
    return html`<li class="system" id="note_${note.id}"><span class="dot"></span><div class="md"><strong>${author.name}</strong> ${raw(renderMarkdown(note.body, context).replace(/^<p>|<\/p>\s*$/g, ''))} · ${ago(world, note.createdAt)}</div></li>`
  }
  const edited =
    note.updatedAt > note.createdAt ? html`<span class="muted">· edited ${ago(world, note.updatedAt)}</span>` : ''
  const awards = [...Map.groupBy(note.awards, award => award.name)]
  return html`<li id="note_${note.id}">${avatar(author, 32)}<article class="card"><div class="head"><strong>${author.name}</strong><span class="muted">@${author.username}</span>${author.bot ? html`<span class="tag">bot</span>` : ''}${note.internal ? html`<span class="tag">internal</span>` : ''}<span class="muted">${ago(world, note.createdAt)}</span>${edited}</div><div class="body md">${raw(renderMarkdown(note.body, context))}</div>${
    awards.length === 0
      ? ''
      : html`<div class="awards">${awards.map(([name, list]) => html`<span title="${name}: ${list.map(award => userOf(world, award.userId).name).join(', ')}">${emoji(name)} ${list.length}</span>`)}</div>`
  }</article></li>`
}

const STATUS_WORDS: Record<string, string> = {
  mergeable: 'Ready to merge.',
  draft_status: 'Draft: not ready to be merged.',
  ci_must_pass: 'The pipeline must succeed before this can be merged.',
  ci_still_running: 'The pipeline is still running.',
  not_open: 'No longer open.',
}

function commentForm(world: World, project: SimProject, mr: SimMergeRequest): Markup {
  const people = [...world.users.values()].filter(user => canComment(user, project) && !user.bot)
  const first = people.find(user => user.id === mr.authorId) ?? people[0]
  if (!first) return html``
  return html`<form class="card comment" method="post" action="/${project.fullPath}/-/merge_requests/${mr.iid}/notes"><textarea name="body" required aria-label="comment" placeholder="Write a comment, or a command such as /compops status"></textarea><div class="foot"><button>Comment</button><label class="muted small">as <select name="user_id">${people.map(
    user =>
      html`<option value="${user.id}" ${raw(user.id === first.id ? 'selected' : '')}>${user.name} (@${user.username})</option>`,
  )}</select></label></div></form>`
}

export async function mergeRequestPage(world: World, project: SimProject, mr: SimMergeRequest) {
  const author = userOf(world, mr.authorId)
  const source = projectOf(world, mr.sourceProjectId)
  const pipeline = headPipeline(world, mr)
  const { directory, start } = await mergeRequestRange(world, mr)
  const commits = await listCommits(directory, { from: [mr.sha], except: start === null ? [] : [start], max: 100 })
  const context = markdownContext(world, project, { mermaidLimited: true })
  const branch = (owner: SimProject, name: string) =>
    html`<a class="ref" href="/${owner.fullPath}/-/tree/${encodePath(name)}">${owner.id === project.id ? '' : `${owner.fullPath}:`}${name}</a>`
  const description =
    mr.description === '' ? html`<p class="muted">No description.</p>` : raw(renderMarkdown(mr.description, context))
  const body = html`<div id="head" data-live><div class="title"><h1>${mr.title} <span class="muted">!${mr.iid}</span></h1>${statusPill(mr.state)}</div>
<p class="muted">${author.name} wants to merge ${branch(source, mr.sourceBranch)} into ${branch(project, mr.targetBranch)} · ${ago(world, mr.createdAt)}</p></div>
<div class="columns"><div><div id="live" data-live><div class="md">${description}</div>
${pipeline ? pipelineCard(projectOf(world, pipeline.projectId), pipeline) : html`<section class="card widget"><div class="empty small">No pipeline for ${mr.sha.slice(0, 8)} yet.</div></section>`}
<details><summary class="muted">${commits.length} commit${commits.length === 1 ? '' : 's'}</summary><div style="margin-top:.8rem">${commitRows(world, project, commits)}</div></details>
<ol class="notes">${notesOf(world, mr.id).map(note => showNote(world, project, note))}</ol></div>${commentForm(world, project, mr)}</div>
<aside id="aside" data-live><dl><dt>Merge</dt><dd>${STATUS_WORDS[detailedMergeStatus(world, mr)] ?? ''}</dd><dt>Pipeline</dt><dd>${pipeline ? statusPill(pipeline.status) : html`<span class="muted">none</span>`}</dd><dt>Author</dt><dd>${author.name} <span class="muted">@${author.username}</span></dd><dt>Head</dt><dd><a class="ref" href="/${source.fullPath}/-/commit/${mr.sha}">${mr.sha.slice(0, 8)}</a></dd>${mr.mergeCommitSha ? html`<dt>Merged as</dt><dd><a class="ref" href="/${project.fullPath}/-/commit/${mr.mergeCommitSha}">${mr.mergeCommitSha.slice(0, 8)}</a></dd>` : ''}${mr.labels.length > 0 ? html`<dt>Labels</dt><dd>${mr.labels.map(label => html`<span class="tag">${label}</span> `)}</dd>` : ''}</dl></aside></div>`
  return renderPage({
    title: `${mr.title} (!${mr.iid}) · ${project.fullPath}`,
    crumbs: projectCrumbs(project, ['Merge requests', `/${project.fullPath}/-/merge_requests`], [`!${mr.iid}`, null]),
    body: projectFrame(world, project, 'merge_requests', body),
  })
}
