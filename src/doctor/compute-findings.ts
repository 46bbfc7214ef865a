import type { JobState } from '../model/job-state.ts'
import { type Finding, findingsAbout, type Say } from './finding.ts'

/** What one tiny job on a compute node came to. */
export interface ComputeSeen {
  readonly nativeId: string | null
  /** Why it was not accepted, in the scheduler's words. */
  readonly refused: string | null
  /** It had not ended when nobody would wait any longer: why it waits, or nothing. */
  readonly waited: string | null
  /** Why it could not be followed. */
  readonly failed: string | null
  readonly ended: { readonly state: JobState; readonly message: string | null } | null
  /** What it wrote down; null where there is no such file. */
  readonly text: string | null
  /** The end of its log, where it did not come to its end. */
  readonly log: string
  /** Seconds that the node's clock is ahead of ours, as far as that is certain. */
  readonly clockAhead: number
  /** What could not be removed again; null where all is gone. */
  readonly left: string | null
}

export interface ComputeToConclude {
  readonly name: string
  readonly scheduler: string
  readonly root: string
  readonly word: string
  readonly modules: readonly string[]
  readonly seen: ComputeSeen
}

/** What the answers of a compute node mean. Pure. */
export function concludeCompute(compute: ComputeToConclude): Finding[] {
  return findingsAbout(compute.name, say => {
    concludeJob(compute, say)
    const { left } = compute.seen
    if (left !== null) say('warn', 'trial', `${left}.`, 'Remove it by hand.')
  })
}

function concludeJob({ seen, root, word, modules }: ComputeToConclude, say: Say): void {
  if (seen.failed !== null) {
    say(
      'error',
      'compute',
      `The trial could not be followed: ${seen.failed}.`,
      'Look at what `compops doctor` says of the cluster itself.',
    )
    return
  }
  if (seen.refused !== null) {
    say(
      'error',
      'compute',
      `A tiny job was not accepted: ${seen.refused}.`,
      'Look at `defaults` of the cluster (partition, account, qos, time) and at the rights of the account.',
    )
    return
  }
  if (seen.waited !== null) {
    say(
      'warn',
      'compute',
      `Job ${seen.nativeId} had not ended when the wait was over${seen.waited === '' ? '' : `: ${seen.waited}`}. It was cancelled.`,
      'Ask again when the queue is shorter, or wait longer: `--wait 1h`.',
    )
    return
  }
  const values = readSeen(seen.text ?? '')
  const value = (key: string) => values.find(one => one.key === key)?.value ?? ''
  if (!values.some(one => one.key === 'end')) {
    concludeBroken(seen, root, say)
    return
  }
  const where = `${value('node')} (job ${seen.nativeId})`
  if (seen.ended?.state === 'completed') say('ok', 'compute', `A tiny job ran on ${where}.`)
  else
    say(
      'error',
      'compute',
      `A tiny job ran on ${where} to its end, but counts as ${seen.ended?.state ?? 'unknown'}: ${seen.ended?.message ?? 'it is not said why'}.`,
      'What the scheduler or its accounting says to the contrary would fail every job.',
    )
  if (value('word') === word) say('ok', 'compute root', `The node sees ${root}.`)
  else
    say(
      'error',
      'compute root',
      `The node does not see the same ${root} as the login node: another file stands where ours should.`,
      'Name a file system as `root` that login and compute nodes share.',
    )
  say('ok', 'compute shell', `bash ${value('shell')} runs there.`)
  const missing = values.filter(one => one.key === 'missing').map(one => one.value)
  if (missing.length > 0)
    say(
      'error',
      'compute tools',
      `Missing on the node: ${missing.join(', ')}.`,
      'Install them on the compute nodes too.',
    )
  else say('ok', 'compute tools', 'All tools that jobs need are there.')
  const offset = Math.abs(seen.clockAhead)
  if (offset >= 5)
    say(
      offset > 300 ? 'error' : 'warn',
      'compute clock',
      `The clock of the node is at least ${offset} s ${seen.clockAhead > 0 ? 'ahead of' : 'behind'} ours.`,
      'Let login and compute nodes follow NTP (chronyc tracking, timedatectl): make and certificates disagree otherwise.',
    )
  else say('ok', 'compute clock', 'Nothing speaks against its clock.')
  for (const name of modules) concludeModule(name, values, value('loaded'), say)
}

/** The wrapper says most of it: a job that came to no line of ours saw no root, no bash, or no time. */
function concludeBroken(seen: ComputeSeen, root: string, say: Say): void {
  const words = seen.log.replace(/\s+/g, ' ').trim().slice(-300)
  const ended =
    seen.ended === null ? '' : `${seen.ended.state}${seen.ended.message === null ? '' : `, ${seen.ended.message}`}`
  say(
    'error',
    'compute',
    `Job ${seen.nativeId} ended (${ended}) and left no answer${words === '' ? '' : `; its log ends: “${words}”`}.`,
    seen.text === null
      ? `Do compute nodes mount ${root}, may the account write there, and is there a /bin/bash? Look into the scheduler's own log of the job.`
      : 'It began to answer and was ended: look at the time limit of the partition and at the prolog and epilog of the site.',
  )
}

interface Line {
  readonly key: string
  readonly value: string
}

function readSeen(text: string): Line[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const key = line.split(' ', 1)[0]!
      return { key, value: line.slice(key.length + 1).trim() }
    })
}

function concludeModule(name: string, values: readonly Line[], loaded: string, say: Say): void {
  const line = values.find(one => one.key === 'module' && one.value.split(' ', 1)[0] === name)?.value ?? ''
  const [, how = '', ...words] = line.split(' ')
  const said = words.join(' ').trim()
  const check = `module ${name}`
  if (how === 'loaded') {
    const full = loaded.split(':').find(one => one === name || one.startsWith(`${name}/`))
    say(
      'ok',
      check,
      `${full === undefined || full === name ? 'It loads' : `It loads as ${full}`}${said === '' ? '.' : `; the module system says: “${said}”`}`,
    )
    return
  }
  say(
    'error',
    check,
    how === 'absent'
      ? 'There is no `module` command on the compute node, in a login shell.'
      : `It does not load${said === '' ? ', and the module system does not say why.' : `. The module system says: “${said}”`}`,
    how === 'absent'
      ? 'Is Lmod or Environment Modules installed there, and set up in /etc/profile.d?'
      : 'Try `module spider` or `module avail` there; modules are loaded in the order in which you name them, and some need another before them.',
  )
}
