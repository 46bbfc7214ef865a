/** Cuts a list, in its order, so that no portion is larger than `most`; what alone is larger is a portion of its own. */
export function portionsOf<Item>(items: readonly Item[], sizeOf: (item: Item) => number, most: number): Item[][] {
  const portions: Item[][] = []
  let left = 0
  for (const item of items) {
    const size = sizeOf(item)
    const last = portions.at(-1)
    if (last === undefined || size > left) {
      portions.push([item])
      left = most - size
    } else {
      last.push(item)
      left -= size
    }
  }
  return portions
}
