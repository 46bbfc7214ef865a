import type { JobSpec } from './job-spec.ts'

/**
 * How long all attempts of a job can run together, where each takes all of its time: what it can cost is known before it begins. undefined: it has no time limit.
 */
export function mostSeconds({
  resources,
  retry,
  checkpoint,
  chain,
}: Pick<JobSpec, 'resources' | 'retry' | 'checkpoint' | 'chain'>): number | undefined {
  const { time } = resources
  if (time === undefined) return undefined
  const { timeout, ...others } = retry?.rules ?? {}
  // Each reason its own number of times, or all the same ones.
  const each = Object.values(others).reduce((sum, rule) => sum + rule.times, 0)
  const other = retry == null ? 0 : retry.total === null ? each : timeout === undefined ? retry.total : 0
  if (chain !== undefined) return (chain.segments + (retry?.total ?? other)) * time
  const factor = timeout?.factor ?? (checkpoint === undefined ? 2 : 1)
  let [all, longest] = [time, time]
  for (let n = 0; n < (timeout?.times ?? 0); n++) {
    const next = Math.min(Math.ceil(longest * factor), timeout?.max ?? Number.POSITIVE_INFINITY)
    // Failed with all that it may have, it is not tried again.
    if (factor > 1 && next <= longest) break
    longest = next
    all += longest
  }
  const restarts = checkpoint === undefined || (retry?.total == null && timeout !== undefined) ? 0 : checkpoint.restarts
  return all + (other + restarts) * longest
}
