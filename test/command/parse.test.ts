import { describe, expect, it } from 'vitest'
import { mostCommands, parseNote, type Spelling } from '../../src/command/parse.ts'

// What of a note is a command: what stands at the beginning of a line, as GitLab shows it.

const spelling: Spelling = { bot: 'compops', aliases: true, verbs: new Set(['run', 'retry', 'help']) }
const read = (text: string, other: Partial<Spelling> = {}) =>
  parseNote(text, { ...spelling, ...other }).map(({ command }) =>
    [command.verb, command.target, ...command.args.words].filter(word => word !== null).join(' '),
  )

describe('a command', () => {
  it('is read in no time, however it is written', () => {
    const once = () => {
      const begun = performance.now()
      for (const head of ['/compops', '@compops'])
        for (const line of [`${head}${' '.repeat(14_000)}${'x'.repeat(14_000)}\u2028x`, `${head}${' '.repeat(29_000)}`])
          read(`${line}\n`)
      return performance.now() - begun
    }
    // The best of some: others use this machine too.
    expect(Math.min(...Array.from({ length: 5 }, once))).toBeLessThan(300)
  })

  it.each([
    ['/compops run', ['run']],
    ['/compops', ['help']],
    ['/COMPOPS Retry Solve', ['retry Solve']],
    ['The node died.\n/compops retry solve\nThanks!', ['retry solve']],
    ['/compops retry mesh\n/compops retry solve', ['retry mesh', 'retry solve']],
    ['@compops run', ['run']],
    ['@compops, run solve', ['run solve']],
    ['/test solve', ['test solve']],
    ['/retest', ['retest']],
    ['/hold cancel', ['hold cancel']],
    ['/ok-to-test 1a2b3c4d', ['ok-to-test 1a2b3c4d']],
    ['> said somebody\n\n/compops run', ['run']],
    ['a `code` span\n/compops run', ['run']],
    ['/compops run\r\n', ['run']],
  ])('%j', (text, commands) => {
    expect(read(text)).toEqual(commands)
  })

  it.each([
    'I would say /compops run',
    ' /compops run',
    '    /compops run',
    '```\n/compops run\n```',
    '~~~sh\n/compops run',
    '> /compops run',
    '> said somebody\n/compops run',
    '>>>\n/compops run\n>>>',
    '- first\n/compops run',
    '1. first\n   /compops run',
    '<!--\n/compops run\n-->',
    '<pre>\n/compops run\n</pre>',
    '`a span\n/compops run\nof code`',
    'text\n`a span\n/compops run` of code\ntext',
    '<b title="\n/compops run\n">x</b>',
    '/compopsrun',
    '@compops is a nice name',
    '@somebody run',
    '/cancelled',
    '/close',
    `${'x'.repeat(30_001)}\n/compops run`,
  ])('is none: %j', text => {
    expect(read(text)).toEqual([])
  })

  it('of other bots is theirs, where the site says so', () => {
    expect(read('/test\n/compops run', { aliases: false })).toEqual(['run'])
  })

  it('may hold options and values, in quotes too', () => {
    const [one] = parseNote(`/compops run solve --lines=80 --why "it's slow" -- degree=3 name='a b'`, spelling)
    expect(one?.command).toEqual({
      ...{ verb: 'run', target: 'solve' },
      args: { words: [], options: { lines: '80', why: "it's slow" }, values: { degree: '3', name: 'a b' } },
    })
  })

  it('with an option that there is not, or without its value, is told what there is', () => {
    const problem = (text: string) => parseNote(text, spelling)[0]?.problem
    expect(problem('/compops run --force')).toContain('`--lines`')
    expect(problem('/compops logs solve --lines')).toBe('`--lines` wants a value.')
    expect(problem('/compops run -- degree')).toBe('Behind `--` stand values like `degree=3`.')
  })

  it('is one of ten in a note, and the rest is left', () => {
    expect(read('/compops run\n'.repeat(50))).toHaveLength(mostCommands)
  })

  it('is read in no time, whatever a hostile note holds', () => {
    const began = performance.now()
    for (const part of ['/compops ', '"', "/compops '", '`', '[', '<a ', '>', '/compops --why="', '*'])
      read(`/compops run\n${part.repeat(30_000).slice(0, 29_000)}`)
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})
