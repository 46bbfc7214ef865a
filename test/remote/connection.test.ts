import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { backOffDelay, keepConnection, type Link } from '../../src/remote/connection.ts'
import { RemoteError, type RemoteEvent } from '../../src/remote/remote.ts'

describe('the delay after failures', () => {
  test.each([
    [1, 500, 1_000],
    [2, 1_000, 2_000],
    [5, 8_000, 16_000],
    [7, 30_000, 60_000],
    [1_000, 30_000, 60_000],
  ])('after %i lies between %i and %i ms', (failures, least, most) => {
    const backOff = { first: 1_000, max: 60_000 }
    expect(backOffDelay(failures, backOff, () => 0)).toBe(least)
    expect(backOffDelay(failures, backOff, () => 1)).toBe(most)
  })
})

describe('one kept connection', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'Date'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function setUp() {
    const events: RemoteEvent['type'][] = []
    const made: AbortController[] = []
    let refusal: Error | undefined
    const dial = vi.fn(async (): Promise<Link<number>> => {
      if (refusal !== undefined) throw refusal
      const lost = new AbortController()
      made.push(lost)
      return { offers: made.length, lost: lost.signal, end: async () => lost.abort(new Error('ended')) }
    })
    const connection = keepConnection({
      description: 'compops@falcon:22',
      dial,
      backOff: { first: 1_000, max: 60_000 },
      onEvent(event) {
        events.push(event.type)
        throw new Error('a listener with a mistake')
      },
    })
    return {
      connection,
      dial,
      events,
      made,
      refuse: (error?: Error) => {
        refusal = error
      },
    }
  }

  test('is made once for all who ask at once, and made again when lost', async () => {
    const { connection, dial, events, made } = setUp()
    const links = await Promise.all([connection.get(), connection.get(), connection.get()])
    expect(links.map(link => link.offers)).toEqual([1, 1, 1])
    connection.proven()
    made[0]?.abort(new Error('reset'))
    expect((await connection.get()).offers).toBe(2)
    expect(dial).toHaveBeenCalledTimes(2)
    expect(events).toEqual(['connected', 'disconnected', 'connected'])
    expect(connection.stats()).toMatchObject({ connects: 2, unreachableSince: null, lastError: null })
  })

  test('is tried once and then not before its time; one probe follows, whoever asks', async () => {
    const { connection, dial, refuse } = setUp()
    const since = new Date()
    refuse(new Error('connect ECONNREFUSED'))
    await expect(connection.get()).rejects.toThrow('connect ECONNREFUSED')
    await expect(connection.get()).rejects.toThrow(
      'compops@falcon:22 is unreachable (1 try, the next in 1 s): connect ECONNREFUSED',
    )
    expect(dial).toHaveBeenCalledTimes(1)

    vi.advanceTimersByTime(1_001)
    const probes = await Promise.allSettled([connection.get(), connection.get()])
    expect(probes.map(probe => probe.status)).toEqual(['rejected', 'rejected'])
    expect(dial).toHaveBeenCalledTimes(2)
    expect(connection.stats()).toMatchObject({ unreachableSince: since, lastError: 'connect ECONNREFUSED' })

    refuse()
    vi.advanceTimersByTime(2_001)
    await connection.get()
    connection.proven()
    expect(connection.stats()).toMatchObject({ unreachableSince: null, connects: 1 })
  })

  test('says while backing off whether a person must act', async () => {
    const { connection, refuse } = setUp()
    refuse(new RemoteError('unreachable', 'refused key', { transient: false }))
    await expect(connection.get()).rejects.toMatchObject({ transient: false })
    await expect(connection.get()).rejects.toMatchObject({ kind: 'unreachable', transient: false, maybeRan: false })
  })

  test('that is lost before it was of any use counts as a failure', async () => {
    const { connection, dial, made } = setUp()
    await connection.get()
    made[0]?.abort(new Error('the connection was closed by the other side'))
    await expect(connection.get()).rejects.toThrow('closed by the other side')
    expect(dial).toHaveBeenCalledTimes(1)
  })

  test('closed while dialing ends what was dialed', async () => {
    const { connection, made } = setUp()
    const asked = connection.get()
    const refused = expect(asked).rejects.toMatchObject({ kind: 'closed' })
    await connection.close()
    await refused
    expect(made[0]?.signal.aborted).toBe(true)
    await expect(connection.get()).rejects.toMatchObject({ kind: 'closed' })
  })
})
