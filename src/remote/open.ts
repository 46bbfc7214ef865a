import { userInfo } from 'node:os'
import { ConfigError } from '../errors.ts'
import { createLocalRemote } from './local.ts'
import type { Remote, RemoteEvent } from './remote.ts'
import { createSsh2Remote } from './ssh2.ts'

/** The part of a cluster's configuration that says how to reach it. */
export interface ReachOptions {
  transport?: 'ssh2' | 'openssh' | undefined
  ssh?:
    | {
        host: string
        port?: number | undefined
        user?: string | undefined
        identity_file?: string | undefined
        passphrase?: string | undefined
        known_hosts_file?: string | undefined
        jump?: readonly unknown[] | undefined
      }
    | undefined
}

/** The way to a cluster: over SSH, or this machine where `ssh` is left out. Connects only when first used. */
export function openRemote(cluster: ReachOptions, onEvent?: (event: RemoteEvent) => void): Remote {
  const { ssh, transport = 'ssh2' } = cluster
  if (ssh === undefined) return createLocalRemote()
  if (transport !== 'ssh2') {
    throw new ConfigError(`cluster at ${ssh.host}`, [
      `transport: ${transport} is not supported yet; leave it out, or say ssh2`,
    ])
  }
  return createSsh2Remote({
    host: ssh.host,
    port: ssh.port ?? 22,
    user: ssh.user ?? userInfo().username,
    identityFile: ssh.identity_file ?? '~/.ssh/id_ed25519',
    passphrase: ssh.passphrase,
    knownHostsFile: ssh.known_hosts_file ?? '~/.ssh/known_hosts',
    jump: ssh.jump,
    onEvent,
  })
}
