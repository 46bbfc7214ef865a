/** The known name nearest to what was written, or null where none is near: for "Did you mean …?". */
export function nearest(written: string, known: Iterable<string>): string | null {
  if (written.length > 64) return null
  const plain = simplify(written)
  let best: string | null = null
  let distance = Math.max(1, Math.floor(plain.length / 3)) + 1
  for (const name of known) {
    const steps = simplify(name) === plain ? 0 : editDistance(plain, simplify(name), distance)
    if (steps < distance) {
      distance = steps
      best = name
    }
  }
  return best
}

function simplify(name: string): string {
  return name.toLowerCase().replaceAll('-', '_')
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; gives up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let steps = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        steps = Math.min(steps, (before[j - 2] ?? 0) + 1)
      row.push(steps)
    }
    before = last
    last = row
  }
  return last[b.length] ?? limit
}
