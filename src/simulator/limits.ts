export const GITLAB_VERSION = '19.4.0-ee'

/** Rings and stores that would grow for ever stop here. */
export const LIMITS = {
  requests: 20_000,
  deliveries: 5_000,
  pipelines: 5_000,
  notes: 5_000,
  uploadBytes: 64 * 1024 * 1024,
  responseBody: 8 * 1024,
}

/** Keeps a list bounded by forgetting its oldest entries. */
export function remember<T>(list: T[], item: T, limit: number): void {
  list.push(item)
  if (list.length > limit) list.splice(0, list.length - limit)
}
