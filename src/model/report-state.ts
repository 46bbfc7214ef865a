/** What became of something that GitLab should show. */
export type ReportState = 'told' | 'not yet' | 'refused' | 'parked'

export interface ReportHashes {
  readonly desiredHash: string
  readonly sentHash: string | null
  readonly refused: string | null
  readonly parkedAt: Date | null
}

/** A refused one counts as sent: GitLab said that it will never take it. */
export function reportState(report: ReportHashes): ReportState {
  if (report.sentHash === report.desiredHash) return report.refused === null ? 'told' : 'refused'
  return report.parkedAt === null ? 'not yet' : 'parked'
}
