import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-check-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function compops(args: string[], env: Record<string, string> = {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await dispatch(args, {
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
    env,
  })
  return { code, out: out.join(''), err: err.join('') }
}

const config = `gitlab:
  url: http://gitlab.example.org
  token: \${GITLAB_TOKEN}
  webhook_secret: \${HOOK}
clusters:
  here: { scheduler: local, root: /srv/compops, defaults: { time: 1h } }
projects:
  - { path: physics/heat, clusters: [here] }
  - { path: physics/light, clusters: [here], statuses: final, collect: off }
`
const env = { GITLAB_TOKEN: 'glpat-secret', HOOK: 'hook-secret' }

test('check says what the configuration means, and never a secret', async () => {
  const file = join(folder, 'compops.config.yml')
  await writeFile(file, config)
  const { code, out, err } = await compops(['check', '--config', file], env)
  expect(err).toBe('')
  expect(code).toBe(0)
  expect(
    out,
  ).toBe(`${file} is right. Nothing was contacted: whether token, keys and clusters work, /readyz says once the service runs.

  listens on               127.0.0.1:8080
  links lead to            http://127.0.0.1:8080
  database                 embedded, under the data directory
  data directory           ${folder}/data
  time zone                UTC
  GitLab                   http://gitlab.example.org
    token                  set, from $GITLAB_TOKEN
    webhook secret         set, from $HOOK
    webhook signing token  not set
    certificates           those of the system
  templates                hydra, julia, mpi, nccl, python

  CLUSTER  SCHEDULER  REACHED BY    ROOT          POLLED EVERY  AT MOST   DEFAULTS  DIRECTIVES
  here     local      this machine  /srv/compops  2 s to 2 m    500 jobs  time 1h   -

  PROJECTS       CLUSTERS  RUN AS                 BRANCHES             STATUSES  NOTIFY  EVIDENCE          COLLECT                 OWN SECRETS
  physics/heat   here      the cluster's account  with a .compops.yml  all       failed  compops/evidence  1 M a file, 10 M a run  -
  physics/light  here      the cluster's account  with a .compops.yml  final     failed  compops/evidence  off                     -

  Accounts that projects share
    the service's account on this machine:  physics/heat, physics/light  (not agreed, see below)

  Worth knowing
    ! public_url is not set: links in GitLab lead to the address that the service listens on.
    ! gitlab.url: http://gitlab.example.org is not encrypted; the token travels in clear.
    ! physics/heat, physics/light: jobs of all these projects run as the service's account on this machine and can read and change each other's files. Give each a \`run_as\`, or say \`shared_account: true\` on each.
`)
})

test('check shows every mistake and fails', async () => {
  const file = join(folder, 'wrong.yml')
  await writeFile(file, config.replace('local', 'lcal'))
  const { code, out, err: said } = await compops(['check'], { COMPOPS_CONFIG: file, HOOK: 'hook-secret' })
  // The list grows with each scheduler.
  const err = said.replace(/It is \S+slurm.*/, 'It is …')
  expect({ code, out, err }).toEqual({
    code: 1,
    out: '',
    err: `${file}: 2 mistakes
  line 3, gitlab.token: The variable \`$GITLAB_TOKEN\` is not set in the environment. Set it before the service starts.
  line 6, clusters.here.scheduler: There is no scheduler \`lcal\`. Did you mean \`local\`? It is …
`,
  })
})

test.each([
  [['chek'], 2, 'compops: there is no command `chek`. Did you mean `compops check`?\n'],
  [['frobnicate'], 2, 'compops: there is no command `frobnicate`. See `compops help`.\n'],
  [['__proto__'], 2, 'compops: there is no command `__proto__`. See `compops help`.\n'],
  [['check', '--cofnig', 'x'], 2, "compops check: Unknown option '--cofnig'\n"],
])('%j', async (args, code, err) => {
  expect(await compops(args)).toEqual({ code, out: '', err })
})

test.each([[[]], [['help']], [['--help']], [['check', '--help']]])('%j shows help', async args => {
  const { code, out } = await compops(args)
  expect(code).toBe(0)
  expect(out).toMatch(/^compops makes GitLab.*compops check {3}say what/s)
})

test('--version', async () => {
  expect((await compops(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('check says that nothing is received where webhooks are off', async () => {
  const file = join(folder, 'off.yml')
  await writeFile(file, config.replace('webhook_secret: ${HOOK}', 'webhook: off'))
  const { code, out } = await compops(['check', '--config', file], env)
  expect(code).toBe(0)
  expect(out).toContain('    webhooks      off: heads and merge requests are looked at every 30 s\n')
  expect(out).not.toContain('webhook secret')
})

test('check says by which machines a cluster is reached', async () => {
  for (const name of ['id', 'known_hosts']) await writeFile(join(folder, name), '', { mode: 0o600 })
  const file = join(folder, 'ways.yml')
  const ways = `clusters:
  far: { scheduler: slurm, root: /s, ssh: { host: [a, b], user: me, identity_file: id, known_hosts_file: known_hosts, jump: [{ host: m }], transfer: { host: f } } }
  otp: { scheduler: slurm, root: /t, transport: openssh, ssh: { host: falcon, session: required } }
`
  await writeFile(file, config.replace('clusters:\n', ways))
  const { code, out, err } = await compops(['check', '--config', file], env)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toContain('ssh me@a:22 or me@b:22, through me@m:22, data through me@f:22')
  expect(out).toContain('openssh falcon, in sessions of `compops connect`')
})
