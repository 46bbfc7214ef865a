/**
 * Cycles among jobs: each as the names along it, the first again at the end. One cycle for each job where a search meets itself; jobs that merely wait for a cycle are not named.
 * Takes time in proportion to jobs and needs.
 */
export function findCycles(needs: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>()
  const cycles: string[][] = []
  for (const start of needs.keys()) {
    if (done.has(start)) continue
    const path: { name: string; next: number }[] = [{ name: start, next: 0 }]
    const onPath = new Map([[start, 0]])
    while (path.length > 0) {
      const top = path[path.length - 1]
      if (top === undefined) break
      const needed = needs.get(top.name)?.[top.next++]
      if (needed === undefined) {
        path.pop()
        onPath.delete(top.name)
        done.add(top.name)
        continue
      }
      const at = onPath.get(needed)
      if (at !== undefined) cycles.push([...path.slice(at).map(step => step.name), needed])
      else if (!done.has(needed) && needs.has(needed)) {
        onPath.set(needed, path.length)
        path.push({ name: needed, next: 0 })
      }
    }
  }
  return cycles
}
