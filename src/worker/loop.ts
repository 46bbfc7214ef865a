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
  /** Called on this topic, it may be done before its time, if the last answer allows. */
  readonly urgent?: Topic
  /** Does what there is to do. The signal asks what takes long to come to its end. */
  run(context: Context, signal: AbortSignal): Promise<DutyDone>
}

export interface DutyDone {
  /** Look again at once. */
  readonly more: boolean
  /** The next look, in ms, instead of `every`. */
  readonly after?: number
  /** Not before, in ms, whoever calls … */
  readonly notBefore?: number
  /** … but who calls on the urgent topic: for that, no sooner than `notBefore`; without a call too after `due`. */
  readonly sooner?: { readonly notBefore: number; readonly due: number | null }
}

/** Honours one duty until the signal aborts. Whatever is thrown is logged and tried again, at growing distance: a loop never ends by itself. */
export async function honour(context: Context, duty: Duty, signal: AbortSignal): Promise<void> {
  const lane: Context = { ...context, claimant: claimantOf(context.holder, duty.name) }
  const { urgent } = duty
  let failures = 0
  while (!signal.aborted) {
    const mark = context.wake.mark(duty.topic)
    const urgentMark = urgent === undefined ? 0 : context.wake.mark(urgent)
    let sooner: DutyDone['sooner']
    let wait = duty.every
    try {
      const answer = await duty.run(lane, signal)
      failures = 0
      if (answer.more) continue
      wait = answer.after ?? duty.every
      sooner = answer.sooner
      if (answer.notBefore !== undefined) {
        if (sooner === undefined || urgent === undefined) await context.clock.sleep(answer.notBefore, signal)
        else if (await endsSooner(context, urgent, urgentMark, answer.notBefore, sooner, signal)) continue
      }
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
    if (sooner === undefined || urgent === undefined) await context.wake.wait(duty.topic, mark, wait, signal)
    else {
      const either = [duty.topic, urgent]
      await context.wake.wait(either, mark + urgentMark, Math.min(wait, sooner.due ?? wait), signal)
    }
  }
}

/** Sleeps the time in which nobody else may call; true where something urgent ended it. */
async function endsSooner(
  { wake, clock }: Context,
  urgent: Topic,
  mark: number,
  ms: number,
  { notBefore, due }: NonNullable<DutyDone['sooner']>,
  signal: AbortSignal,
): Promise<boolean> {
  const began = clock.now().getTime()
  const until = Math.min(ms, due ?? ms)
  await wake.wait(urgent, mark, until, signal)
  if (wake.mark(urgent) === mark && until === ms) return false
  const passed = Math.max(0, clock.now().getTime() - began)
  if (passed < notBefore) await clock.sleep(Math.min(notBefore, ms) - passed, signal)
  return true
}
