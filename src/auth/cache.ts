/** At most so many answers, each for a while; the one that was used longest ago goes first. */
export interface Cache<T> {
  /** Also one whose time is over, with `fresh: false`. */
  look(key: string): { readonly value: T; readonly fresh: boolean } | null
  keep(key: string, value: T, ms: number): void
  forget(key: string): void
  readonly size: number
}

export function createCache<T>(now: () => number, most: number): Cache<T> {
  const entries = new Map<string, { readonly value: T; readonly until: number }>()
  return {
    look(key) {
      const entry = entries.get(key)
      if (entry === undefined) return null
      entries.delete(key)
      entries.set(key, entry)
      return { value: entry.value, fresh: entry.until > now() }
    },
    keep(key, value, ms) {
      entries.delete(key)
      entries.set(key, { value, until: now() + ms })
      for (const oldest of entries.keys()) {
        if (entries.size <= most) break
        entries.delete(oldest)
      }
    },
    forget: key => void entries.delete(key),
    get size() {
      return entries.size
    },
  }
}

/** The answer that is kept, or one that is asked for now; a failure is kept by nobody. */
export function remembered<T>(cache: Cache<Promise<T>>, key: string, ms: number, ask: () => Promise<T>): Promise<T> {
  const before = cache.look(key)
  if (before?.fresh === true) return before.value
  const asked = ask()
  cache.keep(key, asked, ms)
  asked.catch(() => cache.forget(key))
  return asked
}
