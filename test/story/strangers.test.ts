import { createServer, type Server } from 'node:net'
import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { ROUTES } from '../../src/simulator/simulator.ts'
import { rows } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// Worlds side by side share the machine with whatever else is tested.
vi.setConfig({ testTimeout: 180_000 * patience })

// The service talks to its GitLab and to nobody else, whatever a payload, a redirect, a log or a name would have it do.
const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n' }

/** Somebody who waits to be contacted, and counts. */
async function trap(): Promise<{ url: string; contacts: () => number; close: () => void }> {
  let contacts = 0
  const server: Server = createServer(socket => {
    contacts++
    socket.destroy()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, contacts: () => contacts, close: () => void server.close() }
}

const post = (world: World, event: string, key: string, body: string) =>
  fetch(`${world.url}/webhooks/gitlab`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-gitlab-event': event,
      'x-gitlab-token': world.secret,
      'idempotency-key': key,
    },
    body,
  }).then(answer => answer.json() as Promise<{ result: string }>)

/** The same payload with every address in it leading to `url`. */
const misled = (body: string, gitlab: string, url: string) =>
  body.replaceAll(gitlab, url).replaceAll(/git@[^:"]+:/g, `${url}/`)

describe.concurrent('an address', () => {
  it('in a payload is never contacted: project, repository, merge request, its source, its commits', () =>
    inWorld({}, async world => {
      const there = await trap()
      const hook = world.simulator.addHook(world.project.id, {
        url: 'http://127.0.0.1:9/nobody',
        token: 'x'.repeat(20),
        push: true,
        mergeRequests: true,
      })
      world.simulator.removeHook(world.hook!.id)
      const sha = await world.push('calc/heat', hello)
      await world.openMergeRequest('calc/heat')
      await world.simulator.idle()
      for (const [n, { event, requestBody }] of world.simulator.deliveries({ hookId: hook.id }).entries()) {
        const body = misled(requestBody, world.simulator.url, there.url)
        expect(body).toContain(`"git_http_url":"${there.url}`)
        expect((await post(world, event, `0198bbbb-0000-4000-8000-00000000000${n}`, body)).result).toMatch(
          /^(accepted|ignored: )/,
        )
      }
      await world.treeEnds(sha, ['success'])
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 60)
      expect(there.contacts()).toBe(0)
      there.close()
    }))

  it('that GitLab redirects to is not followed with a token, by the API or by git', () =>
    inWorld({}, async world => {
      const there = await trap()
      const away = (path: string) => ({ status: 302, headers: { location: `${there.url}${path}` } })
      const { faults } = world.simulator
      const api = faults.respond(ROUTES.api, away('/api/v4/user'))
      const git = faults.respond(ROUTES.git, away('/physics/heat.git/info/refs?service=git-upload-pack'))
      const sha = await world.push('calc/heat', hello)
      await until('the API to have redirected', () => api.met > 0)
      api()
      await until('git to have been redirected', () => git.met > 0)
      git()
      await world.treeEnds(sha, ['success'], 90)
      expect(there.contacts()).toBe(0)
      there.close()
    }))

  it('of another project, under the id of this one, is not believed', () =>
    inWorld({}, async world => {
      const other = world.simulator.createProject({ path: 'chemistry/acid' })
      const payload = (id: number, path: string) =>
        JSON.stringify({
          object_kind: 'push',
          ref: 'refs/heads/main',
          before: '0'.repeat(40),
          after: '1'.repeat(40),
          user_id: 1,
          user_username: 'alice',
          user_name: 'Alice',
          project_id: id,
          project: { id, path_with_namespace: path, default_branch: 'trunk' },
          commits: [],
        })
      await post(world, 'Push Hook', '0198bbbb-0000-4000-8000-000000000101', payload(other.id, 'physics/heat'))
      const row = await until(
        'it to be read',
        async () =>
          (
            await rows<{ result: string; last_error: string | null }>(
              world.service.context.db,
              sql`select result, last_error from deliveries where done_at is not null or last_error is not null`,
            )
          )[0],
      )
      expect(`${row.result} ${row.last_error}`).toMatch(/is not physics\/heat|Project Not Found/)
      expect(await rows(world.service.context.db, sql`select 1 from projects where id = ${other.id}`)).toEqual([])
    }))
})

describe.concurrent('text of others', () => {
  it('stays text in note, reply, statuses and evidence: markers, mentions, quick actions, HTML, Mermaid, Markdown', () =>
    inWorld({}, async world => {
      const branch = 'calc/x"-->y;end%%{init:1}%%#quot;|(((@all)))<b>'.replaceAll(':', '=')
      const marker = '<!-- compops:tree project=1 mr=1 v=1 -->'
      const reply = '<!-- compops:reply run=x mr=1 -->'
      const sha = await world.push(
        branch,
        {
          '.compops.yml': `jobs:
  bad:
    script:
      - echo '${marker}'; echo '${reply}'; echo '@all'; echo /close; echo '/assign @alice'
      - printf '%s\\n' '\`\`\`' '~~~' '</details>' '<script>alert(1)</script>' '[click](javascript:alert)' '| a | b |' '# head' '--- x'
      - exit 1
`,
        },
        '# [subject](javascript:alert(1)) @all <img src=x onerror=alert(1)>\n\n/close\n\nCompops-Evidence-Not: x',
      )
      const theirs = await (async () => {
        const { iid } = await world.openMergeRequest(branch, '/close @all <script>alert(1)</script>')
        const note = await world.simulator.createNote({
          projectId: world.project.id,
          mrIid: iid,
          authorId: world.alice.id,
          body: `${marker}\n${reply}\nI am not the service`,
        })
        return { iid, note }
      })()
      await world.treeEnds(sha, ['failed'])
      const { iid, note } = theirs
      const ours = () => world.ourNotes(iid)
      await until(
        'note and reply',
        () => ours().length === 2 && ours().some(one => one.body.includes('bad failed')),
        60,
      )
      await until('the evidence', async () =>
        ((await world.simulator.files(world.project.id, 'compops/evidence')) ?? []).some(name =>
          name.startsWith('runs/'),
        ),
      )
      expect(world.simulator.notes(world.project.id, iid).find(one => one.id === note.id)?.body).toContain(
        'I am not the service',
      )
      expect(world.simulator.mergeRequest(world.project.id, iid)).toMatchObject({ state: 'opened', assigneeIds: [] })
      for (const { body } of ours()) {
        const outside = body.replace(/^(`{3,})text\n[\s\S]*?^\1$/gm, '')
        expect(outside).not.toMatch(/<script|<img|javascript:alert|^\/close|^# head/m)
        // In code spans and addresses nobody is mentioned.
        expect(body.replace(/`[^`\n]+`|\]\([^)]*\)/g, '')).not.toMatch(/@all\b/)
        expect(body.split('<!-- compops:').length - 1).toBe(1)
      }
    }))
})
