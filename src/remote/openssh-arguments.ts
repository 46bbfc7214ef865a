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

/** The first value of an option holds, so these win over ssh_config. */
function common(target: OpensshTarget, controlName: string): string[] {
  const { port, user, identityFile, knownHostsFile, configFile } = target
  const options: Record<string, string> = {
    // A host key that is not known is refused, in the service and at the keyboard.
    StrictHostKeyChecking: 'yes',
    UpdateHostKeys: 'no',
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
    ...(configFile === undefined ? [] : ['-F', configFile]),
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
export function masterArguments(target: OpensshTarget, controlName: string): string[] {
  const own = ['-o', 'BatchMode=yes', '-o', 'ControlMaster=yes', '-o', 'ControlPersist=no', '-N', '-T']
  return [...own, ...common(target, controlName), '--', target.host]
}

/** The session that a person opens: asks at the keyboard, then stays behind. */
export function sessionArguments(target: OpensshTarget, controlName: string): string[] {
  const own = ['-o', 'BatchMode=no', '-o', 'ControlMaster=yes', '-o', 'ControlPersist=yes', '-f', '-N', '-T']
  return [...own, ...common(target, controlName), '--', target.host]
}

/**
 * One command over the master. Where the master is gone ssh would sign in anew by itself; a ProxyCommand that ends at once keeps it from that, so that
 * only `masterArguments` ever connects.
 */
export function commandArguments(target: OpensshTarget, controlName: string, command: string): string[] {
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
  return [...own, ...common(target, controlName), '--', target.host, command]
}

/** A connection for one command and nothing else. */
export function singleArguments(target: OpensshTarget, command: string): string[] {
  const own = ['-o', 'BatchMode=yes', '-o', 'ControlMaster=no', '-T']
  return [...own, ...common(target, 'none'), '--', target.host, command]
}

/** Ends a master: its sessions end with it. */
export function exitArguments(target: OpensshTarget, controlName: string): string[] {
  return ['-O', 'exit', ...common(target, controlName), '--', target.host]
}
