import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { holdLease, releaseLeases } from '../store/leases.ts'

/** Which clusters and which shared duties are this process's own. Of several replicas one owns each; when it dies another takes it over. */
export interface Leases {
  owns(name: string): boolean
  renew(): Promise<void>
  release(): Promise<void>
}

/** Seconds a lease lasts, and ms between renewals. */
export const leaseSeconds = 30
export const renewEvery = 8_000

export function createLeases(context: Context): Leases {
  const names = ['heads', 'evidence', ...context.connections().map(connection => `cluster ${connection}`)]
  // By our own monotonic clock, counted from before the asking: we stop in time even where the database does not answer.
  const until = new Map<string, number>()
  return {
    owns: name => (until.get(name) ?? 0) > performance.now(),
    async renew() {
      for (const name of names) {
        const asked = performance.now()
        try {
          const fence = await holdLease(context.db, name, context.holder, leaseSeconds)
          if (fence === null) until.delete(name)
          else until.set(name, asked + (leaseSeconds - 5) * 1000)
        } catch (error) {
          context.log.warn({ step: 'lease', name, err: describeError(error) }, 'lease could not be renewed')
        }
      }
    },
    release: () => releaseLeases(context.db, context.holder),
  }
}
