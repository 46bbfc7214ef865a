import type { Cause, Person } from '../model/run.ts'
import type { ProjectRow } from '../store/projects.ts'

/** One command as it was written, in a note or on a command line. */
export interface Command {
  /** As written, in lower case: a verb or one of its other names. */
  readonly verb: string
  /** A job of the run, or a branch; null: the run that the branch shows. */
  readonly target: string | null
  readonly args: Arguments
}

export interface Arguments {
  /** `--lines 80`, `--lines=80`; a switch is `true`. */
  readonly options: Readonly<Record<string, string | true>>
  /** Behind ` -- `: `degree=12`. */
  readonly values: Readonly<Record<string, string>>
  /** Further words, e.g. the commit of `ok-to-test`. */
  readonly words: readonly string[]
}

export const noArguments: Arguments = { options: {}, values: {}, words: [] }

/** A command with everything that is needed to obey it: who, where, and the cause under which it is done once. */
export interface Order extends Command {
  /** Whose rights count. Read from GitLab by the caller: never from a payload. */
  readonly person: Person
  readonly project: ProjectRow
  /** Where it was said: on a merge request, or of a branch (short). */
  readonly at: { readonly mergeRequest: number } | { readonly branch: string }
  /** `note:<id>` or `api:<key>`: the same again does nothing twice, and gets the same answer. */
  readonly cause: Cause
}

export interface Answer {
  readonly outcome: 'done' | 'refused' | 'nothing to do'
  /** For the person, in Markdown; everything of others in it is harmless already. */
  readonly said: string
  /** Refused for want of a right, and not because of how things stand. */
  readonly denied?: boolean
  /** Whether the sentence is worth a reply although all went well: an answer to a question. */
  readonly tell?: boolean
  /** Refused because the person is no member of the project. */
  readonly stranger?: boolean
}
