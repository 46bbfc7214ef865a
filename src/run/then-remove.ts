import { rmSync } from 'node:fs'

const wanted = new Map<string, number>()

/** Removes a file of ours when `work` has done with it, unless somebody else is at it: the last one does. After a failure it stays for the next try. */
export async function thenRemove<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  wanted.set(path, (wanted.get(path) ?? 0) + 1)
  let done = false
  try {
    const result = await work()
    done = true
    return result
  } finally {
    const others = wanted.get(path)! - 1
    if (others > 0) wanted.set(path, others)
    else {
      wanted.delete(path)
      // In the same turn: who comes next must not find what is just being removed.
      if (done) rmSync(path, { force: true })
    }
  }
}
