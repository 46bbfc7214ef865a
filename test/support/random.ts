export interface Random {
  /** From 0 to below 1. */
  next(): number
  between(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly T[]): T
  shuffled<T>(list: readonly T[]): T[]
}

/** Chance with a seed (mulberry32): the same seed makes the same choices in the same order. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    chance: probability => next() < probability,
    pick,
    shuffled(list) {
      const left = [...list]
      for (let at = left.length - 1; at > 0; at--) {
        const other = Math.floor(next() * (at + 1))
        ;[left[at], left[other]] = [left[other]!, left[at]!]
      }
      return left
    },
  }
}
