import type { Context } from 'hono'
import { Hono } from 'hono'
import { findCommit, listRefs, readBlob, resolveCommit } from '../git.ts'
import { createNote } from '../notes.ts'
import { Refusal } from '../refusal.ts'
import type { SimProject } from '../types.ts'
import type { World } from '../world.ts'
import { findMergeRequest, findProject, pipelinesOf } from '../world.ts'
import { commitPage, commitsPage } from './commits.ts'
import type { Place } from './files.ts'
import { blobPage, treePage } from './files.ts'
import { html } from './html.ts'
import type { Page } from './layout.ts'
import { renderPage } from './layout.ts'
import { mergeRequestPage, mergeRequestsPage } from './merge-requests.ts'
import { pipelinePage, pipelinesPage } from './pipelines.ts'
import { homePage, projectPage } from './projects.ts'
import { STYLE } from './style.ts'

function show(c: Context, page: Page, status: 200 | 404 | 400 | 403 = 200) {
  return c.html(page.markup, status, {
    'Content-Security-Policy': page.policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
  })
}

function messagePage(title: string, text: string): Page {
  const body = html`<main class="shell"><h1>${title}</h1><p class="muted">${text}</p><p><a href="/">All projects</a></p></main>`
  return renderPage({ title, crumbs: [], body })
}

function safeDecode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** `calc/heat/4d/src/x.c` -> branch `calc/heat/4d` and path `src/x.c`: the longest branch or tag that fits. */
async function findPlace(project: SimProject, rest: string): Promise<Place | null> {
  const names = [
    ...(await listRefs(project.directory, 'refs/heads')),
    ...(await listRefs(project.directory, 'refs/tags')),
  ].map(ref => ref.name)
  const [first = ''] = rest.split('/')
  const fitting = names.filter(name => rest === name || rest.startsWith(`${name}/`)).sort((a, b) => b.length - a.length)
  const ref = fitting[0] ?? first
  const sha = await resolveCommit(project.directory, ref)
  return sha === null ? null : { ref, sha, path: rest.slice(ref.length).replace(/^\/+|\/+$/g, '') }
}

const IMAGE_TYPES: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  svg: 'image/svg+xml',
}

/** Bytes that people uploaded or pushed. Shown as a picture or as text, never run as a page. */
function showBytes(c: Context, name: string, bytes: Uint8Array<ArrayBuffer>) {
  const extension = name.split('.').at(-1)?.toLowerCase() ?? ''
  const image = Object.hasOwn(IMAGE_TYPES, extension) ? IMAGE_TYPES[extension] : undefined
  const type = image ?? (bytes.includes(0) ? 'application/octet-stream' : 'text/plain; charset=utf-8')
  return c.body(bytes, 200, {
    'Content-Type': type,
    'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    'X-Content-Type-Options': 'nosniff',
  })
}

/** What a person sees in a browser. No sign-in: everybody who reaches the port sees every project. */
export function createPages(world: World): Hono {
  const app = new Hono()

  app.get('/-/style.css', c =>
    c.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'no-cache' }),
  )
  app.get('/', c => show(c, homePage(world)))

  app.get('/-/project/:id/uploads/:secret/:name', c => {
    const upload = world.uploads.get(c.req.param('secret'))
    const known = upload && upload.projectId === Number(c.req.param('id')) && upload.filename === c.req.param('name')
    if (!known) return show(c, messagePage('Not found', 'There is no such upload.'), 404)
    return showBytes(c, upload.filename, new Uint8Array(upload.bytes))
  })

  async function showProjectPage(c: Context, project: SimProject, rest: string): Promise<Response> {
    if (rest === '') return show(c, await projectPage(world, project))
    const slash = rest.indexOf('/')
    const [view, below] = slash === -1 ? [rest, ''] : [rest.slice(0, slash), rest.slice(slash + 1)]
    if (view === 'merge_requests' && below === '') return show(c, mergeRequestsPage(world, project))
    if (view === 'pipelines' && below === '') return show(c, pipelinesPage(world, project))
    if (view === 'merge_requests' && /^\d{1,9}$/.test(below)) {
      const mr = findMergeRequest(world, project.id, Number(below))
      if (mr) return show(c, await mergeRequestPage(world, project, mr))
    }
    if (view === 'pipelines') {
      const pipeline = pipelinesOf(world, project.id).find(p => String(p.id) === below)
      if (pipeline) return show(c, pipelinePage(world, project, pipeline))
    }
    if (view === 'jobs') {
      const pipeline = pipelinesOf(world, project.id).find(p => p.jobs.some(job => String(job.id) === below))
      if (pipeline) return c.redirect(`/${project.fullPath}/-/pipelines/${pipeline.id}`)
    }
    if (view === 'commit') {
      const sha = await resolveCommit(project.directory, below)
      const commit = sha && (await findCommit(project.directory, sha))
      if (commit) return show(c, await commitPage(world, project, commit))
    }
    if (view === 'tree' || view === 'blob' || view === 'raw' || view === 'commits') {
      const place = await findPlace(project, below)
      if (place) {
        if (view === 'raw') {
          const blob = await readBlob(project.directory, place.sha, place.path)
          if (blob) return showBytes(c, place.path, new Uint8Array(blob.bytes))
        } else if (view === 'commits') return show(c, await commitsPage(world, project, place))
        else {
          const page = await (view === 'tree' ? treePage : blobPage)(world, project, place)
          if (page) return show(c, page)
        }
      }
    }
    return show(c, messagePage('Not found', `There is no ${view} ${below} in ${project.fullPath}.`), 404)
  }

  app.get('*', async c => {
    const pathname = new URL(c.req.url).pathname
    const cut = pathname.indexOf('/-/')
    const path = safeDecode(cut === -1 ? pathname : pathname.slice(0, cut)).replace(/^\/+|\/+$/g, '')
    const rest = cut === -1 ? '' : safeDecode(pathname.slice(cut + 3)).replace(/\/+$/, '')
    const project = findProject(world, path.replace(/\.git$/, ''))
    if (project && !/^\d+$/.test(path)) return showProjectPage(c, project, rest)
    const isGroup = [...world.projects.values()].some(p => `${p.namespace}/`.startsWith(`${path}/`))
    if (rest === '' && isGroup) return show(c, homePage(world, path))
    return show(c, messagePage('Not found', `There is nothing at /${path}.`), 404)
  })

  app.post('*', async c => {
    const match = /^\/(.+)\/-\/merge_requests\/(\d{1,9})\/notes$/.exec(safeDecode(new URL(c.req.url).pathname))
    const project = match && findProject(world, match[1] ?? '')
    const mr = project ? findMergeRequest(world, project.id, Number(match?.[2])) : null
    if (!project || !mr) return show(c, messagePage('Not found', 'There is no such merge request.'), 404)
    // There is no session to abuse, but a foreign page still has no business speaking for anybody here.
    const origin = c.req.header('origin')
    if (origin !== undefined && origin !== new URL(c.req.url).origin) {
      return show(c, messagePage('Refused', 'The form was sent from another site.'), 403)
    }
    const form = await c.req.formData().catch(() => null)
    const user = world.users.get(Number(form?.get('user_id')))
    const body = String(form?.get('body') ?? '').replace(/\r\n/g, '\n')
    if (!user) return show(c, messagePage('Not sent', 'Choose who is writing.'), 400)
    try {
      const outcome = await createNote(world, mr, user, { body })
      const anchor = 'note' in outcome ? `#note_${outcome.note.id}` : ''
      return c.redirect(`/${project.fullPath}/-/merge_requests/${mr.iid}${anchor}`, 303)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return show(c, messagePage('Not sent', error.message), 400)
    }
  })

  app.onError((error, c) => {
    world.log(`simulator: ${error.stack ?? error.message}`)
    return c.text('500 Internal Server Error\n', 500)
  })
  return app
}
