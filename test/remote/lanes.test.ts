import { expect, test } from 'vitest'
import { createLanes } from '../../src/remote/lanes.ts'

const never = new AbortController().signal

test('three of four channels are for all, in order; the fourth is for the urgent', async () => {
  const lanes = createLanes(4, 1)
  const order: string[] = []
  const enter = async (name: string, urgent = false) => {
    const giveBack = await lanes.take(urgent, never)
    order.push(name)
    return giveBack
  }
  const first = await Promise.all([enter('a'), enter('b'), enter('c')])
  const waiting = [enter('d'), enter('e')]
  const urgent = await enter('submit', true)
  expect(order).toEqual(['a', 'b', 'c', 'submit'])
  expect(lanes.busy()).toBe(4)

  const cancel = enter('cancel', true)
  first[0]?.()
  first[0]?.()
  await cancel
  expect(order).toEqual(['a', 'b', 'c', 'submit', 'cancel'])

  urgent()
  first[1]?.()
  await waiting[0]
  expect(order.at(-1)).toBe('d')
  first[2]?.()
  await waiting[1]
  expect(order.at(-1)).toBe('e')
  expect(lanes.busy()).toBe(3)
})

test('who leaves the queue takes no channel', async () => {
  const lanes = createLanes(1, 0)
  const giveBack = await lanes.take(false, never)
  const leaver = new AbortController()
  const left = lanes.take(false, leaver.signal)
  const next = lanes.take(false, never)
  leaver.abort(new Error('deadline'))
  await expect(left).rejects.toThrow('deadline')
  giveBack()
  ;(await next)()
  expect(lanes.busy()).toBe(0)
})
