import { join } from 'node:path'
import type { ClusterConfig, Config, RunAs, Ssh2Config, StationConfig } from './config/index.ts'
import type { WayIn } from './remote/open.ts'
import { type Session, sessionsOf } from './remote/session.ts'

export type { Session } from './remote/session.ts'

/** How an account on a cluster is reached, as the configuration says. */
export interface Ways {
  readonly login: WayIn
  /** Where large data go; null: the login node. */
  readonly transfer: WayIn | null
  /** Several login nodes, of which any may be the next. */
  readonly nodes: number
}

/** `runAs`: a project's own account instead of the cluster's. */
export function waysInto(
  { dataDir }: Pick<Config, 'dataDir'>,
  { name, ssh }: Pick<ClusterConfig, 'name' | 'ssh'>,
  runAs: RunAs | null,
): Ways {
  if (ssh === null) return { login: { by: 'here' }, transfer: null, nodes: 1 }
  const nodes = 1 + ssh.fallbacks.length
  if (ssh.transport === 'openssh') {
    const connection = runAs === null ? name : `${name}#${runAs.user}`
    const login = {
      by: 'openssh' as const,
      host: ssh.host,
      port: ssh.port ?? undefined,
      user: runAs?.user ?? ssh.user ?? undefined,
      identityFile: runAs?.identityFile ?? ssh.identityFile ?? undefined,
      knownHostsFile: ssh.knownHostsFile ?? undefined,
      configFile: ssh.configFile ?? undefined,
      controlDir: join(dataDir, 'ssh'),
      sessionRequired: ssh.session === 'required',
      cluster: name,
      renew: `\`compops connect ${connection}\``,
    }
    const transfer = ssh.transfer === null ? null : { ...login, ...ssh.transfer, fallbacks: [] }
    return { login: { ...login, fallbacks: ssh.fallbacks }, transfer, nodes }
  }
  const signIn = (station: StationConfig) => ({
    ...readStation(station),
    ...(runAs === null
      ? {}
      : { user: runAs.user, identityFile: runAs.identityFile, passphrase: lastOf(runAs.passphrase) }),
  })
  return {
    login: {
      by: 'ssh2',
      ...signIn(ssh),
      fallbacks: ssh.fallbacks.map(host => ({ host, port: ssh.port })),
      jump: ssh.jump.map(readStation),
    },
    transfer:
      ssh.transfer === null ? null : { by: 'ssh2', ...signIn(ssh.transfer), jump: ssh.transfer.jump.map(readStation) },
    nodes,
  }
}

function readStation({ host, port, user, identityFile, passphrase, knownHostsFile }: StationConfig) {
  return { host, port, user, identityFile, passphrase: lastOf(passphrase), knownHostsFile }
}

function lastOf(secret: Ssh2Config['passphrase']): string | undefined {
  return secret?.values().at(-1)
}

/**
 * The sessions that a person may open for an account: for each machine that must be signed in to, one of several login nodes. Null where the service signs
 * in by itself.
 */
export function sessionsInto({ login, transfer }: Ways): readonly (readonly Session[])[] | null {
  const places = [login, transfer].flatMap(way => (way?.by === 'openssh' ? [sessionsOf(way)] : []))
  return places.length === 0 ? null : places
}
