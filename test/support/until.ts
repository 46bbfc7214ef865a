import { patience } from './patience.ts'

/** Waits for a state, not for a time: asks until the answer is neither null, undefined nor false. Fails with what was awaited. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  usually = 30,
): Promise<NonNullable<Exclude<T, false>>> {
  const seconds = usually * patience
  const deadline = performance.now() + seconds * 1000
  let last: unknown
  while (performance.now() < deadline) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer as NonNullable<Exclude<T, false>>
    last = answer
    await new Promise(resolve => setTimeout(resolve, 40))
  }
  throw new Error(
    `waited ${seconds} s in vain for: ${what}${last === undefined ? '' : ` (last answer: ${String(last)})`}`,
  )
}
