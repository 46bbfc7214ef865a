import { approveVerb } from './approve.ts'
import { cancelVerb } from './cancel.ts'
import { helpVerb } from './help.ts'
import { holdVerb, unholdVerb } from './hold.ts'
import { logsVerb } from './logs.ts'
import { okToTestVerb } from './ok-to-test.ts'
import { planVerb } from './plan.ts'
import { rerunVerb, retryVerb, runVerb } from './run.ts'
import { statusVerb } from './status.ts'
import type { Verb } from './verb.ts'
import { whyVerb } from './why.ts'

/** The one table of verbs: notes, command line and HTTP API obey these. */
export const verbs: Readonly<Record<string, Verb>> = {
  plan: planVerb,
  run: runVerb,
  rerun: rerunVerb,
  retry: retryVerb,
  cancel: cancelVerb,
  hold: holdVerb,
  unhold: unholdVerb,
  approve: approveVerb,
  status: statusVerb,
  why: whyVerb,
  logs: logsVerb,
  'ok-to-test': okToTestVerb,
  help: helpVerb(() => verbs),
}

/** The verb of this name, or of one that stands for it. */
export function verbNamed(word: string): { readonly name: string; readonly verb: Verb } | null {
  for (const [name, verb] of Object.entries(verbs)) if (name === word || verb.also.includes(word)) return { name, verb }
  return null
}

/** Every word that is one. */
export const verbWords: ReadonlySet<string> = new Set(
  Object.entries(verbs).flatMap(([name, { also }]) => [name, ...also]),
)
