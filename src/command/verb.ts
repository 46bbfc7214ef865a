import type { Context } from '../context.ts'
import type { Within } from '../run/begin-again.ts'
import type { Answer, Order } from './order.ts'
import type { Place } from './place.ts'
import type { Right } from './rights.ts'

export interface Verb {
  /** Other names of the same: `test` for `run`. */
  readonly also: readonly string[]
  /** `[job|branch]` */
  readonly usage: string
  /** For the help, one line. */
  readonly summary: string
  readonly right: Right
  /** Whether a word that names neither a job nor a branch is a mistake. */
  readonly target: 'job or branch' | 'job' | 'none'
  /** `within` goes into the transaction of the deed, so that the same cause does nothing twice. */
  obey(context: Context, order: Order, place: Place, within: Within): Promise<Answer>
}
