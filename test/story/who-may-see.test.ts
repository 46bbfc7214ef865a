import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { RunList } from '../../src/model/api.ts'
import { patience } from '../support/patience.ts'
import { cookieJar, hiddenFields, type Jar, signedIn } from '../support/session.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// The pages show a person what GitLab shows them, and do what GitLab lets them.
vi.setConfig({ testTimeout: 240_000 * patience })

const file = (script: string) => `jobs:\n  solve:\n    script:\n      - ${script}\n`

async function someRun(world: World, branch: string, script: string): Promise<string> {
  const sha = await world.push(branch, { '.compops.yml': file(script) })
  const { token } = world.simulator.createToken(world.alice.id)
  const asked = `${world.url}/api/v1/projects/physics%2Fheat/runs?sha=${sha}`
  const run = await until('the run', async () => {
    const answer = await fetch(asked, { headers: { authorization: `Bearer ${token}` } })
    return answer.ok ? RunList.parse(await answer.json()).runs[0] : null
  })
  return run.id
}

function person(world: World, username: string, level: 10 | 20 | 30 | 40 | null) {
  const user = world.simulator.createUser({ username, name: username, password: `secret-${username}` })
  if (level !== null) world.simulator.addMember(world.project.id, user.id, level)
  return user
}

async function act(jar: Jar, run: string, verb: string, more: { job?: string; headers?: Record<string, string> } = {}) {
  const path = `/runs/${run}/act/${verb}`
  const question = await jar.text(`${path}${more.job === undefined ? '' : `?job=${more.job}`}`)
  return jar.send(path, hiddenFields(question), more.headers)
}

describe.concurrent('who may see the pages', () => {
  it('shows whoever signs in the projects of theirs alone; for anybody else those are not there', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const run = await someRun(world, 'calc/heat', 'echo hello')
      person(world, 'rita', 20)
      person(world, 'gus', 10)
      person(world, 'sam', null)

      const nobody = cookieJar(world.url)
      expect(await nobody.text('/')).toContain('Sign in with GitLab')
      expect(await nobody.text('/')).not.toContain('calc/heat')
      for (const path of ['/jobs', `/runs/${run}`, '/projects'])
        expect((await nobody.ask(path)).headers.get('location')).toBe(`/sign-in?to=${encodeURIComponent(path)}`)
      expect((await nobody.ask(`/live?at=/runs/${run}`)).status).toBe(401)

      const rita = await signedIn(world, 'rita', 'secret-rita')
      expect(await rita.text('/jobs?when=all')).toContain('calc/heat')
      expect((await rita.ask(`/runs/${run}`)).status).toBe(200)

      for (const name of ['gus', 'sam']) {
        const jar = await signedIn(world, name, `secret-${name}`)
        for (const path of ['/', '/jobs?when=all', '/projects', '/jobs?when=all&search=heat&project=physics/heat'])
          expect(await jar.text(path)).not.toContain('calc/heat')
        const other = `/runs/${run.replace(/.$/, digit => (digit === '0' ? '1' : '0'))}`
        const hidden = await jar.ask(`/runs/${run}`)
        if (name === 'sam') expect(await hidden.text()).toBe(await jar.text(other))
        expect([403, 404]).toContain(hidden.status)
        expect([403, 404]).toContain((await jar.ask(`/runs/${run}/jobs/solve/log`)).status)
        expect([403, 404]).toContain((await act(jar, run, 'cancel')).status)
      }
    }))

  it('forgets whoever is removed, blocked, or signed out', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const run = await someRun(world, 'calc/heat', 'sleep 60')
      const { id } = person(world, 'dora', 30)
      const dora = await signedIn(world, 'dora', 'secret-dora')
      const pageOf = await dora.text(`/runs/${run}`)
      expect(pageOf).toContain('calc/heat')

      // A removed member acts no more at once, and sees no more within the minute that GitLab's answer holds.
      const question = hiddenFields(await dora.text(`/runs/${run}/act/cancel`))
      world.simulator.removeMember(world.project.id, id)
      expect((await dora.send(`/runs/${run}/act/cancel`, question)).status).toBe(404)
      expect((await dora.ask(`/runs/${run}`)).status).toBe(404)

      world.simulator.addMember(world.project.id, id, 30)
      const again = await signedIn(world, 'dora', 'secret-dora')
      const kept = new Map(again.cookies)
      const out = await again.send('/sign-out', hiddenFields(await again.text('/')))
      expect([out.status, again.cookies.size]).toEqual([303, 0])
      for (const [name, value] of kept) again.cookies.set(name, value)
      expect((await again.ask('/jobs')).headers.get('location')).toContain('/sign-in')
      expect(world.simulator.requests().filter(one => one.path.includes('token')).length).toBeGreaterThan(0)
    }))

  it('takes no order that a page of its own did not make, and none twice', () =>
    inWorld({ dashboard: 'sign in' }, async world => {
      const run = await someRun(world, 'calc/heat', 'sleep 120')
      const alice = await signedIn(world, 'alice', 'secret-alice')
      const path = `/runs/${run}/act/cancel`
      const fields = hiddenFields(await alice.text(path))
      expect((await alice.send(path, { ...fields, form_token: 'x' })).status).toBe(403)
      expect((await alice.send(path, { key: 'x' })).status).toBe(403)
      expect((await alice.send(path, fields, { origin: 'https://evil.example' })).status).toBe(403)
      expect((await alice.send(path, fields, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
      const bob = person(world, 'bob', 30)
      const bobs = await signedIn(world, 'bob', 'secret-bob')
      expect(bob.id).toBeGreaterThan(0)
      expect((await bobs.send(path, fields)).status).toBe(403)
      // Each is in the audit log, by whom it was as far as that is known; of a flood no more than a screen.
      const nobody = cookieJar(world.url)
      expect((await nobody.send(path, fields)).status).toBe(303)
      const { token } = world.simulator.createToken(person(world, 'pat', null).id)
      const byApi = await fetch(`${world.url}/api/v1/projects/physics%2Fheat/commands/cancel`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ branch: 'calc/heat' }),
      })
      expect(byApi.status).toBe(404)
      const refusals = async () => {
        const folder = join(world.place, 'data', 'audit')
        const files = await Promise.all((await readdir(folder)).map(name => readFile(join(folder, name), 'utf8')))
        return files
          .join('')
          .split('\n')
          .filter(line => line.includes('"act":"refused"'))
          .map(line => JSON.parse(line) as { by: string; what?: string; result: string })
      }
      const known = await until('the refusals to be written', async () => {
        const found = await refusals()
        return found.length >= 7 && found
      })
      expect(known.map(({ by, result }) => [by, result.slice(0, 3)])).toEqual([
        ...Array.from({ length: 4 }, () => ['alice', '403']),
        ['bob', '403'],
        ['nobody', '401'],
        ['pat', '404'],
      ])
      expect(known[0]!.what).toBe(`POST ${path}`)
      await Promise.all(Array.from({ length: 200 }, () => nobody.send(path, fields)))
      await until('the flood to be told', async () => (await refusals()).some(one => one.result.includes('counted')))
      expect((await refusals()).length).toBeLessThanOrEqual(2 * 62)
      expect(await (await fetch(`${world.url}/metrics`)).text()).toMatch(/^compops_acts_refused_total 20\d$/m)
      expect(await alice.text(`/runs/${run}`)).not.toContain('canceled by')

      const [one, other] = [await alice.send(path, fields), await alice.send(path, fields)]
      expect([one.status, other.status]).toEqual([303, 303])
      const cancelled = await until('the job to end', async () => {
        const text = await alice.text(`/runs/${run}`)
        return text.includes('s-canceled') && text
      })
      expect(cancelled).toContain('canceled by alice')
    }))

  it('lets a Reporter look and not touch, and approves by a Maintainer who did not cause it', () =>
    inWorld(
      { dashboard: 'sign in', rule: '    clusters: [laptop]\n    approval: { core_hours: 1 }\n' },
      async world => {
        const sha = await world.push('calc/big', {
          '.compops.yml': 'jobs:\n  solve:\n    ntasks: 2\n    time: 1h\n    script: [echo done]\n',
        })
        person(world, 'rita', 20)
        person(world, 'max', 40)
        const rita = await signedIn(world, 'rita', 'secret-rita')
        const href = await until(
          'the run',
          async () => /href="\/runs\/([0-9a-f-]{36})"/.exec(await rita.text('/jobs'))?.[1],
        )
        expect(await rita.text(`/runs/${href}`)).not.toContain('/act/')
        expect((await act(rita, href, 'approve')).status).toBe(303)
        expect(await rita.text(`/runs/${href}`)).toContain('That needs the role Maintainer or Owner')

        const alice = await signedIn(world, 'alice', 'secret-alice')
        expect((await act(alice, href, 'approve')).status).toBe(303)
        expect(await alice.text(`/runs/${href}`)).toContain('Not approved')

        const max = await signedIn(world, 'max', 'secret-max')
        expect((await act(max, href, 'approve')).status).toBe(303)
        expect(await max.text(`/runs/${href}`)).toContain('Approved by max')
        await world.treeEnds(sha, ['success'])
      },
    ))

  it('is open without signing in on this machine only, and to no other name of it', () =>
    inWorld({ dashboard: 'open' }, async world => {
      const run = await someRun(world, 'calc/heat', 'echo hello')
      const anybody = cookieJar(world.url)
      expect(await anybody.text('/jobs?when=all')).toContain('calc/heat')
      expect((await anybody.ask(`/runs/${run}`)).status).toBe(200)
      const { request } = await import('node:http')
      const status = await new Promise<number | undefined>((resolve, reject) => {
        request(`${world.url}/jobs`, { headers: { host: 'rebound.example' } }, answer => {
          answer.resume()
          resolve(answer.statusCode)
        })
          .once('error', reject)
          .end()
      })
      expect(status).toBe(403)
    }))

  it('makes no markup of what others wrote: branches, commits, files, metrics, logs', () =>
    inWorld({ dashboard: 'open' }, async world => {
      const evil = `<img/src=x/onerror=alert(1)>`
      const branch = `calc/${evil}`
      const sha = await world.push(
        branch,
        {
          '.compops.yml': `jobs:\n  solve:\n    params: { evil: '${evil}' }\n    env: { EVIL: '${evil}' }\n    outputs: ['out/*']\n    metrics: m.json\n    script:\n      - echo '${evil}'\n      - mkdir -p out; echo 1 > 'out/"><b>bold.txt'\n      - echo '{"${evil}":1}' > m.json\n      - exit 3\n`,
        },
        `${evil} "quoted' message`,
      )
      await world.treeEnds(sha, ['failed'])
      const anybody = cookieJar(world.url)
      const board = await anybody.text('/jobs?when=all')
      const run = /href="\/runs\/([0-9a-f-]{36})"/.exec(board)?.[1] ?? ''
      // GitLab is told of the last job before its results are fetched and the run is closed.
      await until('the run to be closed', async () => (await anybody.text(`/runs/${run}`)).includes('/act/rerun'))
      const paths = [
        '/',
        '/jobs?when=all',
        `/jobs?when=all&search=${encodeURIComponent(evil)}`,
        '/projects',
        `/runs/${run}`,
      ]
      paths.push(`/runs/${run}/jobs/solve`, `/runs/${run}/act/rerun`, `/runs/${run}/act/retry?job=solve`)
      const texts = await Promise.all(paths.map(async path => [path, await anybody.text(path)] as const))
      for (const [path, text] of texts) {
        expect(`${path} ${/<img\/|<b>bold|<i?mg[^>]*onerror/i.exec(text)?.[0] ?? 'clean'}`).toBe(`${path} clean`)
        expect(text).toContain('&lt;img/')
      }
      const log = await anybody.ask(`/runs/${run}/jobs/solve/log`)
      expect(log.headers.get('content-type')).toContain('text/plain')
      expect(log.headers.get('x-content-type-options')).toBe('nosniff')
      expect(log.headers.get('content-security-policy')).toContain('sandbox')
      expect(await log.text()).toContain(evil)
      const policy = (await anybody.ask('/jobs')).headers.get('content-security-policy') ?? ''
      expect(policy).toContain("script-src 'self'")
      expect(policy).not.toContain('unsafe')
    }))
})
