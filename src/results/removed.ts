import type { Removal } from '../model/retention.ts'

/** What is said of a run's directories that its age took away. */
export function removedInWords(removed: readonly Removal[] | undefined): string[] {
  return (removed ?? []).map(({ cluster, at, days }) =>
    at === null
      ? `its directory on ${cluster} is being removed (keep: ${days} days)`
      : `its directory on ${cluster} was removed on ${at.toISOString().slice(0, 10)} (keep: ${days} days)`,
  )
}
