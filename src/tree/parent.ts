/**
 * Whose child a computation branch is. Each has one parent at most: the one that its file names; the target of its open merge request; the
 * computation branch it was forked from; none. The file is a person's word: where it cannot be kept it is refused. The others are guesses: where one would
 * close a circle the next is taken.
 */
import type { ParentBy, ParentChoice } from '../model/parent.ts'

export interface ParentFacts {
  readonly branch: string
  /** `parent:` of its file. */
  readonly named: string | null
  /** Why the named one cannot be a parent; null where it can. */
  readonly namedIsNot: string | null
  /** Targets of its open merge requests that are computation branches, oldest first, and how many are open in all. */
  readonly targets: readonly { readonly iid: number; readonly branch: string }[]
  readonly openMergeRequests: number
  /** Computation branches that were at a commit of its history, nearest first. */
  readonly forks: readonly Fork[]
}

export interface Fork {
  readonly branch: string
  readonly sha: string
  /** For people, instead of `forked from …`. */
  readonly why?: string
}

/** The parents that are known now, by branch. */
export type KnownParents = ReadonlyMap<string, { readonly branch: string; readonly by: ParentBy }>

export type ParentAnswer =
  /** `detach`: whose guessed parent gives way, because it would close a circle with one that a file names. */
  | { readonly kind: 'parent'; readonly parent: ParentChoice; readonly detach: string | null }
  | { readonly kind: 'none'; readonly why: string }
  | { readonly kind: 'refused'; readonly message: string; readonly remedy: string }

export function resolveParent(facts: ParentFacts, known: KnownParents): ParentAnswer {
  const { branch, named } = facts
  if (named !== null) return resolveNamed(branch, named, facts.namedIsNot, known)
  const guesses: ParentChoice[] = [
    ...facts.targets.map(target => ({
      branch: target.branch,
      by: 'merge request' as const,
      why:
        facts.openMergeRequests > 1
          ? `target of merge request !${target.iid}, the oldest of ${facts.openMergeRequests} that are open`
          : `target of merge request !${target.iid}`,
    })),
    ...facts.forks.map(fork => ({
      branch: fork.branch,
      by: 'fork' as const,
      why: fork.why ?? `forked from ${fork.branch} at ${fork.sha.slice(0, 8)}`,
    })),
  ]
  const parent = guesses.find(guess => guess.branch !== branch && circle(branch, guess.branch, known) === null)
  return parent === undefined
    ? { kind: 'none', why: 'no computation branch is named, targeted, or in its history' }
    : { kind: 'parent', parent, detach: null }
}

function resolveNamed(branch: string, named: string, isNot: string | null, known: KnownParents): ParentAnswer {
  if (named === branch)
    return {
      kind: 'refused',
      message: `${named} names itself as its parent.`,
      remedy: 'Name the branch that it was computed from, or leave `parent` out.',
    }
  if (isNot !== null)
    return {
      kind: 'refused',
      message: `The parent ${named} ${isNot}.`,
      remedy: 'Push that branch first, correct the name, or leave `parent` out.',
    }
  const around = circle(branch, named, known)
  const guessed = around?.find(one => known.get(one)?.by !== 'file')
  if (around !== null && guessed === undefined)
    return {
      kind: 'refused',
      message: `With the parent ${named} the branches go round in a circle: ${[branch, ...around, branch].join(' → ')}.`,
      remedy: 'Take `parent` out of the file of one of them.',
    }
  const parent: ParentChoice = { branch: named, by: 'file', why: 'parent: in .compops.yml' }
  return { kind: 'parent', parent, detach: guessed ?? null }
}

/** From `parent` upwards to the last before `branch`; null where that is not met. */
function circle(branch: string, parent: string, known: KnownParents): string[] | null {
  const path: string[] = []
  const seen = new Set<string>()
  for (let at: string | undefined = parent; at !== undefined && !seen.has(at); at = known.get(at)?.branch) {
    if (at === branch) return path
    seen.add(at)
    path.push(at)
  }
  return null
}
