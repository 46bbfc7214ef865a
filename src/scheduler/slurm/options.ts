/** The options of sbatch(1), so that a line can be read as sbatch reads it: which take a value, which letters stand for which. */

export interface SlurmOption {
  readonly name: string
  readonly letter: string | null
  readonly value: 'required' | 'optional' | 'none'
}

const required: readonly string[] = [
  'account A',
  'acctg-freq',
  'array a',
  'batch',
  'bb',
  'bbf',
  'begin b',
  'chdir D',
  'cluster-constraint',
  'clusters M',
  'comment',
  'constraint C',
  'consolidate-segments',
  'container',
  'container-id',
  'core-spec S',
  'cores-per-socket',
  'cpu-freq',
  'cpus-per-gpu',
  'cpus-per-task c',
  'deadline',
  'delay-boot',
  'dependency d',
  'distribution m',
  'error e',
  'exclude x',
  'export',
  'export-file',
  'extra',
  'extra-node-info B',
  'gid',
  'gpu-bind',
  'gpu-freq',
  'gpus G',
  'gpus-per-node',
  'gpus-per-socket',
  'gpus-per-task',
  'gres',
  'gres-flags',
  'hint',
  'input i',
  'job-name J',
  'kill-on-invalid-dep',
  'licenses L',
  'mail-type',
  'mail-user',
  'mcs-label',
  'mem',
  'mem-bind',
  'mem-per-cpu',
  'mem-per-gpu',
  'mincpus',
  'network',
  'nodefile F',
  'nodelist w',
  'nodes N',
  'ntasks n',
  'ntasks-per-core',
  'ntasks-per-gpu',
  'ntasks-per-node',
  'ntasks-per-socket',
  'open-mode',
  'output o',
  'oom-kill-step',
  'partition p',
  'power',
  'prefer',
  'priority',
  'profile',
  'qos q',
  'reservation',
  'resources',
  'resv-ports',
  'segment',
  'signal',
  'sockets-per-node',
  'switches',
  'thread-spec',
  'threads-per-core',
  'time t',
  'time-min',
  'tmp',
  'tres-bind',
  'tres-per-task',
  'uid',
  'wait-all-nodes',
  'wckey',
  'wrap',
] // prettier-ignore
const optional: readonly string[] = ['exclusive', 'get-user-env', 'nice', 'no-kill k', 'propagate', 'requeue-after']
const none: readonly string[] = [
  'contiguous',
  'help h',
  'hold H',
  'ignore-pbs',
  'no-requeue',
  'overcommit O',
  'oversubscribe s',
  'parsable',
  'quiet Q',
  'reboot',
  'requeue',
  'spread-job',
  'stepmgr',
  'test-only',
  'usage',
  'use-min-nodes',
  'verbose v',
  'version V',
  'wait W',
] // prettier-ignore

function options(lines: readonly string[], value: SlurmOption['value']): SlurmOption[] {
  return lines.map(line => {
    const [name = '', letter = null] = line.split(' ')
    return { name, letter, value }
  })
}

const all = [...options(required, 'required'), ...options(optional, 'optional'), ...options(none, 'none')]
export const optionByName: ReadonlyMap<string, SlurmOption> = new Map(all.map(option => [option.name, option]))
export const optionByLetter: ReadonlyMap<string, SlurmOption> = new Map(
  all.filter(option => option.letter !== null).map(option => [option.letter!, option]),
)

/** Options that would break what the service relies on, whatever a site's list says, with the reason a person reads. */
const never: Readonly<Record<string, string>> = {
  output: 'the job writes to a log of the service, which shows it',
  error: 'the job writes to a log of the service, which shows it',
  input: 'jobs read nothing from standard input',
  'open-mode': 'the service redirects output itself',
  'job-name': 'the service finds its jobs again by their name',
  array: 'write array: instead',
  wrap: 'what runs is said by script or file',
  parsable: 'the service reads the answer of sbatch',
  quiet: 'the service reads the answer of sbatch',
  verbose: 'the service reads the answer of sbatch',
  wait: 'the service does not wait inside sbatch',
  'export-file': 'it would replace the environment that the job needs',
  chdir: 'a job starts in the checkout of its commit',
  dependency: 'dependencies are written as needs',
  'kill-on-invalid-dep': 'dependencies are written as needs',
  requeue: 'write requeue: true instead',
  'no-requeue': 'it is the default; requeue: true switches it off',
  'requeue-after': 'write requeue: true instead',
  'test-only': 'nothing would be submitted',
  'get-user-env': 'the script is a login shell already',
  uid: 'jobs run under the account of the service',
  gid: 'jobs run under the account of the service',
  clusters: 'write cluster: instead; the id of a job on another cluster would not be found again',
  comment: 'the service writes project, branch and person there',
  hold: 'a job that nobody releases would wait for ever',
  help: 'nothing would be submitted',
  usage: 'nothing would be submitted',
  version: 'nothing would be submitted',
}

/** sbatch takes any beginning of a long option for the option (getopt_long(3)), so `--outp` is `--output`. */
export function neverAllowed(name: string): string | null {
  if (Object.hasOwn(never, name)) return `--${name} cannot be used: ${never[name]}`
  if (optionByName.has(name)) return null
  const meant = Object.keys(never).find(option => option.startsWith(name))
  return meant === undefined ? null : `--${name} stands for --${meant}, which cannot be used: ${never[meant]}`
}
