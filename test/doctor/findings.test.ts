import { describe, expect, test } from 'vitest'
import type { Examined } from '../../src/cluster/contract.ts'
import { readPlace } from '../../src/cluster/examine.ts'
import { concludeCluster } from '../../src/doctor/cluster.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import {
  concludeInstance,
  concludeProject,
  concludeSharing,
  type InstanceSeen,
  type ProjectSeen,
} from '../../src/doctor/gitlab.ts'

const place: NonNullable<Examined['place']> = {
  user: 'compops',
  host: 'falcon1',
  shell: '/bin/tcsh',
  printed: '',
  loginSeconds: 0,
  bash: '5.2',
  missingTools: [],
  root: { state: 'written' },
  openToAll: false,
  freeBytes: 100 * 1024 ** 3,
  sizeBytes: 1000 * 1024 ** 3,
  quota: '',
  clockAhead: 0,
  ms: 40,
}
const well: Examined = {
  unreachable: null,
  place,
  facts: { version: 'slurm 22.05.8', accounting: true, remembers: 300, nativeDependencies: true, maxArraySize: 1001 },
  queue: 'whole',
  submission: { accepted: true, said: '' },
  sessions: 4,
}
const cluster = (seen: Partial<Examined>) =>
  concludeCluster({
    name: 'falcon',
    scheduler: 'slurm',
    root: '/scratch/compops',
    maxSubmitted: 500,
    seen: { ...well, ...seen },
  })
const at = (changes: Partial<typeof place>) => cluster({ place: { ...place, ...changes } })

/** `error root: sentence` of all that is not well. */
const bad = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, check, sentence }) => `${level} ${check}: ${sentence}`)

describe('a cluster', () => {
  test('that is well', () => {
    expect(bad(cluster({}))).toEqual([])
    expect(cluster({}).map(({ check }) => check)).toEqual([
      ...[
        'ssh',
        'login shell',
        'bash',
        'clock',
        'root',
        'space',
        'scheduler',
        'accounting',
        'queue',
        'submission',
        'sessions',
      ],
    ])
  })

  test.each<[string, readonly Finding[], string]>([
    [
      'a host key that changed',
      cluster({ unreachable: { error: 'host key of falcon has changed: it shows X', transient: false } }),
      'error host key: Cannot be reached: host key of falcon has changed: it shows X.',
    ],
    [
      'a hop that is away',
      cluster({
        unreachable: { error: 'cannot connect to compops@mack:22 (hop 1 of 2): ECONNREFUSED', transient: true },
      }),
      'error ssh: Cannot be reached: cannot connect to compops@mack:22 (hop 1 of 2): ECONNREFUSED.',
    ],
    [
      'start files that print',
      at({ printed: 'Welcome to FALCON' }),
      'warn start files: The start files of the account print: “Welcome to FALCON”. We cut it off; scp, rsync and git over this account fail of it.',
    ],
    [
      'start files that take long',
      at({ ms: 5_000 }),
      'warn start files: Each program takes 5.0 s before it has done anything.',
    ],
    [
      'a login shell that is slow to come up',
      at({ loginSeconds: 12 }),
      'warn start files: A login shell takes 12 s to come up, and each job begins with one.',
    ],
    ['an old bash', at({ bash: '4.1' }), 'error bash: /bin/bash is 4.1: job scripts need 4.2.'],
    ['no bash', at({ bash: '' }), 'error bash: There is no /bin/bash: our job scripts cannot run.'],
    [
      'tools that are missing',
      at({ missingTools: ['sha256sum', 'tar'] }),
      'error tools: Missing there: sha256sum, tar.',
    ],
    [
      'a clock that is behind',
      at({ clockAhead: -3600 }),
      'error clock: Its clock is 3600 s behind ours. Times are turned into ours, but logs, make and certificates there will disagree.',
    ],
    [
      'a root that refuses',
      at({ root: { state: 'refused', said: 'Read-only file system' } }),
      'error root: /scratch/compops cannot be written: Read-only file system.',
    ],
    [
      'a root for everybody',
      at({ openToAll: true }),
      'error root: Everybody on the cluster may write into /scratch/compops: whoever does can forge results.',
    ],
    ['a quota', at({ quota: 'compops /scratch 100G*' }), 'error quota: A quota is exceeded: compops /scratch 100G*'],
    ['a disk that is full', at({ freeBytes: 1024 ** 2 }), 'error space: 0.0 GiB are free under /scratch/compops.'],
    [
      'a scheduler that is away',
      cluster({ facts: { error: 'sbatch: not found' } }),
      'error scheduler: The scheduler does not tell about itself: sbatch: not found.',
    ],
    [
      'no accounting',
      cluster({
        facts: {
          version: 'slurm 20.11',
          accounting: false,
          remembers: 300,
          nativeDependencies: true,
          maxArraySize: null,
        },
      }),
      'warn accounting: It keeps no accounting: why a job ended is known only as long as the queue remembers it.',
    ],
    [
      'a queue that cannot be read',
      cluster({ queue: { error: 'slurm_load_jobs error' } }),
      'error queue: The queue cannot be read: slurm_load_jobs error.',
    ],
    [
      'an account that may not submit',
      cluster({ submission: { accepted: false, said: 'Invalid account' } }),
      'error submission: The scheduler would not take a job with the defaults of the cluster: Invalid account.',
    ],
    [
      'MaxSessions 1',
      cluster({ sessions: 1 }),
      'warn sessions: Only 1 of four programs ran at a time over one connection: a submission waits behind a poll.',
    ],
  ])('%s', (_, findings, sentence) => {
    expect(bad(findings)).toEqual([sentence])
    const [first] = findings.filter(({ level }) => level !== 'ok')
    // What says how to trust a host key says so itself.
    if (first?.check !== 'host key') expect(first?.remedy).toBeTruthy()
  })

  test('what a machine says there cannot give orders to a terminal', () => {
    expect(at({ printed: '\u001b[2J\u0007hi' })[1]?.sentence).toContain('“ [2J hi”')
  })

  test('its answer is read line by line, and a second line of a key says nothing', () => {
    const text =
      'clock 1000\nuser me\nhost h\nshell /bin/sh\nbash 5.2\nmissing tar\nroot refused no space\nroot written\nfree 10 20\nend\n'
    const read = readPlace(text, new Date(990_000), new Date(991_000))
    expect(read).toMatchObject({
      clockAhead: 9,
      missingTools: ['tar'],
      root: { state: 'refused', said: 'no space' },
      freeBytes: 10_240,
    })
    expect(() => readPlace('user me\nend\n', new Date(), new Date())).toThrow('did not say what time it is')
  })
})

const instance: InstanceSeen = {
  url: 'https://gitlab.example.org',
  version: '18.2.0-ee',
  tokens: [{ of: [], info: { id: 1, name: 'compops', scopes: ['api'], expiresAt: '2027-01-01', active: true } }],
  publicUrl: 'https://compops.example.org',
  webhook: true,
  today: new Date('2026-06-01'),
}
const token = (changes: object) => ({
  ...instance,
  tokens: [{ of: [], info: { ...(instance.tokens[0]!.info as object), ...changes } as never }],
})

describe('GitLab', () => {
  test('that is well', () => {
    expect(bad(concludeInstance(instance))).toEqual([])
  })

  test.each<[string, InstanceSeen, string]>([
    [
      'a private CA',
      { ...instance, version: { error: 'SELF_SIGNED_CERT_IN_CHAIN', kind: 'unreachable' }, tokens: [] },
      'error certificate: The certificate of https://gitlab.example.org is not trusted: SELF_SIGNED_CERT_IN_CHAIN.',
    ],
    [
      'a GitLab that is away',
      { ...instance, version: { error: 'ECONNREFUSED', kind: 'unreachable' }, tokens: [] },
      'error reach: https://gitlab.example.org does not answer: ECONNREFUSED.',
    ],
    [
      'a token that was revoked',
      {
        ...instance,
        version: { error: '401', kind: 'unauthorized' },
        tokens: [{ of: [], info: { error: '401', kind: 'unauthorized' } }],
      },
      'error token: `gitlab.token` is refused: 401.',
    ],
    [
      'a token that may only read',
      token({ scopes: ['read_api'] }),
      'error token: `gitlab.token` (compops) has the scopes read_api, and `api` is missing: no status, note or evidence can be written.',
    ],
    [
      'a token that expires',
      token({ expiresAt: '2026-06-08' }),
      'warn token: `gitlab.token` (compops) expires on 2026-06-08, in 7 days.',
    ],
    [
      'a public_url that only we can reach',
      { ...instance, publicUrl: 'http://127.0.0.1:8080' },
      'error public_url: `public_url` is http://127.0.0.1:8080: GitLab cannot reach this machine there, nor can people.',
    ],
    [
      'a public_url without TLS',
      { ...instance, publicUrl: 'http://compops.example.org' },
      'warn public_url: `public_url` is http://compops.example.org: the secret of the webhook travels in clear.',
    ],
  ])('%s', (_, seen, sentence) => {
    expect(bad(concludeInstance(seen))).toEqual([sentence])
  })

  test('one token for groups that have nothing to do with each other', () => {
    expect(
      bad(concludeSharing([{ paths: ['physics/*', 'chemistry/x'] }, { paths: ['biology/a', 'biology/b'] }])),
    ).toEqual([
      'warn token: One token serves the groups physics, chemistry: whoever gets hold of it through one of them reaches all.',
    ])
  })
})

const hook = {
  id: 1,
  url: 'https://compops.example.org/webhooks/gitlab',
  events: { push: true, tag_push: true, merge_requests: true, note: true, pipeline: true },
  sslVerification: true,
  alertStatus: 'executable',
  disabledUntil: null,
  branchFilter: '',
  tokenPresent: true,
}
const delivery = { id: 1, at: '2026-06-01', status: 200, error: null }
const project: ProjectSeen = {
  path: 'physics/heat',
  failed: null,
  archived: false,
  bot: 'project_1_bot',
  botId: 7,
  role: 30,
  evidenceBranch: 'compops/evidence',
  evidence: { canPush: true, protected: false },
  protectedBranches: [],
  hooks: [{ hook, deliveries: [delivery] }],
  webhookUrl: 'https://compops.example.org/webhooks/gitlab',
  ciVariables: null,
}
const hooked = (changes: object, deliveries = [delivery] as readonly object[]) =>
  ({ ...project, hooks: [{ hook: { ...hook, ...changes }, deliveries }] }) as ProjectSeen

describe('a project', () => {
  test('that is well', () => {
    expect(bad(concludeProject(project))).toEqual([])
    expect(bad(concludeProject({ ...project, evidence: null }))).toEqual([])
    expect(bad(concludeProject({ ...project, ciVariables: 3 }))).toEqual([])
    const named = { name: 'compops/*', pushLevels: [0], pushUserIds: [7], allowForcePush: false }
    expect(bad(concludeProject({ ...project, evidence: null, protectedBranches: [named] }))).toEqual([])
  })

  test.each<[string, ProjectSeen, string]>([
    [
      'one that the token does not see',
      { ...project, failed: { error: '404', kind: 'not found' } },
      'error project: The token does not see this project.',
    ],
    ['an archived one', { ...project, archived: true }, 'error project: It is archived: nothing can be written.'],
    [
      'too low a role',
      { ...project, role: 20 },
      'error role: project_1_bot is Reporter here; statuses, notes and evidence need a Developer.',
    ],
    [
      'a protected evidence branch',
      { ...project, evidence: { canPush: false, protected: true } },
      'error evidence: Evidence cannot be committed: project_1_bot may not push to the branch compops/evidence, which is protected.',
    ],
    [
      'a rule that will protect it',
      {
        ...project,
        evidence: null,
        protectedBranches: [{ name: 'compops/*', pushLevels: [40], pushUserIds: [], allowForcePush: false }],
      },
      'error evidence: Evidence cannot be committed: the rule compops/* protects compops/evidence from project_1_bot.',
    ],
    [
      'rules that could not be read',
      { ...project, evidence: null, protectedBranches: { error: '403 Forbidden', kind: 'forbidden' } },
      'warn evidence: Whether a rule protects compops/evidence, which is not there yet, could not be looked at: 403 Forbidden.',
    ],
    [
      'CI variables that the token for them may not read',
      { ...project, ciVariables: { error: '403 Forbidden', kind: 'forbidden' } },
      'error CI variables: The CI variables cannot be read: 403 Forbidden.',
    ],
    [
      'no webhook',
      { ...project, hooks: [] },
      'error webhook: No webhook leads to https://compops.example.org/webhooks/gitlab.',
    ],
    [
      'one that leads elsewhere',
      hooked({ url: 'https://user:pass@old.example.org/webhooks/gitlab' }),
      'error webhook: The webhook leads to https://old.example.org/webhooks/gitlab, not to https://compops.example.org/webhooks/gitlab.',
    ],
    [
      'one whose address GitLab masks beyond reading',
      hooked({ url: 'https://old.example.org:{port}/webhooks/gitlab' }),
      'error webhook: No webhook leads to https://compops.example.org/webhooks/gitlab.',
    ],
    [
      'webhooks that could not be read',
      { ...project, hooks: { error: 'no answer within 20 s', kind: 'unreachable' } },
      'error webhook: The webhooks could not be looked at: no answer within 20 s.',
    ],
    [
      'two of them',
      {
        ...project,
        hooks: [
          { hook, deliveries: [] },
          { hook, deliveries: [] },
        ],
      },
      'warn webhook: 2 webhooks lead here: every event comes so often.',
    ],
    [
      'one that GitLab has switched off',
      hooked({ alertStatus: 'temporarily_disabled', disabledUntil: '2026-06-02' }),
      'error webhook: GitLab has switched the webhook off until 2026-06-02, after failures in a row.',
    ],
    [
      'events that are missing',
      hooked({ events: { ...hook.events, note: false, merge_requests: false } }),
      'error webhook: The webhook does not tell of: merge requests, note.',
    ],
    ['a filter', hooked({ branchFilter: 'main' }), 'warn webhook: Pushes are told only for branches that match main.'],
    [
      'no look at certificates',
      hooked({ sslVerification: false }),
      'warn webhook: GitLab does not check our certificate: somebody in between could read the secret.',
    ],
    [
      'no secret',
      hooked({ tokenPresent: false }),
      'error webhook: The webhook has no secret: its deliveries are refused.',
    ],
    [
      'local addresses that are not allowed',
      hooked({}, [{ ...delivery, status: null, error: 'URL is blocked: Requests to localhost are not allowed' }]),
      'error webhook: GitLab does not deliver: URL is blocked: Requests to localhost are not allowed.',
    ],
    [
      'another secret',
      hooked({}, [{ ...delivery, status: 401 }, delivery]),
      'error webhook: We refused the last delivery (401): its secret is not that of the configuration.',
    ],
    [
      'a proxy that answers',
      hooked({}, [{ ...delivery, status: 502 }]),
      'error webhook: The last delivery was answered 502.',
    ],
  ])('%s', (_, seen, sentence) => {
    expect(bad(concludeProject(seen))).toEqual([sentence])
  })

  test('a failure that was followed by a success has been mended', () => {
    expect(bad(concludeProject(hooked({}, [delivery, { ...delivery, status: 500 }])))).toEqual([])
  })
})
