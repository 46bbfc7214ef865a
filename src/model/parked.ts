/** The tables whose rows are work and can be parked. */
export const parkingTables = ['deliveries', 'reports', 'attempts', 'runs', 'comments', 'schedules', 'ci_jobs'] as const

export type ParkingTable = (typeof parkingTables)[number]

/** A row that failed too often: out of everybody's way until a person asks for it. */
export interface ParkedRow {
  readonly table: ParkingTable
  readonly id: string
  /** What it is, for people; holds text of others (a ref). */
  readonly what: string
  readonly projectPath: string | null
  readonly parkedAt: Date
  readonly tries: number
  readonly lastError: string | null
}
