import { oneLine } from './markdown.ts'

export type Tone = 'plain' | 'dim' | 'bold' | 'good' | 'moving' | 'warn' | 'bad'

/** Colours of a terminal, or none. */
export type Paint = (tone: Tone, text: string) => string

const codes: Readonly<Record<Tone, readonly [string, string] | null>> = {
  plain: null,
  dim: ['2', '22'],
  bold: ['1', '22'],
  good: ['32', '39'],
  moving: ['36', '39'],
  warn: ['33', '39'],
  bad: ['31', '39'],
}

export function createPaint(colour: boolean): Paint {
  return (tone, text) => {
    const code = codes[tone]
    return !colour || code === null || text === '' ? text : `\x1b[${code[0]}m${text}\x1b[${code[1]}m`
  }
}

/** Text of others for a terminal: one line, no control and direction characters, so that nothing it holds is obeyed. */
export function safe(text: string, max = 400): string {
  return oneLine(text, max)
}
