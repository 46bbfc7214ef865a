import { readdirSync, rmSync } from 'node:fs'
import { appendFile, chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { startWorld, type World } from '../support/world.ts'

/** A whole world behind a real sshd, and ten faults planted into it, one after the other: each turns the doctor red with the right words. */
let world: World
let sshd: Sshd
let slurm: FakeSlurm
let root: string
let maintainer: string

beforeAll(async () => {
  slurm = startFakeSlurm()
  sshd = await startSshd()
  world = await startWorld({ clusters: '  falcon: { scheduler: local, root: ROOT }', rule: '    clusters: [falcon]' })
  await world.stopService()
  root = join(world.place, 'cluster')
  await mkdir(root, { recursive: true })
  const ssh = `{ host: ${sshd.host}, port: ${sshd.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${sshd.knownHostsFile} }`
  const text = await readFile(world.configFile, 'utf8')
  await writeFile(
    world.configFile,
    text.replace(
      /^ {2}falcon:.*$/m,
      `  falcon: { scheduler: slurm, root: ${root}, path: ${slurm.bin}, defaults: { partition: main }, ssh: ${ssh} }`,
    ),
  )
  // Her, a Maintainer's, token: only such a one sees webhooks.
  maintainer = world.simulator.createToken(world.alice.id, { name: 'setup', scopes: ['api'] }).token
  await world.start()
  await world.push('main', { 'README.md': '# Heat again\n' })
})
afterAll(async () => {
  await world?.close()
  await sshd?.stop()
  slurm?.stop()
})

const look = (...args: string[]) => lookAndHear(args, () => {})

/** `hear` is told what the one who waits is told, as it comes. */
async function lookAndHear(
  args: string[],
  hear: (text: string) => void,
): Promise<{ code: number; findings: Finding[]; said: string }> {
  let said = ''
  let errors = ''
  const io = {
    stdout: { write: (text: string) => (said += text) },
    stderr: {
      write(text: string) {
        errors += text
        hear(text)
      },
    },
    env: { ...process.env, STORY_TOKEN: world.token, STORY_SECRET: world.secret, COMPOPS_SETUP_TOKEN: maintainer },
  }
  const code = await dispatch(['doctor', '--config', world.configFile, '--json', ...args], io)
  return { code, findings: said.startsWith('[') ? (JSON.parse(said) as Finding[]) : [], said: said + errors }
}

const bad = (findings: readonly Finding[]) =>
  findings
    .filter(({ level }) => level !== 'ok')
    .map(({ level, about, check, sentence }) => `${level} ${about} ${check}: ${sentence}`)

test('a world that is well is green, and nothing is left behind', async () => {
  const calls = slurm.calls('sbatch').length
  const { code, findings } = await look()
  // What this machine has left is its own business.
  expect(bad(findings).filter(line => !line.includes(' space: '))).toEqual([])
  expect(code).toBe(0)
  expect(findings.map(({ about }) => about)).toEqual(expect.arrayContaining(['falcon', 'GitLab', 'physics/heat']))
  expect(readdirSync(root)).toEqual([])
  expect(slurm.calls('sbatch').length - calls).toBe(1)
  expect(slurm.jobs()).toEqual([])
})

test('--compute sends one tiny job, says what the node sees, and removes everything again', async () => {
  const calls = slurm.calls('sbatch').length
  // The job ends when it has been seen: on a busy machine the first look may come after its end.
  const unseen = join(slurm.state, 'unseen')
  await writeFile(unseen, '')
  await appendFile(
    join(slurm.state, '.bash_profile'),
    `[ -z "\${SLURM_JOB_ID-}" ] || while [ -e ${unseen} ]; do sleep 0.05; done\n`,
  )
  const { code, findings, said } = await lookAndHear(['--compute', 'falcon'], text => {
    if (/job \d+ (?:waits|runs)/.test(text)) rmSync(unseen, { force: true })
  })
  expect(code, said).toBe(0)
  // Who waits sees how it stands.
  expect(said).toMatch(/falcon: is handed over\nfalcon: job \d+ (?:waits|runs)/)
  const compute = findings
    .filter(({ check }) => check.startsWith('compute'))
    .map(({ check, level }) => `${level} ${check}`)
  expect(compute).toEqual(
    ['compute', 'compute root', 'compute shell', 'compute tools', 'compute clock'].map(check => `ok ${check}`),
  )
  // The others are asked besides: sbatch --test-only.
  expect(findings.map(({ check }) => check)).toContain('submission')
  expect(slurm.calls('sbatch').length - calls).toBe(2)
  expect(slurm.jobs().map(({ state }) => state)).toEqual(['COMPLETED'])
  expect(readdirSync(root)).toEqual([])
}, 60_000)

test('--module says of each whether it loads, in the words of the module system, and asks for nothing else', async () => {
  await appendFile(
    join(slurm.state, '.bash_profile'),
    `module() { case $2 in
  gcc) LOADEDMODULES=gcc/12.1; export LOADEDMODULES; echo 'Loading gcc/12.1' >&2 ;;
  old) echo 'ERROR:105: Unable to locate a modulefile for old' >&2 ;;
  *) echo "Lmod has detected the following error: unknown: \\"$2\\"" >&2; return 1 ;;
esac; }
`,
  )
  const { code, findings } = await look('--module', 'gcc', '--module', 'old,nosuch', 'falcon')
  expect(code).toBe(1)
  expect(
    findings
      .filter(({ check }) => check.startsWith('module'))
      .map(({ level, check, sentence }) => [level, check, sentence]),
  ).toEqual([
    [
      'error',
      'module old',
      'It does not load. The module system says: “ERROR:105: Unable to locate a modulefile for old”',
    ],
    [
      'error',
      'module nosuch',
      'It does not load. The module system says: “Lmod has detected the following error: unknown: "nosuch"”',
    ],
    ['ok', 'module gcc', 'It loads as gcc/12.1; the module system says: “Loading gcc/12.1”'],
  ])
  expect(findings.map(({ check }) => check)).not.toContain('submission')
  expect((await look('--module', '$(id)', 'falcon')).said).toContain('cannot be the name of a module')
  expect(readdirSync(root)).toEqual([])
}, 60_000)

test('a queue that is too long is waited for as long as it was said, then the job is cancelled and removed', async () => {
  slurm.behave('hold', 'yes')
  try {
    const { code, findings } = await look('--compute', '--wait', '1s', 'falcon')
    expect(bad(findings).filter(line => line.includes('compute'))).toEqual([
      expect.stringMatching(/^warn falcon compute: Job \d+ had not ended when the wait was over.*It was cancelled\.$/),
    ])
    expect(code).toBe(0)
    expect(slurm.jobs().at(-1)!.state).toBe('CANCELLED')
    expect(readdirSync(root)).toEqual([])
  } finally {
    slurm.behave('hold', 'ok')
  }
}, 60_000)

test('a job that the scheduler refuses leaves nothing behind either', async () => {
  slurm.behave('sbatch', 'refuse')
  try {
    const { findings } = await look('--compute', 'falcon')
    expect(bad(findings)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^error falcon compute: A tiny job was not accepted: .*invalid partition/),
      ]),
    )
    expect(readdirSync(root)).toEqual([])
  } finally {
    slurm.behave('sbatch', 'ok')
  }
}, 60_000)

interface Fault {
  readonly plant: () => unknown
  readonly heal: () => unknown
  readonly only: string
  readonly says: RegExp
}

const faults: Readonly<Record<string, Fault>> = {
  'a scheduler whose controller is down': {
    plant: () => slurm.behave('scontrol', 'down'),
    heal: () => slurm.behave('scontrol', 'ok'),
    only: 'falcon',
    says: /^error falcon scheduler: The scheduler does not tell about itself: /,
  },
  'a queue that is cut': {
    plant: () => slurm.behave('squeue', 'down'),
    heal: () => slurm.behave('squeue', 'ok'),
    only: 'falcon',
    says: /^error falcon queue: The queue cannot be read: /,
  },
  'an account that may not submit': {
    plant: () => slurm.behave('sbatch', 'refuse'),
    heal: () => slurm.behave('sbatch', 'ok'),
    only: 'falcon',
    says: /^error falcon submission: .*Invalid account or account\/partition combination specified\.$/,
  },
  'a clock that is an hour ahead': {
    plant: () => slurm.behave('clock', '3600'),
    heal: () => slurm.behave('clock', 'ok'),
    only: 'falcon',
    says: /^error falcon clock: Its clock is 3\d\d\d s ahead of ours\./,
  },
  'a root that everybody may write': {
    plant: () => chmod(root, 0o777),
    heal: () => chmod(root, 0o700),
    only: 'falcon',
    says: /^error falcon root: Everybody on the cluster may write into /,
  },
  'a root in the way of which a file lies': {
    plant: async () => {
      await rm(root, { recursive: true })
      await writeFile(root, '')
    },
    heal: async () => {
      await rm(root)
      await mkdir(root)
    },
    only: 'falcon',
    says: /^error falcon root: .* cannot be written: /,
  },
  'a host key that has changed': {
    plant: async () => {
      await sshd.halt()
      await sshd.start({ newHostKeys: true })
    },
    heal: async () => {
      await writeFile(sshd.knownHostsFile, await readFile(await sshd.knownHostsFor(sshd.port), 'utf8'))
    },
    only: 'falcon',
    says: /^error falcon host key: Cannot be reached: host key of .* has changed: /,
  },
  'evidence that a rule protects': {
    plant: () => world.simulator.protectBranch(world.project.id, 'compops/*', { pushLevel: 40 }),
    heal: () => world.simulator.unprotectBranch(world.project.id, 'compops/*'),
    only: 'physics/heat',
    says: /^error physics\/heat evidence: Evidence cannot be committed: /,
  },
  'a role that is too low': {
    plant: () => world.simulator.addMember(world.project.id, world.bot.id, 20),
    heal: () => world.simulator.addMember(world.project.id, world.bot.id, 30),
    only: 'physics/heat',
    says: /^error physics\/heat role: compops is Reporter here; /,
  },
  'webhooks to local addresses that are not allowed': {
    plant: async () => {
      world.simulator.settings.allowLocalRequests = false
      await world.push('main', { 'a.txt': '1' })
      await world.simulator.idle()
    },
    heal: async () => {
      world.simulator.settings.allowLocalRequests = true
      await world.push('main', { 'a.txt': '2' })
      await world.simulator.idle()
    },
    only: 'physics/heat',
    says: /^error physics\/heat webhook: GitLab does not deliver: URL is blocked: Requests to localhost are not allowed\.$/,
  },
  'a webhook that leads elsewhere': {
    plant: () => {
      world.hook!.url = 'http://127.0.0.1:1/webhooks/gitlab'
    },
    heal: () => {
      world.hook!.url = `${world.url}/webhooks/gitlab`
    },
    only: 'physics/heat',
    says: /^error physics\/heat webhook: The webhook leads to http:\/\/127\.0\.0\.1:1\/webhooks\/gitlab, not to /,
  },
  'a token that was revoked': {
    plant: () => world.simulator.revokeToken(world.token),
    heal: () => {},
    only: 'physics/heat',
    says: /^error GitLab token: `gitlab\.token` is refused: /,
  },
}

test.each(Object.entries(faults))('%s', async (_, { plant, heal, only, says }) => {
  await plant()
  try {
    const { code, findings } = await look(only)
    expect(bad(findings)).toEqual(expect.arrayContaining([expect.stringMatching(says)]))
    expect(code).toBe(1)
    for (const { level, check, remedy } of findings)
      if (level !== 'ok' && check !== 'host key') expect(remedy).toBeTruthy()
  } finally {
    await heal()
  }
})

test('what is neither a cluster nor a project is said', async () => {
  expect((await look('nosuch')).said).toContain('"nosuch" is neither a cluster (falcon) nor a project')
})
