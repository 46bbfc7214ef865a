import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig, projectFor, readConfig, secretValues, sharedAccounts } from '../../src/config/index.ts'
import { ConfigError } from '../../src/errors.ts'

let folder = ''
const signing = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const env = {
  HOME: '',
  GITLAB_TOKEN: 'glpat-secret-token',
  HOOK: 'hook-secret-value',
  SIGNING: signing,
  PORT: '2222',
  EMPTY: '',
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-config-'))
  env.HOME = folder
  await mkdir(join(folder, '.ssh'))
  for (const [name, text] of [
    ['.ssh/id', 'key'],
    ['.ssh/known_hosts', ''],
    ['token', 'glpat-from-a-file\n'],
    ['short', 'short\n'],
    ['ca.pem', '-----BEGIN CERTIFICATE-----\n'],
  ] as const)
    await writeFile(join(folder, name), text, { mode: 0o600 })
})

afterAll(() => rm(folder, { recursive: true }))

const full = `listen: 127.0.0.1:8080
public_url: https://compops.example.org/
data_dir: ./data
database_url: postgres://compops:p%40ss-word@db.example.org/compops
time_zone: Europe/Berlin
gitlab:
  url: https://gitlab.example.org/
  ca_file: ca.pem
  token: \${GITLAB_TOKEN}
  webhook_secret: \${HOOK}
  webhook_signing_token: \${SIGNING}
  webhook: on
clusters:
  falcon:
    scheduler: slurm
    ssh:
      host: falcon.example.org
      port: \${PORT}
      user: compops
      identity_file: ~/.ssh/id
      known_hosts_file: ~/.ssh/known_hosts
    transport: ssh2
    root: /scratch/compops/
    poll_interval: 15s
    max_poll_interval: 2m
    max_submitted: 100
    events: off
    allow_directives: ["--hint=*"]
    defaults: { partition: main, walltime: 1h }
    path: /opt/slurm/bin
  here:
    scheduler: local
    root: /srv/compops
    poll_interval: 500ms
projects:
  - path: physics/*
    clusters: [falcon, here]
    shared_account: true
  - path: chemistry/water
    clusters: [falcon]
    token_file: token
    webhook_secret: \${HOOK}
    run_as: { user: chem, identity_file: ~/.ssh/id, root: /scratch/chem }
    branches: [{ match: calc/** }]
    statuses: final
    evidence: { branch: evidence }
    collect: { file: 2.5M, run: 300K }
    notify: never
intervals: { note: 1s }
`

function mistakes(text: string): string[] {
  const result = readConfig(text, join(folder, 'compops.config.yml'), env)
  return 'mistakes' in result ? result.mistakes : []
}

test('without webhooks no secret is needed, and one that stands there is said to be of no use', () => {
  const off = full.replace('webhook: on', 'webhook: off')
  const bare = off.replace(/^ +webhook_(?:secret|signing_token): .*\n/gm, '')
  const read = (text: string) => readConfig(text, join(folder, 'compops.config.yml'), env)
  expect(read(bare)).toMatchObject({ config: { gitlab: { webhook: false, pollInterval: 30_000 }, warnings: [] } })
  expect(read(off)).toMatchObject({
    config: { warnings: ['gitlab.webhook is off: nothing is received, and the webhook secrets are not used.'] },
  })
})

describe('ways in', () => {
  const ssh = full.slice(full.indexOf('    ssh:\n'), full.indexOf('    root: /scratch/compops/'))
  const read = (text: string) => readConfig(full.replace(ssh, text), join(folder, 'compops.config.yml'), env)
  const ofFalcon = (text: string) => {
    const result = read(text)
    return 'config' in result ? result.config.clusters[0]?.ssh : result.mistakes
  }

  test('several login nodes, jump hosts and a file server: what they do not say is as on the login node', () => {
    const login = {
      user: 'me',
      identityFile: join(folder, '.ssh/id'),
      knownHostsFile: join(folder, '.ssh/known_hosts'),
    }
    expect(
      ofFalcon(`    ssh:
      host: [falcon1, falcon2]
      user: me
      identity_file: ~/.ssh/id
      jump: [{ host: mack, user: guest, port: 2200 }, { host: inner }]
      transfer: { host: files, jump: [{ host: mack }] }
`),
    ).toMatchObject({
      transport: 'ssh2',
      host: 'falcon1',
      fallbacks: ['falcon2'],
      ...login,
      jump: [
        { ...login, host: 'mack', user: 'guest', port: 2200 },
        { ...login, host: 'inner', port: 22 },
      ],
      transfer: { ...login, host: 'files', port: 22, jump: [{ ...login, host: 'mack' }] },
    })
  })

  test('an alias is enough for the system’s ssh', () => {
    expect(
      ofFalcon('    ssh: { host: falcon, session: required, transfer: { host: files } }\n    transport: openssh\n'),
    ).toEqual({
      transport: 'openssh',
      host: 'falcon',
      fallbacks: [],
      port: null,
      user: null,
      identityFile: null,
      knownHostsFile: null,
      configFile: null,
      session: 'required',
      transfer: { host: 'files' },
    })
    expect(
      ofFalcon('    ssh: { host: falcon, jump: [{ host: a }], passphrase: "${HOOK}" }\n    transport: openssh\n'),
    ).toEqual([
      expect.stringContaining('`jump` is for `transport: ssh2`. Write `ProxyJump` into the ssh_config'),
      expect.stringContaining('`passphrase` is for `transport: ssh2`. Use an agent'),
    ])
  })
})

test('the whole file, read', async () => {
  const file = join(folder, 'compops.config.yml')
  await writeFile(file, full)
  const config = await loadConfig(file, env)
  const { gitlab, clusters, projects, ...rest } = config
  expect(rest).toEqual({
    file,
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'https://compops.example.org',
    dataDir: join(folder, 'data'),
    bundlesLimit: 50 * 1024 ** 3,
    databaseUrl: 'postgres://compops:p%40ss-word@db.example.org/compops',
    timeZone: 'Europe/Berlin',
    templates: null,
    intervals: {
      heads: 300_000,
      note: 1_000,
      accounting: 60_000,
      settle: 90_000,
      shortestPoll: 5_000,
      lease: 30_000,
      retry: 30_000,
    },
    dashboard: null,
    warnings: [],
  })
  expect(gitlab).toMatchObject({
    url: 'https://gitlab.example.org',
    caFile: join(folder, 'ca.pem'),
    webhook: true,
    ciPipelineWait: 60,
    timeout: 20_000,
  })
  expect(await gitlab.token.read()).toBe('glpat-secret-token')
  expect(gitlab.token.describe()).toBe('set, from $GITLAB_TOKEN')
  expect(await gitlab.webhookSigningToken?.read()).toBe(signing)
  expect(clusters).toEqual([
    {
      name: 'falcon',
      scheduler: 'slurm',
      ssh: {
        transport: 'ssh2',
        host: 'falcon.example.org',
        fallbacks: [],
        jump: [],
        transfer: null,
        port: 2222,
        user: 'compops',
        identityFile: join(folder, '.ssh/id'),
        passphrase: null,
        knownHostsFile: join(folder, '.ssh/known_hosts'),
      },
      root: '/scratch/compops',
      pollInterval: 15_000,
      maxPollInterval: 120_000,
      maxSubmitted: 100,
      transferLimit: 1024 ** 3,
      events: false,
      allowDirectives: ['--hint=*'],
      defaults: { partition: 'main', time: 3_600 },
      path: '/opt/slurm/bin',
    },
    {
      name: 'here',
      scheduler: 'local',
      ssh: null,
      root: '/srv/compops',
      pollInterval: 500,
      maxPollInterval: 120_000,
      maxSubmitted: 500,
      transferLimit: 1024 ** 3,
      events: true,
      allowDirectives: [],
      defaults: {},
    },
  ])
  expect(projects[0]).toEqual({
    path: 'physics/*',
    clusters: ['falcon', 'here'],
    token: null,
    webhookSecret: null,
    webhookSigningToken: null,
    runAs: null,
    sharedAccount: true,
    branches: null,
    statuses: 'all',
    drafts: 'run',
    evidence: { branch: 'compops/evidence' },
    collect: { file: 1_048_576, run: 10_485_760 },
    notify: 'failed',
    supersede: 'queued',
    commands: { notes: true, aliases: true },
    submodules: [],
    includes: [],
    secrets: {},
  })
  expect(projects[1]).toMatchObject({
    runAs: { user: 'chem', identityFile: join(folder, '.ssh/id'), passphrase: null, root: '/scratch/chem' },
    branches: ['calc/**'],
    statuses: 'final',
    evidence: { branch: 'evidence' },
    collect: { file: 2_621_440, run: 307_200 },
    notify: 'never',
    supersede: 'queued',
    commands: { notes: true, aliases: true },
  })
  expect(projectFor(config, 'physics/heat')?.path).toBe('physics/*')
  expect(projectFor(config, 'physics/heat/deep')).toBeNull()
  expect(secretValues(config).sort()).toEqual(
    ['glpat-secret-token', 'hook-secret-value', signing, 'glpat-from-a-file', 'p%40ss-word', 'p@ss-word'].sort(),
  )
})

test('after how many days run directories are removed', () => {
  const result = readConfig(full.replace('events: off', 'keep: { days: 30 }'), join(folder, 'compops.config.yml'), env)
  expect('config' in result && result.config.clusters.map(cluster => cluster.keepDays)).toEqual([30, undefined])
  const other = readConfig(full.replace('events: off', 'transfer_limit: 300M'), join(folder, 'compops.config.yml'), env)
  expect('config' in other && other.config.clusters.map(cluster => cluster.transferLimit)).toEqual([
    300 * 1024 ** 2,
    1024 ** 3,
  ])
})

test('what the service fetches for nodes without a network', () => {
  const read = (packages: string) => {
    const result = readConfig(full.replace('events: off', packages), join(folder, 'compops.config.yml'), env)
    return 'config' in result ? result.config.clusters[0]!.packages : result.mistakes
  }
  const usual = { platforms: [], limit: 4 * 1024 ** 3, timeout: 1_800_000 }
  expect(read('packages: cluster')).toBeUndefined()
  expect(read('packages: service')).toEqual({ by: { python: 'pip' }, ...usual })
  const all =
    'packages: { python: ./token, julia: julia, python_version: "3.11", platforms: [any], limit: 300M, timeout: 5m }'
  expect(read(all)).toEqual({
    by: { python: join(folder, 'token'), julia: 'julia' },
    pythonVersion: '3.11',
    platforms: ['any'],
    limit: 300 * 1024 ** 2,
    timeout: 300_000,
  })
})

describe('a secret in a file', () => {
  test('is read again each time, and every value it had is known for redaction', async () => {
    const result = readConfig(full, join(folder, 'compops.config.yml'), env)
    const source = 'config' in result ? result.config.projects[1]?.token : null
    expect(source?.describe()).toBe(`set, from ${join(folder, 'token')}`)
    await writeFile(join(folder, 'token'), 'glpat-replaced\n')
    expect(await source?.read()).toBe('glpat-replaced')
    expect(source?.values()).toEqual(['glpat-from-a-file', 'glpat-replaced'])
    await writeFile(join(folder, 'token'), '')
    await expect(source?.read()).rejects.toMatchObject({ transient: true })
    await writeFile(join(folder, 'token'), 'glpat-from-a-file\n')
  })

  test.skipIf(process.platform === 'win32')('that others can read is warned of', async () => {
    await chmod(join(folder, 'token'), 0o644)
    const result = readConfig(full, join(folder, 'compops.config.yml'), env)
    await chmod(join(folder, 'token'), 0o600)
    expect('config' in result && result.config.warnings).toEqual([
      `projects[1].token_file: ${join(folder, 'token')} can be read by others; \`chmod 600\` it.`,
    ])
  })
})

test('five mistakes are five mistakes, each with its line, its key and its remedy', async () => {
  const file = join(folder, 'wrong.yml')
  await writeFile(
    file,
    `listen: 127.0.0.1:99999
public_ur: https://compops.example.org
gitlab:
  url: https://gitlab.example.org
  token: \${NO_SUCH_VARIABLE}
  webhook_secret: short
clusters:
  falcon: { scheduler: local, root: /scratch }
projects:
  - { path: physics/*, clusters: [falcn] }
`,
  )
  const error = await loadConfig(file, env).catch(e => e)
  expect(error).toBeInstanceOf(ConfigError)
  expect(error.message).toBe(`${file}: 5 mistakes
  line 1, listen: \`listen\`: 99999 is not a port. Write a port from 1 to 65535, or 0 for any that is free.
  line 2, public_ur: \`public_ur\` is not a key of the configuration. Did you mean \`public_url\`?
  line 5, gitlab.token: The variable \`$NO_SUCH_VARIABLE\` is not set in the environment. Set it before the service starts.
  line 6, gitlab.webhook_secret: \`webhook_secret\` is shorter than 8 characters. Use a long random value, for example from \`openssl rand -hex 24\`.
  line 10, projects[0].clusters[0]: There is no cluster \`falcn\`. Did you mean \`falcon\`? Under \`clusters\` stand \`falcon\`.`)
})

test('a file that is not there', async () => {
  await expect(loadConfig(join(folder, 'nowhere.yml'), env)).rejects.toThrow(
    /^.*nowhere\.yml: 1 mistake\n {2}The file cannot be read: ENOENT/,
  )
})

describe('each mistake', () => {
  const edits: [string, string, string | ((text: string) => string), string][] = [
    [
      'a port that is no port',
      'port: ${PORT}',
      'port: 70000',
      'line 18, clusters.falcon.ssh.port: `port` cannot be `70000`. Write a whole number from 1 to 65535, without quotes.',
    ],
    [
      'a bare port to listen on',
      'listen: 127.0.0.1:8080',
      'listen: 8080',
      'line 1, listen: `listen`: `8080` is not an address and a port. Write for example `127.0.0.1:8080`.',
    ],
    [
      'an address that is none',
      'url: https://gitlab.example.org/',
      'url: gitlab.example.org',
      'line 7, gitlab.url: `url`: `gitlab.example.org` is not an address of the web. Write for example `https://gitlab.example.org`.',
    ],
    [
      'an address with a password',
      'public_url: https://',
      'public_url: https://u:p@',
      'line 2, public_url: `public_url` holds a user or password. Take them out; tokens have keys of their own.',
    ],
    [
      'a time zone',
      'Europe/Berlin',
      'Europe/Berln',
      'line 5, time_zone: `Europe/Berln` is not a time zone. Write a name like `Europe/Berlin` or `UTC`.',
    ],
    [
      'a database',
      'postgres://compops',
      'mysql://compops',
      'line 4, database_url: `database_url` is not an address of PostgreSQL. Write `postgres://user:password@host/database`, or leave it out for the embedded database.',
    ],
    [
      'no token',
      '  token: ${GITLAB_TOKEN}\n',
      '',
      'line 7, gitlab.token: `token` is missing. Write `token: ${GITLAB_TOKEN}` or `token_file: PATH`: a project, group or service account token, scope `api`, role Developer.',
    ],
    [
      'two tokens',
      '  token: ${GITLAB_TOKEN}\n',
      '  token: ${GITLAB_TOKEN}\n  token_file: token\n',
      'line 10, gitlab.token_file: `token` and `token_file` both stand here. Keep one of them.',
    ],
    [
      'a variable that is empty',
      '${GITLAB_TOKEN}',
      '${EMPTY}',
      'line 9, gitlab.token: The variable `$EMPTY` is empty in the environment. Set it before the service starts.',
    ],
    [
      'a variable with a default, as in a shell',
      '${GITLAB_TOKEN}',
      '${A:-b}',
      'line 9, gitlab.token: `${A:-b}` is not a variable of the environment. Write `${NAME}`; a `${` that is meant as it stands is written `$${`.',
    ],
    [
      'a signing token of another kind',
      '${SIGNING}',
      '${HOOK}',
      'line 11, gitlab.webhook_signing_token: `webhook_signing_token` does not begin with `whsec_`. Copy the signing token as GitLab shows it: `whsec_` and base64 of at least 16 bytes.',
    ],
    [
      'a short signing token',
      '${SIGNING}',
      'whsec_AAAA',
      'line 11, gitlab.webhook_signing_token: `webhook_signing_token` holds fewer than 16 bytes. Copy the signing token as GitLab shows it: `whsec_` and base64 of at least 16 bytes.',
    ],
    [
      'no webhook secret',
      '  webhook_secret: ${HOOK}\n  webhook_signing_token: ${SIGNING}\n',
      '',
      'line 7, gitlab.webhook_secret: `webhook_secret` is missing: anybody could send deliveries. Write `webhook_secret: "${COMPOPS_WEBHOOK_SECRET}"`, or `webhook_signing_token` (GitLab 19 and later), here or on each project.',
    ],
    [
      'how often GitLab is asked, though it calls',
      'webhook: on',
      'poll_interval: 1m',
      'line 12, gitlab.poll_interval: `poll_interval` is for `webhook: off`. Leave it out: what no webhook told is looked for every five minutes.',
    ],
    [
      'GitLab asked far too often',
      'webhook: on',
      'webhook: off\n  poll_interval: 1s',
      'line 13, gitlab.poll_interval: `poll_interval` is shorter than 5 s. Write for example `30s`: each look asks GitLab and git about every project.',
    ],
    [
      'a secret file that is short',
      'token_file: token',
      'token_file: short',
      'line 41, projects[1].token_file: What stands in `FOLDER/short` is shorter than 8 characters. Use a long random value, for example from `openssl rand -hex 24`.',
    ],
    [
      'a secret file that is not there',
      'token_file: token',
      'token_file: nowhere',
      'line 41, projects[1].token_file: `token_file`: `FOLDER/nowhere` does not exist. Give the path of a file that the service can read.',
    ],
    [
      'a key that is not there',
      'identity_file: ~/.ssh/id\n',
      'identity_file: ~/.ssh/nope\n',
      'line 20, clusters.falcon.ssh.identity_file: `identity_file`: `FOLDER/.ssh/nope` does not exist. Give the path of a file that the service can read.',
    ],
    [
      "somebody else's home",
      'identity_file: ~/.ssh/id\n',
      'identity_file: ~root/id\n',
      'line 20, clusters.falcon.ssh.identity_file: `~root/id`: only `~/`, the own home directory, is understood. Write the whole path.',
    ],
    [
      'a host that is an option',
      'host: falcon.example.org',
      'host: -oProxyCommand=x',
      'line 17, clusters.falcon.ssh.host: `host`: `-oProxyCommand=x` is not a host. Write a name or an address; user and port have keys of their own.',
    ],
    [
      "a site's own scheduler that is no module",
      'scheduler: slurm',
      'scheduler: ./mine.py',
      "line 15, clusters.falcon.scheduler: `./mine.py` is no module. Name a file of the site's own that ends in `.ts`, `.mts`, `.js` or `.mjs`.",
    ],
    [
      'a scheduler that is none',
      'scheduler: slurm',
      'scheduler: slrm',
      'line 15, clusters.falcon.scheduler: There is no scheduler `slrm`. Did you mean `slurm`? It is `slurm`, `lsf`, `pbs`, `sge` or `local`.',
    ],
    [
      'a transport that is none',
      'transport: ssh2',
      'transport: openshs',
      'line 22, clusters.falcon.transport: `transport` cannot be `openshs`. Did you mean `openssh`? It is one of `ssh2`, `openssh`.',
    ],
    [
      'a transport to this machine',
      '  here:\n',
      '  here:\n    transport: ssh2\n',
      'line 32, clusters.here.transport: `transport` needs `ssh`. Leave it out: commands run on this machine.',
    ],
    [
      'events',
      'events: off',
      'events: sometimes',
      'line 27, clusters.falcon.events: `events` cannot be `sometimes`. Write `true` or `false`.',
    ],
    [
      'keep',
      'events: off',
      'keep: 30d',
      'line 27, clusters.falcon.keep: `keep` must hold keys and values, but it is `30d`. Write `key: value` lines below it, indented.',
    ],
    [
      'a keep without days',
      'events: off',
      'keep: {}',
      'line 27, clusters.falcon.keep.days: `days` is missing. Write after how many days run directories are removed, for example `keep: { days: 30 }`.',
    ],
    [
      'who fetches packages',
      'events: off',
      'packages: servce',
      'line 27, clusters.falcon.packages: `packages` cannot be `servce`. Did you mean `service`? It is one of `cluster`, `service`.',
    ],
    [
      'a tool that is not known',
      'events: off',
      'packages: { python: conda }',
      "line 27, clusters.falcon.packages.python: `conda` is no program that is known here. Write `pip`, or the path of a program of the site's own, `./fetch-packages`.",
    ],
    [
      'packages of nothing',
      'events: off',
      'packages: { limit: 1G }',
      'line 27, clusters.falcon.packages: `packages` names nothing to fetch. Write `packages: { python: pip }`, or `packages: service`, which means the same.',
    ],
    [
      'a Python with its last part',
      'events: off',
      'packages: { python: pip, python_version: "3.11.2" }',
      'line 27, clusters.falcon.packages.python_version: `3.11.2` is no version of Python. Write it in quotes, without its last part: `"3.11"`.',
    ],
    [
      'a jump host without its name',
      'user: compops\n',
      'user: compops\n      jump: [{ user: me }]\n',
      'line 20, clusters.falcon.ssh.jump[0].host: `host` is missing. Write the host, for example `host: mack.example.org`.',
    ],
    [
      'one login node twice',
      'host: falcon.example.org',
      'host: [falcon, owl, falcon]',
      'line 17, clusters.falcon.ssh.host: `host` names a host twice. Keep one.',
    ],
    [
      'a session for our own client',
      'user: compops\n',
      'user: compops\n      session: required\n',
      'line 20, clusters.falcon.ssh.session: `session` is for `transport: openssh`. Write that beside `ssh`, or leave it out.',
    ],
    [
      'a root that is relative',
      'root: /scratch/compops/',
      'root: ~/compops',
      'line 23, clusters.falcon.root: `root`: `~/compops` does not begin with `/`. Write the whole path on the cluster; `~` is not expanded there.',
    ],
    [
      'a root that leads out',
      'root: /scratch/compops/',
      'root: /scratch/../etc',
      'line 23, clusters.falcon.root: `root` cannot be `/scratch/../etc`. Write a directory of its own, without `..`.',
    ],
    [
      'polling too fast',
      'poll_interval: 15s',
      'poll_interval: 1s',
      'line 24, clusters.falcon.poll_interval: `poll_interval` is shorter than 5 s. Write at least `5s`: every manual of a scheduler asks not to poll faster.',
    ],
    [
      'an interval without a unit',
      'poll_interval: 15s',
      'poll_interval: 15',
      'line 24, clusters.falcon.poll_interval: `poll_interval`: `15` has no unit. Write `15s` for seconds, `15m` for minutes.',
    ],
    [
      'the longest below the shortest',
      'max_poll_interval: 2m',
      'max_poll_interval: 10s',
      'line 25, clusters.falcon.max_poll_interval: `max_poll_interval` is shorter than `poll_interval`. Make it at least as long.',
    ],
    [
      'a directive that is none',
      '["--hint=*"]',
      '["hint=*"]',
      'line 28, clusters.falcon.allow_directives[0]: `hint=*` is not an option. Write an option of the scheduler, `*` for anything: `--hint=*`.',
    ],
    [
      'a default that is wrong',
      'walltime: 1h',
      'walltime: 00:30:00',
      'line 29, clusters.falcon.defaults.walltime: `walltime`: An unquoted time with colons is a number to some YAML readers. Write "00:30:00" in quotes, or `30m`.',
    ],
    [
      'a default that is unknown',
      'walltime: 1h',
      'walltme: 1h',
      'line 29, clusters.falcon.defaults.walltme: `walltme` is not a key of `defaults` of a cluster. Did you mean `walltime`?',
    ],
    [
      'a cluster twice',
      '  here:\n',
      '  falcon: { scheduler: local, root: /x }\n  here:\n',
      'line 31, clusters.falcon: `falcon` stands here twice; line 14 has it first. Keep one.',
    ],
    [
      'a project twice',
      'path: chemistry/water',
      'path: physics/*',
      'line 39, projects[1].path: `physics/*` stands here twice; line 36 has it first. Keep one: the first that matches holds.',
    ],
    [
      'no clusters for a project',
      'clusters: [falcon, here]',
      'clusters: []',
      'line 37, projects[0].clusters: `clusters` is empty. Name at least one, or leave the key out.',
    ],
    [
      'a choice',
      'statuses: final',
      'statuses: finl',
      'line 45, projects[1].statuses: `statuses` cannot be `finl`. Did you mean `final`? It is one of `all`, `final`, `none`.',
    ],
    [
      'an evidence branch',
      'branch: evidence',
      'branch: refs/heads/evidence',
      'line 46, projects[1].evidence.branch: `branch`: `refs/heads/evidence` is a full ref. Write the short name: `evidence`.',
    ],
    [
      'an account without ssh',
      'clusters: [falcon]\n',
      'clusters: [here]\n',
      'line 39, projects[1].run_as: `run_as` needs `ssh`, but the cluster `here` has none. Reach the cluster by `ssh`, or leave `run_as` out.',
    ],
    [
      'a root inside another account’s',
      'root: /scratch/chem',
      'root: /scratch/compops/chem',
      'line 39, projects[1]: The root /scratch/compops/chem of chem on falcon.example.org:2222 lies inside /scratch/compops, the root of compops on falcon.example.org:2222. Give each account a root of its own, side by side.',
    ],
    [
      'one root for two accounts',
      'root: /scratch/chem',
      'root: /scratch/compops',
      'line 39, projects[1]: The root /scratch/compops of chem on falcon.example.org:2222 is also the root of compops on falcon.example.org:2222. Give each account a root of its own, side by side.',
    ],
    [
      'YAML that is none',
      'time_zone: Europe/Berlin',
      'time_zone: "Europe',
      'line 5: Something is not closed: missing closing "quote. Look for a missing quote or bracket here or above.',
    ],
  ]
  test.each(edits)('%s', (_, from, to, sentence) => {
    expect(full).toContain(from)
    expect(mistakes(full.replace(from, to as string))).toEqual([sentence.replace('FOLDER', folder)])
  })

  test('no secret is ever shown', () => {
    const wrong = full
      .replace('${SIGNING}', '${HOOK}')
      .replace('postgres://', 'mysql://')
      .replace('url: https://gitlab.example.org/', 'url: ${GITLAB_TOKEN}')
    const shown = mistakes(wrong).join('\n')
    expect(mistakes(wrong)).toHaveLength(3)
    for (const secret of ['hook-secret-value', 'p%40ss-word', 'glpat-secret-token']) expect(shown).not.toContain(secret)
  })

  test.each([
    ['', 'line 1: The file must hold keys and values, but it is empty. Write `key: value` lines below it, indented.'],
    [
      'listen: 127.0.0.1:1\n',
      'line 1, gitlab: `gitlab` is missing. Write `gitlab:` and below it `url`, `token` and `webhook_secret`.',
    ],
  ])('%j', (text, sentence) => {
    expect(mistakes(text)[0]).toBe(sentence)
  })
})

describe('what is not wrong but worth knowing', () => {
  function warnings(text: string): readonly string[] {
    const result = readConfig(text, join(folder, 'compops.config.yml'), env)
    if ('mistakes' in result) throw new Error(result.mistakes.join('\n'))
    return result.config.warnings
  }

  test.each([
    [
      'url: https://gitlab.example.org/',
      'url: http://gitlab.example.org',
      ['gitlab.url: http://gitlab.example.org is not encrypted; the token travels in clear.'],
    ],
    ['url: https://gitlab.example.org/', 'url: http://127.0.0.1:8929', []],
    [
      '${HOOK}',
      'hook-secret-value',
      ['gitlab.webhook_secret: the secret stands in the file itself; `${NAME}` or `webhook_secret_file` keeps it out.'],
    ],
    [
      'public_url: https://compops.example.org/\n',
      '',
      ['public_url is not set: links in GitLab lead to the address that the service listens on.'],
    ],
  ])('%s -> %s', (from, to, expected) => {
    expect(warnings(full.replace(from, to))).toEqual(expected)
  })

  test('projects that share an account without saying so', () => {
    const text = full
      .replace('    shared_account: true\n', '')
      .replace('    run_as: { user: chem, identity_file: ~/.ssh/id, root: /scratch/chem }\n', '')
    expect(warnings(text)).toEqual([
      "physics/*, chemistry/water: jobs of all these projects run as compops on falcon.example.org:2222 and can read and change each other's files. Give each a `run_as`, or say `shared_account: true` on each.",
      "physics/*: jobs of all these projects run as the service's account on this machine and can read and change each other's files. Give each a `run_as`, or say `shared_account: true` on each.",
    ])
  })

  test('who shares what', () => {
    const result = readConfig(full, join(folder, 'compops.config.yml'), env)
    expect('config' in result && sharedAccounts(result.config)).toEqual([
      { account: 'compops on falcon.example.org:2222', projects: ['physics/*'], agreed: true },
      { account: "the service's account on this machine", projects: ['physics/*'], agreed: true },
    ])
  })
})

describe('who may see the pages', () => {
  const read = (lines: string, rest = '') => {
    const text = `${rest}gitlab: { url: https://gitlab.example.org, token: "\${GITLAB_TOKEN}", webhook_secret: "\${HOOK}" }
clusters: { here: { scheduler: local, root: /tmp/x } }
projects: [{ path: a/b, clusters: [here] }]
${lines}
`
    const result = readConfig(text, join(folder, 'compops.config.yml'), env)
    return 'mistakes' in result ? result.mistakes.join('\n') : result.config.dashboard
  }
  const https = 'public_url: https://compops.example.org\n'

  test('an application of GitLab, behind https or on loopback; its secret is one', () => {
    const dashboard = read('dashboard: { application_id: abc, secret: "${HOOK}" }', https)
    expect(dashboard).toMatchObject({ kind: 'sign in', applicationId: 'abc' })
    expect(read('dashboard: { application_id: abc, secret: "${HOOK}" }')).toMatchObject({ kind: 'sign in' })
    expect(
      read('dashboard: { application_id: abc, secret: "${HOOK}" }', 'public_url: http://compops.example.org\n'),
    ).toMatch(/not encrypted/)
    expect(read('dashboard: { application_id: abc }', https)).toMatch(/`secret` is missing/)
    expect(read('dashboard: { secret: "${HOOK}" }', https)).toMatch(/`application_id` is missing.*read_api/s)
    expect(read('')).toBeNull()
  })

  test('administrators by their usernames in GitLab, in any case', () => {
    const admins = (list: string) => read(`dashboard: { application_id: abc, secret: "\${HOOK}", admins: ${list} }`)
    expect(admins('[Alice, bob.b]')).toMatchObject({ admins: ['alice', 'bob.b'] })
    expect(read('dashboard: { application_id: abc, secret: "${HOOK}" }')).toMatchObject({ admins: [] })
    expect(admins('["@alice"]')).toMatch(/`@alice` is no username of GitLab/)
    expect(read('dashboard: { open: true, admins: [alice] }')).toMatch(/both stand here/)
  })

  test('without signing in on loopback only', () => {
    expect(read('dashboard: { open: true }')).toEqual({ kind: 'open' })
    expect(read('dashboard: { open: true }', https)).toMatch(/can be reached from other machines/)
    expect(read('dashboard: { open: true }', 'listen: 0.0.0.0:8080\npublic_url: http://127.0.0.1:8080\n')).toMatch(
      /can be reached from other machines/,
    )
    expect(read('dashboard: { open: true, application_id: abc }')).toMatch(/both stand here/)
  })
})
