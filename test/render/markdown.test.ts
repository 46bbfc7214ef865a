import MarkdownIt from 'markdown-it'
import { describe, expect, test } from 'vitest'
import {
  code,
  cut,
  cutMiddle,
  fence,
  html,
  inline,
  lastLines,
  link,
  oneLine,
  prose,
} from '../../src/render/markdown.ts'
import { hostileTexts } from './hostile.ts'

const markdown = new MarkdownIt({ html: true })
const zero = '\u200b'
const shown = (text: string) => text.replaceAll(zero, '')

describe('exact text', () => {
  test.each([
    ['a|b', 'a\\|b'],
    ['*x* _y_ `z`', '\\*x\\* \\_y\\_ \\`z\\`'],
    ['<b>&amp;', '\\<b\\>\\&amp;'],
    ['@alice', `@${zero}alice`],
    ['#1 !2 ~x', `\\#1 \\!2 \\~x`],
    ['/close', `${zero}/close`],
    ['- a', `${zero}- a`],
    ['1. a', `${zero}1. a`],
    ['a\n\n/close', 'a /close'],
  ])('inline %j', (text, expected) => {
    expect(inline(text)).toBe(expected)
  })

  test.each([
    ['calc/heat', '`calc/heat`'],
    ['a`b', '``a`b``'],
    ['`', '`` ` ``'],
    ['a|b', '`a|b`'],
    ['', ''],
  ])('code %j', (text, expected) => {
    expect(code(text)).toBe(expected)
  })

  test('a pipe in a code span is escaped in a table alone', () => {
    expect(code('a|b', 'table')).toBe('`a\\|b`')
  })

  test.each([
    ['`cpus` is not a key. Did you mean `cpus_per_task`?', '`cpus` is not a key. Did you mean `cpus_per_task`?'],
    ['use `a|b` or *c*', 'use `a|b` or \\*c\\*'],
    ['one ` alone @all', `one \\\` alone @${zero}all`],
    ['`@all`: no', '`@all`: no'],
  ])('prose %j', (text, expected) => {
    expect(prose(text)).toBe(expected)
  })

  test('html', () => {
    expect(html('<b>"x" & @all #1')).toBe(`&lt;b&gt;&quot;x&quot; &amp; @${zero}all #${zero}1`)
  })

  test('link', () => {
    expect(link('log', 'https://x.example/a b(c)|<d>')).toBe('[log](https://x.example/a%20b%28c%29%7C%3Cd%3E)')
  })

  test('cut', () => {
    expect([cut('abc', 3), cut('abcd', 3), cut('a😀b', 3)]).toEqual(['abc', 'ab…', 'a…'])
    expect(cutMiddle('calc/heat/with/a/long/name/4d', 15)).toBe('calc/he…name/4d')
  })

  test('one line, without what moves the cursor or turns the direction', () => {
    expect(oneLine('a\u001b[1;31mb\u001b[0m\n\tc\u202ed\u0000e')).toBe('ab cd e')
  })
})

describe('whatever comes in', () => {
  test.each(hostileTexts)('inline and prose stand for themselves: %j', text => {
    for (const write of [inline, prose]) {
      const rendered = markdown.render(`before ${write(text)} after`)
      expect(rendered).not.toMatch(/<(?!\/?(p|code)>)/)
      expect(markdown.render(write(text))).not.toMatch(/<(?!\/?(p|code)>)/)
      expect(write(text).split('\n')).toHaveLength(1)
      expect(write(text)).not.toMatch(/^\//)
      expect(write(text).replace(/`+.*?`+/g, '')).not.toMatch(/@\w/)
    }
  })

  test.each(hostileTexts)('inline shows what it was given: %j', text => {
    const rendered = markdown.renderInline(inline(text)).replaceAll('&lt;', '<').replaceAll('&gt;', '>')
    expect(shown(rendered).replaceAll('&quot;', '"').replaceAll('&amp;', '&')).toBe(oneLine(text))
  })

  test.each(hostileTexts)('a table keeps its columns: %j', text => {
    for (const cell of [inline(text), code(text, 'table'), prose(text, 'table')]) {
      const rendered = markdown.render(`| a | b |\n|---|---|\n| ${cell} | end |`)
      expect(rendered.match(/<td>/g)).toHaveLength(2)
      expect(rendered).toContain('<td>end</td>')
    }
  })

  test.each(hostileTexts)('a fence holds: %j', text => {
    const tokens = markdown.parse(`${fence(text, 'text')}\n\nafter`, {})
    expect(tokens.map(token => token.type)).toEqual(['fence', 'paragraph_open', 'inline', 'paragraph_close'])
    expect(shown(tokens[0]?.content ?? '')).toBe(
      shown(markdown.parse(`${'~'.repeat(400)}\n${text}\n${'~'.repeat(400)}`, {})[0]?.content ?? ''),
    )
  })

  test.each(hostileTexts)('a summary holds: %j', text => {
    const rendered = html(text)
    expect(rendered).not.toMatch(/[<>\n]|@\w/)
  })
})

describe('the last lines of a log', () => {
  const limits = { lines: 20, width: 40 }
  test.each([
    ['', []],
    ['\n\n', []],
    ['a\r\nb\r\n', ['a', 'b']],
    [' 10 %\r 20 %\r 30 %\n', [' 30 %']],
    [' 10 %\r', [' 10 %']],
    ['a\tb', ['a    b']],
    ['\u001b[32mok\u001b[0m \u001b[1;31mbad\u001b[m', ['ok bad']],
    ['\u001b[2K\u001b[1Gdone', ['done']],
    ['\u001b]8;;https://x.example\u0007name\u001b]8;;\u0007', ['name']],
    ['cut escape \u001b[3', ['cut escape']],
    ['_\bbold', ['bold']],
    ['a\u0000b\u202ec', ['abc']],
    ['x'.repeat(41), [`${'x'.repeat(39)}… (line cut)`]],
    ['\ud83d', ['\u{fffd}']],
  ])('%j', (log, expected) => {
    expect(lastLines(log, limits)).toEqual(expected)
  })

  test('the last, not the first', () => {
    const log = Array.from({ length: 100 }, (_, i) => `line ${i}`).join('\n')
    expect(lastLines(log, { lines: 2, width: 40 })).toEqual(['line 98', 'line 99'])
  })

  test('one line of five million characters', () => {
    expect(lastLines(`${'x'.repeat(5_000_000)}\nend`, limits).at(-1)).toBe('end')
    expect(lastLines('\u001b['.repeat(2_500_000), limits).length).toBeLessThanOrEqual(1)
  })

  test('in a fence no quick action stands at the start of a line, and a path can be copied', () => {
    const text = fence(['/close', '  /assign @bob', '/scratch/a.txt: not found', '/label ~x', '/CLOSE'].join('\n'))
    expect(text).not.toMatch(/^\s*\/[a-z_]+(\s|$)/im)
    expect(text).not.toMatch(/@\w/)
    expect(text).toContain('\n/scratch/a.txt: not found\n')
  })
})
