/** The options of bsub(1), so that a line can be read as bsub reads it, and those that no site can allow. */

/** IBM Spectrum LSF 10.1; those of LSF-compatible systems are among them. Every other option takes a value. */
const withoutValue: ReadonlySet<string> = new Set(
  'B H h hl I Ip Is ISp ISs IS IX K N Ne Nd p r rn ti tI V Zs x X'.split(' '),
)

export function takesValue(flag: string): boolean {
  return !withoutValue.has(flag)
}

/** Left out, these would make another computation of it. */
export const essential: ReadonlySet<string> = new Set([
  'w',
  'H',
  'b',
  'pack',
  'clusters',
  'json',
  'yaml',
  'jsdl',
  'jsdl_strict',
])

const log = 'the job writes to a log of the service, which shows it'
const interactive = 'jobs run by themselves, without a terminal'
const whole = 'what runs is said by script or file'
const never: Readonly<Record<string, string>> = {
  J: 'the service finds its jobs again by their name',
  Jd: 'the service writes project, branch and person there',
  o: log,
  oo: log,
  e: log,
  eo: log,
  outdir: log,
  i: 'jobs read nothing from standard input',
  is: 'jobs read nothing from standard input',
  I: interactive,
  Ip: interactive,
  Is: interactive,
  IS: interactive,
  ISp: interactive,
  ISs: interactive,
  IX: interactive,
  XF: interactive,
  K: 'the service does not wait inside bsub',
  H: 'a job that nobody releases would wait for ever',
  w: 'dependencies are written as needs',
  ti: 'dependencies are written as needs',
  tI: 'dependencies are written as needs',
  r: 'write requeue: true instead',
  rn: 'it is the default; requeue: true switches it off',
  Q: 'write requeue: true instead',
  cwd: 'a job starts in the checkout of its commit',
  env: 'it would replace the environment that the job needs',
  L: 'the script is a login shell already',
  clusters: 'write cluster: instead; the id of a job on another cluster would not be found again',
  pack: whole,
  json: whole,
  yaml: whole,
  jsdl: whole,
  jsdl_strict: whole,
  jsm: whole,
  Zs: whole,
  h: 'nothing would be submitted',
  V: 'nothing would be submitted',
}

export function neverAllowed(flag: string): string | null {
  return Object.hasOwn(never, flag) ? `-${flag} cannot be used: ${never[flag]}` : null
}
