/** Who may have a channel, and who waits for one: in order, with some channels kept for the urgent. */
export interface Lanes {
  /** Resolves with the way to give the channel back (calling it twice does nothing). Rejects with the signal's reason. */
  take(urgent: boolean, signal: AbortSignal): Promise<() => void>
  busy(): number
}

export function createLanes(channels: number, reserved: number): Lanes {
  let busy = 0
  const urgentWaiting: (() => void)[] = []
  const waiting: (() => void)[] = []

  function admit(): void {
    while (busy < channels && urgentWaiting.length > 0) urgentWaiting.shift()?.()
    while (busy < channels - reserved && waiting.length > 0) waiting.shift()?.()
  }

  function occupy(): () => void {
    busy++
    let given = false
    return function giveBack() {
      if (given) return
      given = true
      busy--
      admit()
    }
  }

  async function take(urgent: boolean, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    const queue = urgent ? urgentWaiting : waiting
    if (queue.length === 0 && busy < (urgent ? channels : channels - reserved)) return occupy()
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve(occupy())
      }
      const leave = () => {
        queue.splice(queue.indexOf(enter), 1)
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      queue.push(enter)
    })
  }

  return { take, busy: () => busy }
}
