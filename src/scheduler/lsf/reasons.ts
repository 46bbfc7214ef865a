import { neverStarts } from '../../model/needs.ts'

/** Why a job waits or stands still, for people. LSF says it in sentences already; some need an explanation, and all end in `: 4 hosts;`. */
const explained: Readonly<Record<string, string>> = {
  'New job is waiting for scheduling': 'the scheduler has not looked at it yet',
  'Job has been requeued': 'it is to start again',
  'Job dependency condition not satisfied': 'it waits for another job',
  'Dependency condition invalid or never satisfied': neverStarts,
  'Job slot limit reached': 'no slot is free',
  'The job array has reached its job slot limit': 'as many tasks of its array are running as it allows itself',
  "Job's resource requirements not satisfied": 'no host has what it asks for at present',
  "Job's resource requirement not satisfied": 'no host has what it asks for at present',
  'Job requirements for reserving resource (mem) not satisfied': 'no host has that much memory free',
  "Job's requirement for exclusive execution not satisfied": 'no host is empty',
  'Not enough slots or resources for whole duration of the job': 'no host is free for as long as it asks for',
  'Not enough job slot(s)': 'no slot is free',
  "Not enough hosts to meet the job's spanning requirement": 'not enough hosts are free at once',
  'The job was suspended by the user while pending': 'it is held by its user',
  'The job was suspended by user': 'it is suspended by its user',
  'The job was suspended by LSF admin or root': 'it is suspended by an administrator',
  'Job was suspended by LSF admin or root while pending': 'it is held by an administrator',
  "The job's pre-exec command exited with non-zero status": 'the command that must succeed before it (-E) fails',
  'Waiting for re-scheduling after switching queue': 'it was moved to another queue',
  'Waiting for re-scheduling after being resumed by user': 'it was resumed and waits for its turn',
  'Waiting for re-scheduling after parameters have been changed': 'it was changed and waits for its turn',
  'The run windows of the queue are closed': "the queue's hours are over: it goes on when they come again",
  "The queue's pre-exec command exited with non-zero status": "the queue's own preparation fails",
  'The queue is inactivated by LSF administrator': 'the queue is inactive: it starts no jobs',
  'The queue is inactivated by its time windows': "the queue's hours are over: it starts no jobs",
  'The queue has reached its job slot limit': 'as many slots of the queue are taken as it may use',
  'The user has reached his/her job slot limit': 'as many slots are taken as this account may use',
  'User has reached the per-user job slot limit of the queue':
    'as many slots are taken as this account may use in the queue',
  'Closed by LSF administrator': 'hosts are closed by an administrator',
  'Host is full': 'the hosts are full',
  'Load information unavailable': 'hosts do not answer',
  'Unable to reach slave batch server': 'hosts do not answer',
  'Unable to reach slave lsbatch server': 'hosts do not answer',
  'Job will be scheduled after': 'its begin time has not come yet',
  "Job's begin time": 'its begin time has not come yet',
}

/** `Job slot limit reached: 3 hosts; Closed by LSF administrator: 1 host;`: each part in words, what we do not know as it stands. */
export function reasonInWords(reason: string): string {
  const parts = reason
    .split(';')
    .map(part =>
      part
        .trim()
        .replace(/: \d+ hosts?$/, '')
        .replace(/\.$/, ''),
    )
    .filter(part => part !== '' && !/^\(exit code \d+\)$/.test(part))
    .map(part => (Object.hasOwn(explained, part) ? explained[part]! : part))
  return [...new Set(parts)].slice(0, 3).join('; ') || reason
}
