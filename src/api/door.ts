import { type Door, openDoor } from '../auth/door.ts'
import type { Context } from '../context.ts'

/** The one door of a service. */
export function doorOf(context: Context): Door {
  const { clock, log } = context
  return openDoor({
    ...context,
    now: () => clock.now().getTime(),
    onFailure: (address, why) => log.warn({ step: 'api', address, why }, 'a sign-in failed'),
  })
}
