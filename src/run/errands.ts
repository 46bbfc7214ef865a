import type { Context } from '../context.ts'
import { type CompopsError, toError } from '../errors.ts'
import type { Topic } from '../wake.ts'

/** Of one kind, at a time. */
const atOnce = 2

type Errand =
  | { readonly state: 'under way' }
  /** `until`: a job that asks before gets the same answer. */
  | { readonly state: 'failed'; readonly error: CompopsError; readonly until: number; readonly tries: number }

type Around = Pick<Context, 'config' | 'clock' | 'wake'>

/**
 * What this process does beside everything else while jobs are held for it: packages are fetched, files are brought. Only hints: what has been done shows in the
 * world, so that a kill costs one try.
 */
export interface Errands {
  /** Why it failed, until it is time to try again; null: it is under way, or will be when there is room. `told` says a failure as jobs shall hear it. */
  ask(
    context: Around,
    key: string,
    work: () => Promise<void>,
    told: (error: Error) => CompopsError,
  ): CompopsError | null
  isUnderWay(context: Pick<Context, 'config'>, key: string): boolean
}

/** `topics` are called at the end of each. */
export function createErrands(topics: readonly Topic[]): Errands {
  const errands = new Map<string, Errand>()
  // Tests run several services in one process.
  const nameOf = ({ config }: Pick<Context, 'config'>, key: string) => `${config.dataDir}\0${key}`

  async function run(
    { clock, wake }: Around,
    name: string,
    tries: number,
    work: () => Promise<void>,
    told: (error: Error) => CompopsError,
  ): Promise<void> {
    errands.set(name, { state: 'under way' })
    try {
      await work()
      errands.delete(name)
    } catch (thrown) {
      const error = told(toError(thrown))
      // Ten jobs of one commit hear the same at once; a person who tries again does not wait for long.
      const pause = error.transient ? Math.min(900_000, 5_000 * 2 ** tries) : 20_000
      errands.set(name, { state: 'failed', error, until: clock.now().getTime() + pause, tries: tries + 1 })
    }
    for (const topic of topics) wake.call(topic)
  }

  function forgetOld(now: number): void {
    if (errands.size > 500)
      for (const [name, one] of errands) if (one.state === 'failed' && one.until < now) errands.delete(name)
  }

  return {
    ask(context, key, work, told) {
      const name = nameOf(context, key)
      const known = errands.get(name)
      const now = context.clock.now().getTime()
      if (known?.state === 'failed' && known.until > now) return known.error
      const underWay = [...errands].filter(
        ([of, one]) => of.startsWith(nameOf(context, '')) && one.state === 'under way',
      )
      if (known === undefined || known.state === 'failed') {
        if (underWay.length >= atOnce) return null
        forgetOld(now)
        void run(context, name, known?.tries ?? 0, work, told)
      }
      return null
    },
    isUnderWay: (context, key) => errands.get(nameOf(context, key))?.state === 'under way',
  }
}
