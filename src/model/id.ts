/**
 * Our ids: UUID version 7 (RFC 9562), so that rows sort by the time they were made.
 * Within a process each id is greater than the one before, also when the clock stands still or goes back.
 */
let lastMs = 0
let counter = 0

/** `now` in milliseconds or as a date. An id never carries an earlier time than the one made before it. */
export function newId(now: number | Date = Date.now()): string {
  const random = crypto.randomUUID()
  const ms = Math.floor(Number(now))
  if (ms > lastMs) {
    lastMs = ms
    // Started at random, below half of its 12 bits: room to count within a millisecond.
    counter = Number.parseInt(random.slice(0, 3), 16) >>> 1
  } else {
    counter += 1
    if (counter > 0xfff) {
      lastMs += 1
      counter = 0
    }
  }
  const time = lastMs.toString(16).padStart(12, '0')
  // The last two groups of a version 4 UUID already are a variant and 62 random bits.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${random.slice(19)}`
}

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export function isId(text: unknown): text is string {
  return typeof text === 'string' && shape.test(text)
}

/** When an id of ours was made. One that claims to come from the future was forged or made by a wrong clock: `now` then. */
export function timeOfId(id: string, now: Date): Date {
  const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  return Number.isNaN(ms) || ms > now.getTime() ? now : new Date(ms)
}
