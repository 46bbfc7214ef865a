import { expect, it } from 'vitest'
import { CompopsError } from '../../src/errors.ts'
import { createErrands } from '../../src/run/errands.ts'
import { until } from '../support/until.ts'

type Around = Parameters<ReturnType<typeof createErrands>['ask']>[0]

function around(dataDir: string) {
  let now = 0
  const called: string[] = []
  const context = {
    config: { dataDir },
    clock: { now: () => new Date(now) },
    wake: { call: (topic: string) => called.push(topic) },
  } as unknown as Around
  return { context, called, pass: (ms: number) => (now += ms) }
}
const asItIs = (error: Error) => error as CompopsError

it('two are under way at a time, of each service; another waits for its turn, and nothing is begun twice', async () => {
  const errands = createErrands(['prepare'])
  const { context, called } = around('/a')
  const ends: (() => void)[] = []
  const begun: string[] = []
  const ask = (key: string, where = context) =>
    errands.ask(
      where,
      key,
      () => {
        begun.push(key)
        return new Promise<void>(resolve => ends.push(resolve))
      },
      asItIs,
    )
  for (const key of ['one', 'one', 'two', 'three']) expect(ask(key)).toBeNull()
  ask('elsewhere', around('/ab').context)
  expect(begun).toEqual(['one', 'two', 'elsewhere'])
  expect(['one', 'three'].map(key => errands.isUnderWay(context, key))).toEqual([true, false])
  ends[0]!()
  await until('somebody to be told', () => called.length === 1)
  expect(errands.isUnderWay(context, 'one')).toBe(false)
  ask('three')
  expect(begun.at(-1)).toBe('three')
})

it('a failure is the answer until it is time for the next try, later each time; one for good only shortly', async () => {
  const errands = createErrands(['prepare', 'submit'])
  const { context, called, pass } = around('/a')
  let tries = 0
  const ask = (key: string, transient: boolean) =>
    errands.ask(
      context,
      key,
      async () => {
        tries++
        throw new CompopsError(`try ${tries}`, { transient })
      },
      asItIs,
    )
  for (const [at, pause] of [5_000, 10_000, 20_000].entries()) {
    expect(ask('away', true)).toBeNull()
    await until('it to fail', () => called.length === 2 * (at + 1))
    pass(pause - 1)
    expect(ask('away', true)?.message).toBe(`try ${at + 1}`)
    pass(1)
  }
  expect(called).toEqual(['prepare', 'submit', 'prepare', 'submit', 'prepare', 'submit'])
  expect(ask('wrong', false)).toBeNull()
  await until('it to fail', () => called.length === 8)
  pass(19_999)
  expect(ask('wrong', false)?.message).toBe('try 4')
  pass(1)
  expect(ask('wrong', false)).toBeNull()
})
