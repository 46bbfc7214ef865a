import type { Examined } from '../cluster/contract.ts'
import { type Finding, findingsAbout, type Say } from './finding.ts'

export interface ClusterToConclude {
  readonly name: string
  readonly scheduler: string
  readonly root: string
  readonly maxSubmitted: number
  readonly seen: Examined
}

const gib = 1024 ** 3

/** What a look around a cluster means. Pure. */
export function concludeCluster(cluster: ClusterToConclude): Finding[] {
  return findingsAbout(cluster.name, say => {
    const { unreachable } = cluster.seen
    if (unreachable !== null) return concludeUnreachable(unreachable.error, unreachable.transient, say)
    concludePlace(cluster, say)
    concludeScheduler(cluster, say)
    concludeSessions(cluster.seen.sessions, say)
  })
}

function concludeUnreachable(error: string, transient: boolean, say: Say): void {
  const hostKey = /host key/i.test(error)
  const remedy = hostKey
    ? undefined
    : /needs a new session/.test(error)
      ? 'Run it as the user of the service, on this machine: it asks whatever the site asks.'
      : /refused (us|the key|this key)|sign|publickey|authentication/i.test(error)
        ? "Put the public key into the account's ~/.ssh/authorized_keys there, and look at `ssh.user` and `ssh.identity_file`."
        : transient
          ? 'Try `ssh` by hand from this machine as the user of the service: address, port, firewall, jump host.'
          : 'Set right what it says; the service tries again by itself.'
  say('error', hostKey ? 'host key' : 'ssh', `Cannot be reached: ${error}.`, remedy)
}

function concludePlace({ seen, root }: ClusterToConclude, say: Say): void {
  const { place } = seen
  if (place === null) return
  say('ok', 'ssh', `${place.user} on ${place.host} answers, a program takes ${place.ms} ms.`)
  if (place.ms > 3_000)
    say(
      'warn',
      'start files',
      `Each program takes ${(place.ms / 1000).toFixed(1)} s before it has done anything.`,
      "Shorten the account's start files (~/.bashrc, /etc/profile.d): they run before each command.",
    )
  if (place.loginSeconds >= 5)
    say(
      'warn',
      'start files',
      `A login shell takes ${place.loginSeconds < 20 ? `${place.loginSeconds} s` : '20 s or more'} to come up, and each job begins with one.`,
      "Shorten the account's start files (~/.bash_profile, ~/.bashrc, /etc/profile.d). Tools that set up environments may wait there for a lock that a killed shell has left behind.",
    )
  if (place.printed !== '')
    say(
      'warn',
      'start files',
      `The start files of the account print: “${place.printed.slice(0, 120)}”. We cut it off; scp, rsync and git over this account fail of it.`,
      "In ~/.bashrc (or the shell's own) leave early where nobody is at the keyboard: `case $- in *i*) ;; *) return ;; esac`.",
    )
  const shell = place.shell.split('/').at(-1) ?? ''
  say('ok', 'login shell', `The login shell is ${shell === '' ? 'not told' : shell}.`)
  if (place.bash === '')
    say(
      'error',
      'bash',
      'There is no /bin/bash: our job scripts cannot run.',
      'Install bash 4.2 or later on login and compute nodes.',
    )
  else if (!atLeast(place.bash, 4, 2))
    say(
      'error',
      'bash',
      `/bin/bash is ${place.bash}: job scripts need 4.2.`,
      'Install a newer bash on login and compute nodes.',
    )
  else say('ok', 'bash', `bash ${place.bash}.`)
  if (place.missingTools.length > 0)
    say(
      'error',
      'tools',
      `Missing there: ${place.missingTools.join(', ')}.`,
      'Install them (coreutils, findutils, tar, gawk), or name their directory in `path` of the cluster.',
    )
  const offset = Math.abs(place.clockAhead)
  if (offset >= 5)
    say(
      offset > 300 ? 'error' : 'warn',
      'clock',
      `Its clock is ${offset} s ${place.clockAhead > 0 ? 'ahead of' : 'behind'} ours. Times are turned into ours, but logs, make and certificates there will disagree.`,
      'Let both machines follow NTP (chronyc tracking, timedatectl).',
    )
  else say('ok', 'clock', 'Its clock agrees with ours.')
  concludeRoot(place, root, say)
}

function concludeRoot(place: NonNullable<Examined['place']>, root: string, say: Say): void {
  if (place.root.state === 'refused')
    say(
      'error',
      'root',
      `${root} cannot be written: ${place.root.said}.`,
      `Make it, owned by ${place.user}: mkdir -p ${root} && chown ${place.user} ${root}; or look at quota and mount.`,
    )
  else if (place.root.state === 'absent') say('ok', 'root', `${root} is not there yet; it is made with the first run.`)
  else say('ok', 'root', `${root} can be written.`)
  if (place.openToAll)
    say(
      'error',
      'root',
      `Everybody on the cluster may write into ${root}: whoever does can forge results.`,
      `chmod o-w ${root}`,
    )
  if (place.quota !== '')
    say(
      'error',
      'quota',
      `A quota is exceeded: ${place.quota.slice(0, 160)}`,
      'Remove old run directories, or ask for more.',
    )
  if (place.freeBytes !== null) {
    const free = `${(place.freeBytes / gib).toFixed(1)} GiB are free under ${root}.`
    const share = place.sizeBytes === null || place.sizeBytes === 0 ? 1 : place.freeBytes / place.sizeBytes
    if (place.freeBytes < gib / 4) say('error', 'space', free, 'Make room: results could not be written.')
    else if (place.freeBytes < 5 * gib || share < 0.02) say('warn', 'space', free, 'Make room before it is full.')
    else say('ok', 'space', free)
  }
}

function concludeScheduler({ seen, scheduler, maxSubmitted }: ClusterToConclude, say: Say): void {
  const { facts, queue, submission } = seen
  if (facts !== null && 'error' in facts)
    say(
      'error',
      'scheduler',
      `The scheduler does not tell about itself: ${facts.error}.`,
      'Are its commands on PATH for a shell without start files? Else name their directory in `path` of the cluster. Is its controller up?',
    )
  else if (facts !== null) {
    say('ok', 'scheduler', `${facts.version}.`)
    if (scheduler !== 'local' && !facts.accounting)
      say(
        'warn',
        'accounting',
        'It keeps no accounting: why a job ended is known only as long as the queue remembers it.',
        `Ask for it where the site can (slurmdbd of Slurm, job_history_enable of PBS); until then the queue should remember ended jobs (now ${facts.remembers} s) for minutes.`,
      )
    else if (facts.accounting) say('ok', 'accounting', 'Accounting answers.')
    if (facts.maxArraySize !== null && maxSubmitted > 10 * facts.maxArraySize)
      say('warn', 'limits', `An array may have ${facts.maxArraySize} tasks there.`, 'Larger ones are split.')
  }
  if (queue !== null && queue !== 'whole')
    say(
      'error',
      'queue',
      `The queue cannot be read: ${queue.error}.`,
      'Without it no job changes state. Is the controller up?',
    )
  else if (queue === 'whole') say('ok', 'queue', 'The queue can be read.')
  if (submission === null) return
  if (submission.accepted) say('ok', 'submission', 'The scheduler would take a job with the defaults of the cluster.')
  else
    say(
      'error',
      'submission',
      `The scheduler would not take a job with the defaults of the cluster: ${submission.said || 'it does not say why'}.`,
      'Look at `defaults` of the cluster (partition, account, qos, time) and at the rights of the account.',
    )
}

function concludeSessions(sessions: number | null, say: Say): void {
  if (sessions === null) return
  if (sessions >= 4) say('ok', 'sessions', 'Four programs run side by side over one connection.')
  else
    say(
      'warn',
      'sessions',
      `Only ${sessions === 0 ? 'one program runs' : `${sessions} of four programs ran`} at a time over one connection: a submission waits behind a poll.`,
      'Ask for `MaxSessions 10` in sshd_config of the login node, as OpenSSH has it by default.',
    )
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a > major || (a === major && b >= minor)
}
