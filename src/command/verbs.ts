import { approveVerb } from './approve.ts'
import { cancelVerb } from './cancel.ts'
import { helpVerb } from './help.ts'
import { holdVerb, unholdVerb } from './hold.ts'
import { rerunVerb, retryVerb, runVerb } from './run.ts'
import { statusVerb } from './status.ts'
import type { Verb } from './verb.ts'

/** The one table of verbs: notes, command line and HTTP API obey these. */
export const verbs: Readonly<Record<string, Verb>> = {
  run: runVerb,
  rerun: rerunVerb,
  retry: retryVerb,
  cancel: cancelVerb,
  hold: holdVerb,
  unhold: unholdVerb,
  approve: approveVerb,
  status: statusVerb,
  help: helpVerb(() => verbs),
}

/** The verb of this name, or of one that stands for it. */
export function verbNamed(word: string): { readonly name: string; readonly verb: Verb } | null {
  for (const [name, verb] of Object.entries(verbs)) if (name === word || verb.also.includes(word)) return { name, verb }
  return null
}
