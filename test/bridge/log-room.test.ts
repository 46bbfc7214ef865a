import { describe, expect, it } from 'vitest'
import { costOf, fromLine, headThatFits, tailThatFits } from '../../src/bridge/log-room.ts'

const bytes = (text: string) => Buffer.from(text)

describe('how much of a CI log something takes', () => {
  it.each([
    ['nothing', bytes(''), 0],
    ['a line, with the time before it', bytes('abc\n'), 4 + 32],
    ['many short lines, which are mostly times', bytes('y\n'.repeat(1_000)), 1_000 * (2 + 32)],
    ['a line that is not ended', bytes('abc\nde'), 6 + 2 * 32],
    ['a progress bar, which is drawn anew', bytes('10%\r20%\r'), 8 + 2 * 32],
    ['letters of several bytes', bytes('üü\n'), 5 + 32],
    ['bytes that are no text, three for each', Buffer.from([0xff, 0xfe, 0x0a]), 7 + 32],
    ['a very long line, sent in parts', bytes('x'.repeat(10_000)), 10_000 + 3 * 32],
  ])('%s', (_, text, cost) => expect(costOf(text)).toBe(cost))
})

describe('the head of a log', () => {
  it.each([
    ['all of it', 'a\nb\n', 1_000, 'a\nb\n'],
    ['whole lines', 'a\nbb\nccc\n', 2 * 32 + 5, 'a\nbb\n'],
    ['nothing, where no line fits', 'a\nb\n', 20, ''],
    ['nothing of a long line for which hardly any room is left', `${'x'.repeat(5_000)}\n`, 900, ''],
  ])('is %s', (_, text, room, head) => expect(headThatFits(bytes(text), room).toString()).toBe(head))

  it('is the beginning of a line that is longer than what there is room for, in whole letters', () => {
    const head = headThatFits(bytes('ü€𝄞'.repeat(100_000)), 20_000)
    expect(head.toString()).not.toContain('\ufffd')
    expect([head.length > 1_000, costOf(head) <= 20_000]).toEqual([true, true])
    const noText = headThatFits(Buffer.alloc(100_000, 0xff), 20_000)
    expect([noText.length > 1_000, costOf(noText) <= 20_000]).toEqual([true, true])
  })
})

describe('the end of a log', () => {
  it.each([
    ['all of it', 'a\nb\n', 10, 1_000, 'a\nb\n'],
    ['so many lines', 'a\nb\nc\n', 2, 1_000, 'b\nc\n'],
    ['what there is room for', 'a\nb\nc\n', 10, 2 * 34, 'b\nc\n'],
    ['a last line that is not ended', 'a\nb\nc', 1, 1_000, 'c'],
    ['empty lines as well', 'a\n\n\n', 3, 1_000, 'a\n\n\n'],
    ['nothing of nothing', '', 3, 1_000, ''],
    ['a single letter', '\n', 3, 1_000, '\n'],
  ])('is %s', (_, text, lines, room, tail) => expect(tailThatFits(bytes(text), lines, room).toString()).toBe(tail))

  it.each([
    ['a line', 'lf of a line\nnext\n', 'next\n'],
    ['a letter, where there is no other line', Buffer.from('üx').subarray(1), 'x'],
    ['a letter, where the only line ends', 'rest\n', 'rest\n'],
  ])('begins with %s', (_, text, from) => expect(fromLine(Buffer.from(text)).toString()).toBe(from))
})
