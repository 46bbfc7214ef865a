/** How the system's ssh is called: pure text, one place for every option. Manual pages: ssh(1), ssh_config(5). */

export interface OpensshTarget {
  /** A host, or an alias of ssh_config. */
  host: string
  /** Where left out, ssh_config and ssh's own defaults hold. */
  port?: number | undefined
  user?: string | undefined
  identityFile?: string | undefined
  knownHostsFile?: string | undefined
  /** Instead of ~/.ssh/config and the system's (`ssh -F`). */
  configFile?: string | undefined
}

/** What identifies a way to sign in: two that differ in it have control sockets of their own. */
export function identityOf(target: OpensshTarget): readonly (string | number | null)[] {
  const { host, port, user, identityFile, knownHostsFile, configFile } = target
  return [host, port, user, identityFile, knownHostsFile, configFile].map(value => value ?? null)
}

/** A machine, and how ssh is told of it: names in the directory in which ssh is started. */
export interface OpensshPlace {
  readonly target: OpensshTarget
  /** What holds on every hop (openssh-config.ts). */
  readonly config: string
  /** The master's socket. */
  readonly controlName: string
}

/** For the last machine alone. The first value of an option holds, so these win over ssh_config. */
function common({ target, config, controlName }: OpensshPlace): string[] {
  const { port, user, identityFile, knownHostsFile } = target
  const options: Record<string, string> = {
    ControlPath: controlName,
    ConnectTimeout: '20',
    ServerAliveInterval: '5',
    ServerAliveCountMax: '3',
    // What a person's ssh_config may want of an interactive login, and a service must not have.
    ClearAllForwardings: 'yes',
    ForwardAgent: 'no',
    ForwardX11: 'no',
    PermitLocalCommand: 'no',
    RemoteCommand: 'none',
    RequestTTY: 'no',
    EscapeChar: 'none',
    ...(knownHostsFile === undefined ? {} : { UserKnownHostsFile: pathValue(knownHostsFile) }),
    // With a key of its own an agent's other keys are not tried: servers count them.
    ...(identityFile === undefined ? {} : { IdentityFile: pathValue(identityFile), IdentitiesOnly: 'yes' }),
  }
  return [
    '-F',
    config,
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
  ]
}

/** A path as the value of an option: spaces would end it, and `%` begins a token. */
function pathValue(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}

/** The connection that the service keeps: never asks anybody, stays in the foreground as our child. */
export function masterArguments(place: OpensshPlace): string[] {
  const own = ['-o', 'BatchMode=yes', '-o', 'ControlMaster=yes', '-o', 'ControlPersist=no', '-N', '-T']
  return [...own, ...common(place), '--', place.target.host]
}

/** The session that a person opens: asks at the keyboard, then stays behind. */
export function sessionArguments(place: OpensshPlace): string[] {
  const own = ['-o', 'BatchMode=no', '-o', 'ControlMaster=yes', '-o', 'ControlPersist=yes', '-f', '-N', '-T']
  return [...own, ...common(place), '--', place.target.host]
}

/**
 * One command over the master. Where the master is gone ssh would sign in anew by itself; a ProxyCommand that ends at once keeps it from that, so that
 * only `masterArguments` ever connects.
 */
export function commandArguments(place: OpensshPlace, command: string): string[] {
  const own = [
    '-o',
    'BatchMode=yes',
    '-o',
    'ControlMaster=no',
    '-o',
    'ProxyCommand=false',
    '-o',
    'LogLevel=ERROR',
    '-T',
  ]
  return [...own, ...common(place), '--', place.target.host, command]
}

/** A connection for one command and nothing else. */
export function singleArguments(place: OpensshPlace, command: string): string[] {
  const own = ['-o', 'BatchMode=yes', '-o', 'ControlMaster=no', '-T']
  return [...own, ...common({ ...place, controlName: 'none' }), '--', place.target.host, command]
}

/** Ends a master: its sessions end with it. */
export function exitArguments(place: OpensshPlace): string[] {
  return ['-O', 'exit', ...common(place), '--', place.target.host]
}
