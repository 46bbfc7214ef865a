import { createCache } from './cache.ts'

export interface Failures {
  /** Seconds until this address may try another token that is not known; 0 where it may now. */
  wait(address: string): number
  count(address: string): void
}

export interface FailureLimits {
  /** Failed sign-ins of one address in a minute. */
  readonly each: number
  /** Of all together: GitLab may ban the address of the service for them. */
  readonly all: number
}

const minute = 60_000
const everybody = ''

/** Counts failed sign-ins, so that nobody can try tokens here faster than at GitLab, or let GitLab ban us for it. */
export function createFailures(now: () => number, { each, all }: FailureLimits): Failures {
  const counts = createCache<{ count: number; readonly began: number }>(now, 10_000)
  const entry = (address: string) => {
    const known = counts.look(address)
    return known?.fresh === true ? known.value : null
  }
  const left = (address: string, most: number) => {
    const known = entry(address)
    return known === null || known.count < most ? 0 : Math.max(1, Math.ceil((known.began + minute - now()) / 1_000))
  }
  return {
    wait: address => Math.max(left(address, each), left(everybody, all)),
    count(address) {
      for (const key of new Set([address, everybody])) {
        const known = entry(key)
        if (known === null) counts.keep(key, { count: 1, began: now() }, minute)
        else known.count++
      }
    },
  }
}
