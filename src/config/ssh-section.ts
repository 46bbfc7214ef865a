import { choice, join, listOf, nameOf, type Read, type Report } from './fields.ts'
import type { OpensshConfig, SecretSource, Ssh2Config, SshConfig, StationConfig } from './schema.ts'
import { openSection, type Section } from './section.ts'
import { anySecret, asHost, asPort, asUser, keyFile, readableFile, readSecret, type Surroundings } from './values.ts'
import { type Located, quote } from './yaml.ts'

export const asTransport = choice(['ssh2', 'openssh'])

const sshKeys = [
  'host',
  'port',
  'user',
  'identity_file',
  'passphrase',
  'passphrase_file',
  'known_hosts_file',
  'jump',
  'transfer',
  'config_file',
  'session',
]

/** `ssh:` of a cluster: the service's own client (ssh2), or the system's (openssh) with what its ssh_config says. */
export function sshReader(transport: 'ssh2' | 'openssh', around: Surroundings): Read<SshConfig> {
  return (node, path, report) => {
    const section = openSection(node, path, '`ssh`', sshKeys, report)
    if (section === undefined) return undefined
    return transport === 'openssh' ? readOpenssh(section, around) : readSsh2(section, around)
  }
}

function readSsh2(section: Section, around: Surroundings): Ssh2Config | undefined {
  const hosts = section.need('host', asHosts, 'Write the login node, for example `host: falcon.example.org`.')
  const port = section.read('port', asPort) ?? 22
  const user = section.need('user', asUser, 'Write the account that submits the jobs.')
  const identityFile = section.need(
    'identity_file',
    keyFile(around),
    'Write the private key, for example `identity_file: ~/.ssh/id_ed25519`.',
  )
  const passphrase = readSecret(section, 'passphrase', anySecret, around) ?? null
  const knownHostsFile = section.has('known_hosts_file')
    ? section.read('known_hosts_file', readableFile(around))
    : readableFile(around)(defaultKnownHosts(section), join(section.path, 'known_hosts_file'), section.report)
  for (const key of ['config_file', 'session'])
    if (section.has(key))
      section.complain(key, `\`${key}\` is for \`transport: openssh\`.`, 'Write that beside `ssh`, or leave it out.')
  if (hosts === undefined || user === undefined || identityFile === undefined || knownHostsFile === undefined)
    return undefined
  const [host, ...fallbacks] = hosts
  const login = { host: host!, port, user, identityFile, passphrase, knownHostsFile }
  const station = stationReader(login, around)
  const jump = section.read('jump', listOf(station)) ?? []
  const transfer = section.read('transfer', transferReader(login, around)) ?? null
  return { transport: 'ssh2', ...login, fallbacks, jump, transfer }
}

const stationKeys = ['host', 'port', 'user', 'identity_file', 'passphrase', 'passphrase_file']

/** A machine beside the login node: what it does not say is as there. Its host key stands in the same known_hosts file. */
function readStation(section: Section, login: StationConfig, around: Surroundings): StationConfig | undefined {
  const host = section.need('host', asHost, 'Write the host, for example `host: mack.example.org`.')
  const port = section.read('port', asPort) ?? 22
  const user = section.read('user', asUser) ?? login.user
  const own = section.has('identity_file') ? section.read('identity_file', keyFile(around)) : undefined
  const passphrase: SecretSource | null =
    readSecret(section, 'passphrase', anySecret, around) ?? (own === undefined ? login.passphrase : null)
  return host === undefined
    ? undefined
    : { ...login, host, port, user, identityFile: own ?? login.identityFile, passphrase }
}

function stationReader(login: StationConfig, around: Surroundings): Read<StationConfig> {
  return (node, path, report) => {
    const section = openSection(node, path, 'a jump host', stationKeys, report)
    return section === undefined ? undefined : readStation(section, login, around)
  }
}

function transferReader(login: StationConfig, around: Surroundings): Read<NonNullable<Ssh2Config['transfer']>> {
  return (node, path, report) => {
    const section = openSection(node, path, '`transfer`', [...stationKeys, 'jump'], report)
    const station = section === undefined ? undefined : readStation(section, login, around)
    const jump = section?.read('jump', listOf(stationReader(login, around))) ?? []
    return station === undefined ? undefined : { ...station, jump }
  }
}

function readOpenssh(section: Section, around: Surroundings): OpensshConfig | undefined {
  const hosts = section.need('host', asHosts, 'Write the login node, or its alias in ssh_config: `host: falcon`.')
  const port = section.read('port', asPort) ?? null
  const user = section.read('user', asUser) ?? null
  const identityFile = section.read('identity_file', keyFile(around)) ?? null
  const knownHostsFile = section.read('known_hosts_file', readableFile(around)) ?? null
  const configFile = section.read('config_file', readableFile(around)) ?? null
  const session = section.read('session', choice(['required', 'when needed'])) ?? 'when needed'
  const transfer = section.read('transfer', asTransferAlias) ?? null
  if (section.has('jump'))
    section.complain(
      'jump',
      '`jump` is for `transport: ssh2`.',
      'Write `ProxyJump` into the ssh_config of the service, or of `config_file`.',
    )
  for (const key of ['passphrase', 'passphrase_file'])
    if (section.has(key))
      section.complain(
        key,
        `\`${key}\` is for \`transport: ssh2\`.`,
        'Use an agent (`ssh-add`), or `compops connect CLUSTER`.',
      )
  for (const file of [identityFile, knownHostsFile])
    if (file?.includes('"') === true)
      section.complain('host', `ssh cannot be told of ${quote(file)}.`, 'Give the file a name without quotes.')
  if (hosts === undefined) return undefined
  const [host, ...fallbacks] = hosts
  return {
    transport: 'openssh',
    host: host!,
    fallbacks,
    ...{ port, user, identityFile, knownHostsFile, configFile, session, transfer },
  }
}

const asTransferAlias: Read<{ host: string }> = (node, path, report) => {
  const section = openSection(node, path, '`transfer` with openssh', ['host'], report)
  const host = section?.need('host', asHost, 'Write the host, or its alias in ssh_config.')
  return host === undefined ? undefined : { host }
}

/** One login node, or several of the same cluster. */
const asHosts: Read<string[]> = (node, path, report) => {
  if (node.kind !== 'list') {
    const host = asHost(node, path, report)
    return host === undefined ? undefined : [host]
  }
  const hosts = listOf(asHost)(node, path, report)
  if (hosts === undefined) return undefined
  if (node.items.length === 0) return complain(node, path, report, 'is empty', 'Name at least one login node.')
  if (new Set(hosts).size < hosts.length) return complain(node, path, report, 'names a host twice', 'Keep one.')
  return hosts.length === 0 ? undefined : hosts
}

function complain(node: Located, path: string, report: Report, what: string, remedy: string): undefined {
  report(node, path, `${nameOf(path)} ${what}.`, remedy)
}

function defaultKnownHosts({ place }: Section): Located {
  const source = '~/.ssh/known_hosts'
  return { kind: 'scalar', line: place.line, column: place.column, value: source, plain: true, source }
}
