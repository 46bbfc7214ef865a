import { type FakeScheduler, startFakeScheduler } from './fake-scheduler.ts'

/** What it can be told stands in fake-lsf/common.sh. */
export type FakeLsf = FakeScheduler

export function startFakeLsf(): FakeLsf {
  return startFakeScheduler({
    name: 'fake-lsf',
    commands: ['bsub', 'bjobs', 'bhist', 'bacct', 'bkill', 'bparams', 'lsid'],
    jobEnv: id => ({ LSB_JOBID: id, LSB_JOBINDEX: '0', LSB_HOSTS: 'n1' }),
  })
}
