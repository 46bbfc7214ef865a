/** The options of qsub(1B), and which of them nobody may use, whatever a site's list says, with the reason a person reads. */

/** Letters that take a value; I, X, V, f, h and z take none. */
export const takesValue: ReadonlySet<string> = new Set('aAcCejJklmMNopPqrRSuvW')
export const takesNone: ReadonlySet<string> = new Set('IXVfhz')

const never: Readonly<Record<string, string>> = {
  N: 'the service finds its jobs again by their name',
  o: 'the job writes to a log of the service, which shows it',
  e: 'the job writes to a log of the service, which shows it',
  j: 'the job writes to a log of the service, which shows it',
  k: 'the job writes to a log of the service, which shows it',
  R: 'the job writes to a log of the service, which shows it',
  J: 'write array: instead',
  r: 'write requeue: true instead',
  S: 'the script of the service is one of bash; the batch script runs by its own #! line',
  C: 'the service writes its lines behind #PBS',
  u: 'jobs run under the account of the service',
  I: 'nobody sits in front of it',
  X: 'nobody sits in front of it',
  V: 'the environment of the service is not that of the researcher: the job has that of a login shell, and env',
  f: 'the service says itself how qsub works',
  z: 'the service reads the answer of qsub',
  h: 'a job that nobody releases would wait for ever',
}

const neverAttribute: Readonly<Record<string, string>> = {
  depend: 'dependencies are written as needs',
  block: 'the service does not wait inside qsub',
  interactive: 'nobody sits in front of it',
  sandbox: 'a job starts in the checkout of its commit',
  stagein: 'sources are brought by the service',
  stageout: 'outputs are listed by the service',
  Output_Path: 'the job writes to a log of the service, which shows it',
  Error_Path: 'the job writes to a log of the service, which shows it',
  Join_Path: 'the job writes to a log of the service, which shows it',
  Job_Name: 'the service finds its jobs again by their name',
  Rerunable: 'write requeue: true instead',
  Shell_Path_List: 'the script of the service is one of bash',
  User_List: 'jobs run under the account of the service',
  max_run_subjobs: 'write array: instead, with % and how many at once',
  pwd: 'passwords do not belong into a repository',
}

/** Why this option cannot be used; null where the site decides. `attribute` is what stands before the `=` of `-W`. */
export function neverAllowed(letter: string, attribute: string | null): string | null {
  if (Object.hasOwn(never, letter)) return `-${letter} cannot be used: ${never[letter]}`
  if (letter === 'W' && attribute !== null) {
    const name = Object.keys(neverAttribute).find(one => one.toLowerCase() === attribute.toLowerCase())
    if (name !== undefined) return `-W ${attribute} cannot be used: ${neverAttribute[name]}`
  }
  return null
}

/** Left out, these would make another computation of it. */
export function isEssential(letter: string, attribute: string | null): boolean {
  return ['h', 'a', 'I', 'v'].includes(letter) || (letter === 'W' && /^depend$/i.test(attribute ?? ''))
}
