import type { ChildProcess } from 'node:child_process'
import { hear } from './child.ts'
import type { LoadOrder, LoadResult } from './load.ts'

export type { LoadResult } from './load.ts'

/** Lets the load generator (`load.ts` as a child) carry out an order. */
export async function fireAt(load: ChildProcess, order: LoadOrder): Promise<LoadResult> {
  const heard = hear<{ result?: LoadResult; error?: string }>(load)
  load.send(order)
  const { result, error } = await heard
  if (result === undefined) throw new Error(`the load generator gave up: ${error}`)
  return result
}
