import { type CopyLimits, usualCopyLimits } from '../model/copies.ts'
import type { CostLimit } from '../model/cost.ts'
import type { Policy } from '../model/policy.ts'
import { readResource } from '../model/resources.ts'
import { supersedeModes } from '../model/supersede.ts'
import { asDirectivePattern } from './cluster-section.ts'
import { asLine, asMap, asScalar, asSwitch, choice, join, listOf, nameOf, type Read, type Report } from './fields.ts'
import { namesWebhookSecret, readWebhookSecrets } from './gitlab-section.ts'
import { nearest } from './nearest.ts'
import type { JobSecret, ProjectConfig, RunAs } from './schema.ts'
import { openSection } from './section.ts'
import {
  anySecret,
  asBranch,
  asGlob,
  asUser,
  jobSecret,
  keyFile,
  longSecret,
  readSecret,
  remoteDirectory,
  type Surroundings,
  sizeUpTo,
  wholeNumber,
} from './values.ts'
import { type Located, type Place, quote } from './yaml.ts'

const projectKeys = [
  'path',
  'clusters',
  'token',
  'token_file',
  'webhook_secret',
  'webhook_secret_file',
  'webhook_signing_token',
  'webhook_signing_token_file',
  'run_as',
  'shared_account',
  'branches',
  'statuses',
  'drafts',
  'approval',
  'evidence',
  'collect',
  'notify',
  'submodules',
  'includes',
  'secrets',
  'ci_variables_token',
  'ci_variables_token_file',
  'policy',
  'commands',
  'supersede',
  'ci',
  'gates',
]

export interface LocatedProject extends ProjectConfig {
  readonly place: Place
  readonly namesWebhookSecret: boolean
}

export function readProject(
  node: Located,
  path: string,
  clusterNames: readonly string[],
  around: Surroundings,
  report: Report,
): LocatedProject | undefined {
  const section = openSection(node, path, 'a project', projectKeys, report)
  if (section === undefined) return undefined
  const glob = section.need('path', asGlob, 'Write which projects are meant, for example `path: physics/*`.')
  const clusters = section.need(
    'clusters',
    someOf(knownCluster(clusterNames)),
    'Write the clusters they may use, for example `clusters: [falcon]`.',
  )
  if (clusters !== undefined && new Set(clusters).size < clusters.length)
    section.complain('clusters', 'A cluster stands here twice.', 'Keep one.')
  const token = readSecret(section, 'token', longSecret, around) ?? null
  const secrets = readWebhookSecrets(section, around)
  const runAs = section.read('run_as', runAsReader(around)) ?? null
  const sharedAccount = section.read('shared_account', asSwitch) ?? false
  const branches = section.read('branches', someOf(asBranchRule)) ?? null
  const statuses = section.read('statuses', choice(['all', 'final', 'none'])) ?? 'all'
  const drafts = section.read('drafts', choice(['run', 'hold'])) ?? 'run'
  const approval = section.read('approval', readApproval)
  const policy = section.read('policy', readPolicy)
  const evidence = section.read('evidence', readEvidence) ?? { branch: 'compops/evidence' }
  const collect = section.read('collect', readCollect) ?? usualCopyLimits
  const notify = section.read('notify', choice(['failed', 'finished', 'never'])) ?? 'failed'
  const supersede = section.read('supersede', choice(supersedeModes)) ?? 'queued'
  const ci = section.read('ci', choice(['all', 'protected', 'none']))
  const gates = section.read('gates', listOf(asGlob))
  const submodules = section.read('submodules', someOf(asGlob)) ?? []
  const commands = section.read('commands', readCommands) ?? { notes: true, aliases: true }
  const includes = section.read('includes', someOf(asGlob)) ?? []
  const jobSecrets = section.read('secrets', jobSecretsReader(around)) ?? {}
  const ciVariables = readSecret(section, 'ci_variables_token', longSecret, around) ?? null
  if (glob === undefined || clusters === undefined || clusters.length === 0) return undefined
  return {
    path: glob,
    clusters,
    token,
    ...secrets,
    runAs,
    sharedAccount,
    branches,
    statuses,
    drafts,
    ...(approval === undefined ? {} : { approval }),
    evidence,
    ...(policy === undefined ? {} : { policy }),
    collect,
    notify,
    supersede,
    ...(ci === undefined ? {} : { ci }),
    ...(gates === undefined ? {} : { gates }),
    submodules,
    commands,
    includes,
    secrets: jobSecrets,
    ...(ciVariables === null ? {} : { ciVariables }),
    place: section.at('path'),
    namesWebhookSecret: namesWebhookSecret(section),
  }
}

/** A list of at least one. */
function someOf<T>(read: Read<T>): Read<T[]> {
  return (node, path, report) => {
    if (node.kind === 'list' && node.items.length === 0)
      report(node, path, `${nameOf(path)} is empty.`, 'Name at least one, or leave the key out.')
    return listOf(read)(node, path, report)
  }
}

function knownCluster(names: readonly string[]): Read<string> {
  return (node, path, report) => {
    const name = asLine(node, path, report)
    if (name === undefined || names.includes(name)) return name
    const near = nearest(name, names)
    report(
      node,
      path,
      `There is no cluster ${quote(name)}.`,
      `${near === null ? '' : `Did you mean ${quote(near)}? `}${names.length === 0 ? 'Name one under `clusters`.' : `Under \`clusters\` stand ${names.map(n => quote(n)).join(', ')}.`}`,
    )
    return undefined
  }
}

function runAsReader(around: Surroundings): Read<RunAs> {
  return (node, path, report) => {
    const section = openSection(
      node,
      path,
      '`run_as`',
      ['user', 'identity_file', 'passphrase', 'passphrase_file', 'root'],
      report,
    )
    if (section === undefined) return undefined
    const user = section.need('user', asUser, 'Write the account on the cluster.')
    const identityFile = section.need('identity_file', keyFile(around), "Write that account's private key.")
    const passphrase = readSecret(section, 'passphrase', anySecret, around) ?? null
    const root = section.need('root', remoteDirectory, 'Write a directory on the cluster that belongs to that account.')
    return user === undefined || identityFile === undefined || root === undefined
      ? undefined
      : { user, identityFile, passphrase, root }
  }
}

const asBranchRule: Read<string> = (node, path, report) => {
  const section = openSection(node, path, 'a branch rule', ['match'], report)
  return section?.need('match', asGlob, 'Write which branches are meant, for example `match: calc/**`.')
}

const readPolicy: Read<Policy> = (node, path, report) => {
  const section = openSection(node, path, '`policy`', ['time', 'nodes', 'partitions', 'directives'], report)
  if (section === undefined) return undefined
  return {
    time: section.read('time', asTime) ?? null,
    nodes: section.read('nodes', wholeNumber(1, 1_000_000)) ?? null,
    partitions: section.read('partitions', someOf(asLine)) ?? null,
    directives: section.read('directives', listOf(asDirectivePattern)) ?? null,
  }
}

/** `{ core_hours: 1000, gpu_hours: 50 }`: above either. */
const readApproval: Read<CostLimit> = (node, path, report) => {
  const section = openSection(node, path, '`approval`', ['core_hours', 'gpu_hours'], report)
  if (section === undefined) return undefined
  const coreHours = section.read('core_hours', wholeNumber(0, 1_000_000_000)) ?? null
  const gpuHours = section.read('gpu_hours', wholeNumber(0, 1_000_000_000)) ?? null
  if (coreHours === null && gpuHours === null)
    report(
      node,
      path,
      '`approval` names no amount.',
      'Write for example `approval: { core_hours: 1000, gpu_hours: 50 }`.',
    )
  return { coreHours, gpuHours }
}

/** `off`, `on`, or `{ aliases: off }` where another bot listens to `/test` and the like. */
const readCommands: Read<ProjectConfig['commands']> = (node, path, report) => {
  if (node.kind === 'scalar') {
    const on = asSwitch(node, path, report)
    return on === undefined ? undefined : { notes: on, aliases: on }
  }
  const section = openSection(node, path, '`commands`', ['aliases'], report)
  return section === undefined ? undefined : { notes: true, aliases: section.read('aliases', asSwitch) ?? true }
}

/** As a job writes its `time`. */
const asTime: Read<number> = (node, path, report) => {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const parsed = readResource('time', scalar.value, !scalar.plain)
  if (parsed.ok) return parsed.value as number
  report(node, path, `${nameOf(path)}: ${parsed.message}`, parsed.remedy)
  return undefined
}

const readEvidence: Read<{ branch: string }> = (node, path, report) => {
  const section = openSection(node, path, '`evidence`', ['branch'], report)
  const branch = section?.need('branch', asBranch, 'Write the branch, for example `branch: compops/evidence`.')
  return branch === undefined ? undefined : { branch }
}

/** `NAME: ${FROM_ENV}`, or `NAME: { value | value_file, protected: true }`. */
function jobSecretsReader(around: Surroundings): Read<Record<string, JobSecret>> {
  return (node, path, report) => {
    const secrets: Record<string, JobSecret> = {}
    for (const entry of asMap(node, path, report)?.entries ?? []) {
      const here = join(path, entry.key)
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(entry.key) || entry.key.startsWith('COMPOPS_')) {
        report(
          entry,
          here,
          `${quote(entry.key)} cannot be the name of a secret.`,
          'It becomes a variable of the job: letters, digits and `_`, no digit and no `COMPOPS_` in front.',
        )
        continue
      }
      const place = { line: entry.line, column: entry.column }
      const asSection: Located =
        entry.value.kind === 'map'
          ? entry.value
          : { ...place, kind: 'map', entries: [{ ...place, key: 'value', value: entry.value }] }
      const section = openSection(asSection, here, 'a secret', ['value', 'value_file', 'protected'], report)
      if (section === undefined) continue
      const source = readSecret(section, 'value', jobSecret, around)
      const isProtected = section.read('protected', asSwitch) ?? false
      if (source === undefined)
        section.complain('value', '`value` is missing.', 'Write `value: "${NAME}"`, or `value_file` with a path.')
      if (source != null) secrets[entry.key] = { source, protected: isProtected }
    }
    return secrets
  }
}

const off: CopyLimits = { file: 0, run: 0 }
// A piece of a file is 4 MiB at most (cluster/files.ts); a repository is no place for more than this.
const [largestCopy, largestCopies] = [4 * 1024 ** 2, 100 * 1024 ** 2]

/** `{ file: 1M, run: 10M }`, or `off`. */
const readCollect: Read<CopyLimits> = (node, path, report) => {
  if (node.kind === 'scalar' && (node.value === 'off' || node.value === false)) return off
  const section = openSection(node, path, '`collect`', ['file', 'run'], report)
  if (section === undefined) return undefined
  const file = section.read('file', sizeUpTo(largestCopy)) ?? usualCopyLimits.file
  return { file, run: section.read('run', sizeUpTo(largestCopies)) ?? Math.max(file, usualCopyLimits.run) }
}

export function readProjects(
  node: Located,
  path: string,
  clusterNames: readonly string[],
  around: Surroundings,
  report: Report,
): LocatedProject[] {
  if (node.kind !== 'list') {
    report(node, path, '`projects` must be a list.', 'Begin each with `- path: group/project`.')
    return []
  }
  const projects: LocatedProject[] = []
  const seen = new Map<string, number>()
  node.items.forEach((item, i) => {
    const here = `${path}[${i}]`
    const project = readProject(item, here, clusterNames, around, report)
    if (project === undefined) return
    const first = seen.get(project.path)
    if (first === undefined) seen.set(project.path, project.place.line)
    else
      report(
        project.place,
        join(here, 'path'),
        `${quote(project.path)} stands here twice; line ${first} has it first.`,
        'Keep one: the first that matches holds.',
      )
    projects.push(project)
  })
  return projects
}
