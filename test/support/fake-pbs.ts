import { type FakeScheduler, startFakeScheduler } from './fake-scheduler.ts'

/** What it can be told stands in fake-pbs/common.sh. Ids are numbers, without the server's name, which is `fake`. */
export type FakePbs = FakeScheduler

export function startFakePbs(): FakePbs {
  return startFakeScheduler({ name: 'fake-pbs', commands: ['qsub', 'qstat', 'qselect', 'qdel', 'date'] })
}
