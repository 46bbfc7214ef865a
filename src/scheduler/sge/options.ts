/** The options of qsub, sge_submit(1): how many words follow each, and which would break what the service relies on. */

const oneWord =
  'A C M N P R S a ac ar c ckpt dc e he hold_jid hold_jid_ad i j js jsv l m masterq now o ot p q r rdi sc shell sync t tc umask v w wd @ b'
const noWord = 'V clear cwd h hard help notify soft terse verify'

const counts: ReadonlyMap<string, number> = new Map([
  ...oneWord.split(' ').map(name => [name, 1] as const),
  ...noWord.split(' ').map(name => [name, 0] as const),
  ['pe', 2],
])

/** How many words belong to an option, by what stands behind it; null for one that qsub does not have. */
export function wordsOf(name: string, next: string | undefined): number | null {
  // -binding [env|pe|set] linear:4
  if (name === 'binding') return next !== undefined && ['env', 'pe', 'set'].includes(next) ? 2 : 1
  return counts.get(name) ?? null
}

const redirected = 'the job writes to a log of the service, which shows it'
const own = 'the service runs the job by a script of its own'
const answer = 'the service reads the answer of qsub'
const nothing = 'nothing would be submitted'
const comment = 'the service writes project, branch and person there'

/** With the reason a person reads. */
const never: Readonly<Record<string, string>> = {
  o: redirected,
  e: redirected,
  j: redirected,
  i: 'jobs read nothing from standard input',
  N: 'the service finds its jobs again by their name',
  t: 'write array: instead',
  tc: 'write array: instead',
  S: own,
  C: own,
  b: own,
  shell: own,
  cwd: 'a job starts in the checkout of its commit',
  wd: 'a job starts in the checkout of its commit',
  V: 'the environment of the service is not that of the job',
  v: 'write env: instead',
  hold_jid: 'dependencies are written as needs',
  hold_jid_ad: 'dependencies are written as needs',
  h: 'a job that nobody releases would wait for ever',
  r: 'write requeue: true instead',
  ac: comment,
  dc: comment,
  sc: comment,
  sync: 'the service does not wait inside qsub',
  now: 'the job waits in the queue',
  terse: answer,
  jsv: 'it would run a program on the login node',
  '@': 'options are written one by one',
  clear: "it would take the service's own options away",
  hard: 'it changes the meaning of what stands behind it',
  soft: 'it changes the meaning of what stands behind it',
  help: nothing,
  verify: nothing,
}

export function neverAllowed(name: string): string | null {
  return Object.hasOwn(never, name) ? `-${name} cannot be used: ${never[name]}` : null
}

/** Left out, these would make another computation of a batch script. */
export const essential: ReadonlySet<string> = new Set(['hold_jid', 'hold_jid_ad', 'h', 'v', 'V', 'i', 'soft', '@'])
