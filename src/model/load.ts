/** How often an account on a cluster was used by us in one hour. */
export interface HourOfLoad {
  /** A cluster's name, or `name#user`. */
  readonly connection: string
  /** When it began. */
  readonly hour: Date
  /** Connections made, each a sign-in there. */
  readonly logins: number
  /** Programs of ours that were run over them. */
  readonly programs: number
  /** Commands of the scheduler that those ran: sbatch, squeue, sacct … */
  readonly schedulerCommands: number
}
