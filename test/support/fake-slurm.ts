import { type FakeScheduler, startFakeScheduler } from './fake-scheduler.ts'

/** What it can be told stands in fake-slurm/common.sh. */
export type FakeSlurm = FakeScheduler

export function startFakeSlurm(): FakeSlurm {
  return startFakeScheduler({
    name: 'fake-slurm',
    commands: ['sbatch', 'squeue', 'sacct', 'scontrol', 'scancel', 'sinfo', 'date'],
    jobEnv: id => ({ SLURM_JOB_ID: id, SLURM_JOB_NODELIST: 'n1' }),
  })
}
