import type { Clock } from '../clock.ts'
import type { Audit } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Refusal } from './refusal.ts'

/** So many a minute are written: whoever floods us must not fill the disk. The others are counted. */
const most = 30

export interface RefusedAct {
  /** Whom GitLab knows as the one who asks; null where that is nobody. */
  readonly by: string | null
  readonly what: string
  readonly address: string
}

export type AuditRefused = (refusal: Refusal, act: RefusedAct) => void

/** Writes what somebody wanted to change and was not let to the audit log, whether it came by a page or over the API; what a verb itself refuses is written by it, too. */
export function createAuditRefused({
  audit,
  metrics,
  clock,
}: {
  readonly audit: Audit
  readonly metrics: Pick<Metrics, 'actsRefused'>
  readonly clock: Clock
}): AuditRefused {
  let minute = 0
  let written = 0
  return function auditRefused({ status, message }, { by, what, address }) {
    metrics.actsRefused.inc()
    const now = Math.floor(clock.now().getTime() / 60_000)
    if (now !== minute) written = 0
    minute = now
    written++
    if (written > most + 1) return
    const last = written > most
    audit.record({
      act: 'refused',
      by: by ?? 'nobody',
      ...(last ? {} : { what: what.slice(0, 300), address }),
      result: last
        ? `more than ${most} in this minute: the rest is counted only`
        : `${status}: ${message.slice(0, 300)}`,
    })
  }
}
