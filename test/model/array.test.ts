import { describe, expect, it } from 'vitest'
import { countTasks, mostTasks, nativeNumbers, parseArray, readTasks, writeTasks } from '../../src/model/array.ts'

describe('what a person writes after array', () => {
  it.each([
    ['0-9%4', '0-9', 4],
    ['0-100:10', '0-100:10', null],
    ['1,3,7-9%2', '1,3,7-9', 2],
    ['5', '5', null],
    ['9,1,1-3', '1-3,9', null],
    ['0-10:20', '0', null],
    [' 1 , 2 ', '1-2', null],
    ['0,10,20,30,5', '0-10:5,20,30', null],
  ])('%s is %s, throttle %s', (text, tasks, throttle) => {
    expect(parseArray(text)).toEqual({ ok: true, value: { tasks, throttle } })
  })

  it.each([
    ['', 'neither a number nor a range'],
    ['a-b', 'neither a number nor a range'],
    ['9-0', 'ends before it begins'],
    ['0-9:0', 'step'],
    ['0-9%0', 'how many tasks run at once'],
    ['0-9%', 'how many tasks run at once'],
    ['-1', 'neither a number nor a range'],
    ['0-9,', 'neither a number nor a range'],
    ['0-999999999', 'too large'],
    ['0-3000000', `more than ${mostTasks} tasks`],
    [Array.from({ length: 30 }, () => '0-9999').join(','), `more than ${mostTasks} tasks`],
    ['0-9\n--wrap=x', 'neither a number nor a range'],
  ])('%s is refused with a reason and a remedy', (text, reason) => {
    const read = parseArray(text)
    expect(read).toMatchObject({
      ok: false,
      message: expect.stringContaining(reason),
      remedy: expect.stringMatching(/\S/),
    })
  })

  it(`takes ${mostTasks} tasks`, () => {
    const read = parseArray(`0-${mostTasks - 1}`)
    expect(read.ok && countTasks(read.value.tasks)).toBe(mostTasks)
  })
})

describe('a list of tasks', () => {
  it('comes back as it was, whatever its numbers', () => {
    let seed = 7
    const random = (n: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % n
    }
    for (let round = 0; round < 200; round++) {
      const numbers = [...new Set(Array.from({ length: random(30) }, () => random(60)))].sort((a, b) => a - b)
      expect(readTasks(writeTasks(numbers))).toEqual(numbers)
    }
  })

  it('is numbered from 1 where the scheduler cannot give the numbers', () => {
    expect(nativeNumbers({ tasks: '0,4-6', throttle: null, renumbered: true })).toEqual([1, 2, 3, 4])
    expect(nativeNumbers({ tasks: '0,4-6', throttle: null, renumbered: false })).toEqual([0, 4, 5, 6])
  })
})
