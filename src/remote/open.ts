import { createLocalRemote } from './local.ts'
import { createOpensshRemote } from './openssh.ts'
import type { Remote, RemoteEvent } from './remote.ts'
import { createSsh2Remote, type Ssh2Options, type Station } from './ssh2.ts'

/** How a machine is reached, by the service's own SSH client or by the system's. Without either: it is this one. */
export type WayIn =
  | { by: 'here' }
  | ({ by: 'ssh2' } & Pick<Ssh2Options, keyof Station | 'fallbacks' | 'jump'>)
  | ({ by: 'openssh' } & Omit<Parameters<typeof createOpensshRemote>[0], 'onEvent' | 'backOff' | 'connectTimeout'>)

/** The way to a cluster. Connects only when first used. */
export function openRemote(way: WayIn, onEvent?: (event: RemoteEvent) => void): Remote {
  switch (way.by) {
    case 'here':
      return createLocalRemote()
    case 'ssh2':
      return createSsh2Remote({ ...way, onEvent })
    case 'openssh':
      return createOpensshRemote({ ...way, onEvent })
  }
}
