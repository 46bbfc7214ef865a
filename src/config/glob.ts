/**
 * Whether a path fits a glob: `*` stands for anything within one segment, `**` for anything across segments, and a double star with a slash behind it also for no segment at all.
 * Everything else stands for itself. Takes time in proportion to pattern times path, whatever both hold: branch names are strangers' text.
 */
export function matchGlob(pattern: string, path: string): boolean {
  const tokens = pattern.match(/\*\*\/|\*+|[^*]/gs) ?? []
  // The set of positions in the pattern that may be reached after each character of the path.
  let reached = new Set([0])
  const settle = (positions: Set<number>) => {
    for (const at of positions) if (tokens[at]?.startsWith('*') === true) positions.add(at + 1)
    return positions
  }
  reached = settle(reached)
  for (let i = 0; i < path.length; i++) {
    const next = new Set<number>()
    for (const at of reached) {
      const token = tokens[at]
      if (token === undefined) continue
      if (token === '**/') {
        next.add(at)
        continue
      }
      if (token === path[i]) next.add(at + 1)
      else if (token === '*' ? path[i] !== '/' : token.startsWith('**')) next.add(at)
    }
    // `**/` may only be left at the start of a segment.
    const atSegmentStart = path[i] === '/'
    for (const at of next)
      if (tokens[at] === '**/' ? atSegmentStart : tokens[at]?.startsWith('*') === true) next.add(at + 1)
    if (next.size === 0) return false
    reached = next
  }
  return reached.has(tokens.length)
}
