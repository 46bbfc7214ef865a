import { neverStarts } from '../../model/needs.ts'

/** Why a job waits, for people. Words from squeue(1) JOB REASON CODES and Slurm's page on resource limits. */
const words: Readonly<Record<string, string>> = {
  AccountNotAllowed: 'this account may not use the partition',
  AssociationJobLimit: 'the limit of jobs of this account is reached',
  AssociationResourceLimit: 'a resource limit of this account is reached',
  AssociationTimeLimit: 'the time limit of this account is reached',
  BadConstraints: 'no node can satisfy its constraints: it will never start as it is',
  BeginTime: 'its begin time has not come yet',
  BurstBufferOperation: 'a burst buffer operation failed',
  BurstBufferResources: 'it waits for space in the burst buffer',
  BurstBufferStageIn: 'its data are being staged into the burst buffer',
  Cleaning: 'it is being requeued, its last run is still cleaned up',
  Deadline: 'it cannot end before its deadline any more',
  DeadLine: 'its deadline has passed',
  Dependency: 'it waits for another job',
  DependencyNeverSatisfied: neverStarts,
  FedJobLock: 'it waits for the other clusters of the federation',
  FrontEndDown: 'no front end node is available',
  InactiveLimit: 'it was inactive for too long',
  InvalidAccount: 'its account is not valid',
  InvalidQOS: 'its QOS is not valid',
  JobArrayTaskLimit: 'as many tasks of its array are running as it allows itself',
  JobHeldAdmin: 'an administrator holds it',
  JobHeldUser: 'it is held by its user',
  JobLaunchFailure: 'it could not be started (a file system problem, a wrong path)',
  Licenses: 'it waits for a license',
  MaxRequeue: 'it was requeued too often',
  NodeDown: 'a node it needs is down',
  NonZeroExitCode: 'it ended with an exit code other than 0',
  NodeFailure: 'a node failed',
  OutOfMemory: 'it used more memory than it asked for',
  PartitionConfig: 'it asks for more than the partition allows (nodes, memory or time): it may never start as it is',
  PartitionDown: 'the partition is down',
  PartitionInactive: 'the partition is inactive: it starts no jobs',
  PartitionNodeLimit: 'it asks for more nodes than the partition allows, or they are down',
  PartitionTimeLimit: "its time limit is longer than the partition's: it will not start as it is",
  Preempted: 'it was preempted',
  Priority: 'other jobs have a higher priority',
  Prolog: 'the prolog of the node is still running',
  QOSJobLimit: 'the limit of jobs of this QOS is reached',
  QOSNotAllowed: 'this QOS may not be used here',
  QOSResourceLimit: 'a resource limit of this QOS is reached',
  QOSTimeLimit: 'the time limit of this QOS is reached',
  QOSUsageThreshold: 'the usage factor of this QOS is too low',
  ReqNodeNotAvail: 'a node it needs is not available (in use, reserved, down or drained)',
  Reservation: 'it waits for its reservation to begin',
  ReservationDeleted: 'its reservation was deleted',
  Resources: 'it waits for resources to become free',
  SchedDefer: 'the scheduler put it off',
  SystemFailure: 'a failure of Slurm, a file system or the network',
  TimeLimit: 'it reached its time limit',
  WaitingForScheduling: 'the scheduler has not looked at it yet',
}

const resources: readonly (readonly [RegExp, string])[] = [
  [/^C(?:PU|pu)RunMin(?:ute)?s?$/i, 'CPU minutes of running jobs'],
  [/^C(?:PU|pu)Min(?:ute)?s?$/i, 'CPU minutes'],
  [/^(?:Billing|BB|Energy|License|Mem(?:ory)?|GRES|Unknown)RunMin(?:ute)?s?$/i, 'resource minutes of running jobs'],
  [/^(?:Billing|BB|Energy|License|Mem(?:ory)?|GRES|Node|Unknown)Min(?:ute)?s?$/i, 'resource minutes'],
  [/^Cpus?$/i, 'CPUs'],
  [/^Mem(?:ory)?$/i, 'memory'],
  [/^Nodes?$/i, 'nodes'],
  [/^GRES$/i, 'generic resources such as GPUs'],
  [/^Jobs?$/i, 'running jobs'],
  [/^Submit(?:Jobs?)?$/i, 'submitted jobs'],
  [/^Wall(?:Duration)?$/i, 'wall time'],
  [/^Energy$/i, 'energy'],
  [/^Licenses?$/i, 'licenses'],
  [/^BB$/i, 'burst buffer space'],
  [/^Billing$/i, 'billing units'],
  [/^Unknown$/i, 'some resource'],
]

const per: Readonly<Record<string, string>> = {
  User: ' per user',
  Account: ' per account',
  Acct: ' per account',
  Node: ' per node',
}

/** The reason in words; a word we do not know stands as it is. `ReqNodeNotAvail, UnavailableNodes:n4` names the nodes. */
export function reasonInWords(reason: string): string {
  const [word = '', ...details] = reason.split(/[,(]/)
  const known = Object.hasOwn(words, word.trim()) ? words[word.trim()] : (limitInWords(word.trim()) ?? word.trim())
  // squeue(1), JOB REASON CODES; printed as `ReqNodeNotAvail, Reserved for maintenance`.
  if (/Reserved for maintenance/i.test(reason))
    return 'its time would reach into a reservation for maintenance: it starts after that, or before with a shorter `time`'
  const nodes = details.map(detail => /^\s*_?Unavailable_?Nodes:(.+?)\)?\s*$/.exec(detail)?.[1]).find(Boolean)
  return nodes === undefined ? known! : `${known}: ${nodes}`
}

/** `QOSMaxCpuPerUserLimit`, `AssocGrpMemLimit`, …: forty-odd words made of four parts. */
function limitInWords(word: string): string | null {
  const found = /^(QOS|Assoc)(Grp|Max|Min)(\w+?)(?:Per(Job|User|Account|Acct|Node))?(?:Limit)?$/.exec(word)
  if (found === null) return null
  const [, whose, kind, what = '', each] = found
  const of = whose === 'QOS' ? 'this QOS' : 'this account'
  const thing = resources.find(([pattern]) => pattern.test(what))?.[1]
  if (thing === undefined) return null
  if (kind === 'Min') return `it asks for less than the least ${thing} of ${of}: it will not start as it is`
  if (each === 'Job' || (kind === 'Max' && each === undefined && thing === 'wall time'))
    return `it asks for more ${thing} than ${of} allows one job: it will not start as it is`
  if (kind === 'Grp') return `the limit of ${thing} of ${of}, all its jobs together, is reached`
  return `the limit of ${thing}${each === undefined ? '' : per[each]} of ${of} is reached`
}
