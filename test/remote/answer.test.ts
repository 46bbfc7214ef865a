import { describe, expect, test } from 'vitest'
import { createAnswerReader } from '../../src/remote/answer.ts'

const whole = 'Welcome to falcon!\nno newlinecompops-begin abc 77\nanswer\ncompops-end abc\ncompops-end abc 3\nbye'

describe('a stream in pieces', () => {
  test.each([1, 2, 3, 7, 19, 1000])('of %i bytes gives the same answer', size => {
    const reader = createAnswerReader('abc', 1000)
    for (let at = 0; at < whole.length; at += size) reader.stdout(Buffer.from(whole.slice(at, at + size)))
    expect(reader.answer()).toEqual({ rc: 3, stdout: 'answer\ncompops-end abc\n', stderr: '' })
    expect(reader.complete()).toBe(false)
    reader.stderr(Buffer.from('stty: not a terminal\ncompops-begin abc 77\nwarning\ncompops-end abc 3\n'))
    expect(reader.complete()).toBe(true)
    expect(reader.pid()).toBe(77)
    expect(reader.answer()).toEqual({ rc: 3, stdout: 'answer\ncompops-end abc\n', stderr: 'warning\n' })
  })
})

test.each([
  ['nothing', ''],
  ['noise only', 'Welcome\n'],
  ['another begin', 'compops-begin abd 77\n1|RUNNING\ncompops-end abd 0\n'],
  ['no end', 'compops-begin abc 77\n1|RUNNING\n'],
  ['half an end', 'compops-begin abc 77\n1|RUNNING\ncompops-end abc 0'],
])('%s is no answer', (_what, text) => {
  const reader = createAnswerReader('abc', 1000)
  reader.stdout(Buffer.from(text))
  expect(reader.answer()).toBeUndefined()
})

test('an answer is never shortened: one byte more than allowed is too large', () => {
  const reader = createAnswerReader('abc', 5)
  reader.stdout(Buffer.from('compops-begin abc 77\n12345compops-end abc 0\n'))
  expect(reader.tooLarge()).toBe(false)
  expect(reader.answer()?.stdout).toBe('12345')

  const larger = createAnswerReader('abc', 5)
  larger.stdout(Buffer.from('compops-begin abc 77\n123456compops-end abc 0\n'))
  expect(larger.tooLarge()).toBe(true)
})

test('standard error is cut at 64 KiB and its end is still found', () => {
  const reader = createAnswerReader('abc', 5)
  reader.stdout(Buffer.from('compops-begin abc 77\ncompops-end abc 0\n'))
  reader.stderr(Buffer.from('compops-begin abc 77\n'))
  for (let i = 0; i < 100; i++) reader.stderr(Buffer.alloc(1024, 'x'))
  reader.stderr(Buffer.from('compops-end abc 0\n'))
  expect(reader.complete()).toBe(true)
  expect(reader.answer()?.stderr).toBe('x'.repeat(65536))
})

test('what came outside the frame is kept for the message', () => {
  const reader = createAnswerReader('abc', 5)
  reader.stdout(Buffer.from('This account is currently not available.\n'))
  expect(reader.pid()).toBeUndefined()
  expect(reader.noise()).toBe('This account is currently not available.')
})
