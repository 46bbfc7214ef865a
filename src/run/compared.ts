import { isId } from '../model/id.ts'
import type { Run } from '../model/run.ts'
import type { Db } from '../store/open.ts'
import { findRun, loadRun } from '../store/runs.ts'
import { loadTree } from '../store/tree.ts'
import type { BranchNode } from '../tree/node.ts'

export const mostCompared = 12

export interface Compared {
  /** `word`: as it was asked for. */
  readonly chosen: readonly { readonly word: string; readonly run: Run }[]
  /** Words that are neither a run of the project nor a branch that has one. */
  readonly missing: readonly string[]
  /** How many more were asked for than stand beside each other. */
  readonly left: number
  /** Branches of the project that have a run. */
  readonly tree: readonly BranchNode[]
}

/** Runs of one project that stand beside each other: each by its id, or by a branch: what that has to show, its newest result, else the run that is under way. */
export async function runsToCompare(db: Db, projectId: number, words: readonly string[]): Promise<Compared> {
  const asked = [...new Set(words.map(one => one.trim()).filter(one => one !== ''))]
  const tree = (await loadTree(db, projectId)).filter(node => node.run !== null)
  const chosen: { word: string; run: Run }[] = []
  const missing: string[] = []
  for (const word of asked.slice(0, mostCompared)) {
    const id = await runMeant(db, projectId, word, tree)
    if (id === null) missing.push(word.slice(0, 100))
    else if (!chosen.some(one => one.run.id === id)) chosen.push({ word, run: await loadRun(db, id, 'collected') })
  }
  return { chosen, missing, left: Math.max(0, asked.length - mostCompared), tree }
}

async function runMeant(db: Db, projectId: number, word: string, tree: readonly BranchNode[]): Promise<string | null> {
  if (isId(word)) {
    return (await findRun(db, word))?.projectId === projectId ? word : null
  }
  const node = tree.find(one => one.branch === word)
  return node?.result?.id ?? node?.run?.id ?? null
}
