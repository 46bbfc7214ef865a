import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, it, vi } from 'vitest'
import { ROUTES } from '../../src/simulator/simulator.ts'
import { rows } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 * patience })

const signingToken = `whsec_${Buffer.from('a signing token of 32 bytes, yes').toString('base64')}`

/** Every place where a secret could have been left, with what stands there. */
async function everythingShown(world: World): Promise<Map<string, string>> {
  const shown = new Map<string, string>()
  shown.set('log', world.logged.join(''))
  for (const page of ['metrics', 'readyz', 'healthz', ''])
    shown.set(`/${page}`, await (await fetch(`${world.url}/${page}`)).text())
  for (const folder of ['data', 'cluster']) {
    const root = join(world.place, folder)
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      shown.set(`name of ${path}`, entry.name)
      if (entry.isFile()) shown.set(path, (await readFile(path)).toString('latin1'))
    }
  }
  const { db } = world.service.context
  const tables = await rows<{ name: string }>(
    db,
    sql`select table_name as name from information_schema.tables where table_schema = 'public'`,
  )
  expect(tables.length).toBeGreaterThan(8)
  for (const { name } of tables)
    shown.set(
      `table ${name}`,
      JSON.stringify(await rows(db, sql`select t::text as row from ${sql.identifier(name)} t`)),
    )
  const { simulator, project } = world
  for (const mr of simulator.mergeRequests(project.id))
    shown.set(`notes of !${mr.iid}`, JSON.stringify(simulator.notes(project.id, mr.iid)))
  shown.set('statuses', JSON.stringify(simulator.pipelines(project.id)))
  for (const path of (await simulator.files(project.id, 'compops/evidence')) ?? [])
    shown.set(path, (await world.evidence(path)) ?? '')
  shown.set('commits', JSON.stringify(await simulator.commits(project.id, 'compops/evidence')))
  shown.set('answers', world.answers().join('\n'))
  return shown
}

/** Arguments of every process below this one, and the environment of those that are not git itself, looked at again and again. */
function watchProcesses(): { seen: Map<string, string>; gits: () => number; stop: () => void } {
  const seen = new Map<string, string>()
  let gits = 0
  const read = (path: string) => {
    try {
      return readFileSync(path, 'latin1')
    } catch {
      return ''
    }
  }
  const look = () => {
    const parents = new Map<string, string>()
    for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name)))
      parents.set(pid, /\) \S (\d+)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? '0')
    const isOurs = (pid: string): boolean => {
      for (let at = parents.get(pid); at !== undefined && at !== '0'; at = parents.get(at))
        if (at === String(process.pid)) return true
      return false
    }
    for (const pid of parents.keys()) {
      if (!isOurs(pid)) continue
      const command = read(`/proc/${pid}/cmdline`)
      seen.set(`arguments of ${pid}`, `${seen.get(`arguments of ${pid}`) ?? ''}${command}`)
      // Git reads its configuration from its environment, which none but its own user can read: the one place where the header travels.
      if (/^(\/\S*\/)?git(-remote-https?)?\0/.test(command)) gits++
      else seen.set(`environment of ${pid} (${command.slice(0, 60)})`, read(`/proc/${pid}/environ`))
    }
  }
  const timer = setInterval(look, 100)
  return { seen, gits: () => gits, stop: () => clearInterval(timer) }
}

it('after all troubles no secret stands in a log, a table, a file, a process list, or anything that GitLab shows', () =>
  inWorld(
    {
      hook: false,
      tokenFile: true,
      gitlab: `  webhook_signing_token: ${signingToken}\n  timeout: 3s`,
      more: 'intervals: { note: 200ms, heads: 1s }',
    },
    async world => {
      // As on a real machine, where the token comes from the environment of the service.
      vi.stubEnv('GITLAB_TOKEN', world.token)
      vi.stubEnv('COMPOPS_WEBHOOK_SECRET', world.secret)
      const watch = watchProcesses()
      const { simulator, project } = world
      simulator.addHook(project.id, {
        url: `${world.url}/webhooks/gitlab`,
        token: world.secret,
        signingToken,
        push: true,
        mergeRequests: true,
        pipelines: true,
        notes: true,
      })
      // Deliveries with wrong secrets that are nearly right, and one with right ones in the wrong places.
      for (const headers of [
        { 'x-gitlab-token': `${world.secret}x` },
        { 'x-gitlab-token': signingToken },
        { authorization: `Bearer ${world.token}` },
      ] as Record<string, string>[])
        await fetch(`${world.url}/webhooks/gitlab`, {
          method: 'POST',
          body: '{}',
          headers: { 'content-type': 'application/json', ...headers },
        })
      // A GitLab, or a proxy before it, that repeats what it was sent.
      const echo = `<html><title>${world.token} ${Buffer.from(`oauth2:${world.token}`).toString('base64')}</title></html>`
      const { faults } = simulator
      faults.respond({ ...ROUTES.api, times: 3 }, { status: 502, body: echo })
      faults.respond(
        { ...ROUTES.sendStatus, times: 1 },
        {
          status: 400,
          body: JSON.stringify({ message: `no ${world.token}` }),
          headers: { 'content-type': 'application/json' },
        },
      )
      faults.respond({ ...ROUTES.heads, times: 2 }, { status: 500, body: echo })
      faults.respond({ ...ROUTES.push, times: 1 }, { status: 403, body: echo })
      faults.respond({ ...ROUTES.fetch, times: 1 }, { half: true })
      faults.respond({ ...ROUTES.writeNote, times: 1 }, { resetAfterDoing: true })
      faults.respond({ ...ROUTES.git, times: 12 }, { delayMs: 250 })
      const sha = await world.push('calc/heat', {
        '.compops.yml':
          'jobs:\n  spy:\n    script: [env, "tr \'\\\\0\' \'\\\\n\' < /proc/$PPID/environ || true", "ps axww || true", exit 1]\n',
      })
      const { iid } = await world.openMergeRequest('calc/heat')
      await world.treeEnds(sha, ['failed'], 120)
      await until('the evidence', () => world.evidenceOf('calc/heat', sha), 90)
      await until('the final note', () => world.note(iid)?.body.includes('spy failed'), 60)
      // A token that is revoked, and its successor.
      const next = simulator.createToken(world.bot.id, { scopes: ['api'] }).token
      simulator.revokeToken(world.token)
      const { writeFile } = await import('node:fs/promises')
      await until('the refusal', () => world.logged.some(line => /401|Access denied|returned error: 40/.test(line)), 60)
      await writeFile(world.tokenFile, next)
      const second = await world.push('calc/heat', { '.compops.yml': 'jobs:\n  ok:\n    script: ["true"]\n' })
      await world.treeEnds(second, ['success'], 120)
      watch.stop()
      expect(watch.gits()).toBeGreaterThan(5)

      const secrets = [world.token, next, world.secret, signingToken, signingToken.slice('whsec_'.length)].flatMap(
        secret => [secret, encodeURIComponent(secret), Buffer.from(`oauth2:${secret}`).toString('base64')],
      )
      const databaseUrl = world.service.context.config.databaseUrl
      const password = databaseUrl === null ? '' : decodeURIComponent(new URL(databaseUrl).password)
      if (password.length > 5) secrets.push(password)
      const shown = new Map([...(await everythingShown(world)), ...watch.seen])
      const found = [...shown].flatMap(([where, text]) =>
        secrets.filter(secret => text.includes(secret)).map(secret => `${where}: ${secret.slice(0, 8)}…`),
      )
      expect(found).toEqual([])
      vi.unstubAllEnvs()
    },
  ))
