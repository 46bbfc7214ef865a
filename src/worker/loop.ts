import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { LeaseLost } from '../store/leases.ts'
import { isStoreError } from '../store/open.ts'
import { claimantOf } from '../store/work.ts'
import type { Topic } from '../wake.ts'

/** Something that is done again and again. */
export interface Duty {
  readonly name: string
  /** Called, it is done at once. */
  readonly topic: Topic
  /** ms until it is looked at again when nobody calls. */
  readonly every: number
  /** Does what there is to do. `more`: look again at once; `after`: the next look, in ms, instead of `every`. */
  run(context: Context): Promise<{ readonly more: boolean; readonly after?: number; readonly notBefore?: number }>
}

/** Honours one duty until the signal aborts. Whatever is thrown is logged and tried again, at growing distance: a loop never ends by itself. */
export async function honour(context: Context, duty: Duty, signal: AbortSignal): Promise<void> {
  const lane: Context = { ...context, claimant: claimantOf(context.holder, duty.name) }
  let failures = 0
  while (!signal.aborted) {
    const mark = context.wake.mark(duty.topic)
    let wait = duty.every
    try {
      const answer = await duty.run(lane)
      failures = 0
      if (answer.more) continue
      wait = answer.after ?? duty.every
      if (answer.notBefore !== undefined) await context.clock.sleep(answer.notBefore, signal)
    } catch (error) {
      if (error instanceof LeaseLost) {
        context.log.info({ duty: duty.name, step: 'lease' }, `${duty.name}: ${error.message}`)
        await context.clock.sleep(1_000, signal)
        continue
      }
      failures++
      if (signal.aborted) return
      context.metrics.failures.inc({ verb: duty.name })
      if (isStoreError(error)) context.metrics.databaseErrors.inc({ where: 'worker' })
      context.log.error(
        {
          duty: duty.name,
          failures,
          err: describeError(error),
          stack: error instanceof Error ? error.stack : undefined,
        },
        `${duty.name} failed and is tried again`,
      )
      await context.clock.sleep(Math.min(30_000, 500 * 2 ** Math.min(failures, 6)), signal)
      continue
    }
    await context.wake.wait(duty.topic, mark, wait, signal)
  }
}
