import type { Progress } from './observation.ts'

const longest = 160

/**
 * `<percent or -> <text>`, as the tool in the job writes it; of a line of a log only the text, and its first `62 %`, `3/8` or `3 of 8` is how far it is. A user's
 * program wrote it: whatever it is, it is only shown. null where it says nothing.
 */
export function readProgress(said: string, task: number | null): Progress | null {
  const [, first = '', rest = ''] = /^(\S*)\s?(.*)$/s.exec(said) ?? []
  const text = rest
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, longest)
  const percent = first === '-' ? percentIn(text) : toPercent(Number(first === '' ? Number.NaN : first))
  return percent === null && text === '' ? null : { percent, text, task }
}

function percentIn(text: string): number | null {
  const [, percent] = /(?<![\d.])(\d{1,3}(?:\.\d{1,6})?)\s?%/.exec(text) ?? []
  if (percent !== undefined) return toPercent(Number(percent))
  const [, done, of] = /(?<![\d./])(\d{1,12})\s?(?:\/|of)\s?(\d{1,12})(?![\d./])/.exec(text) ?? []
  return done === undefined || Number(of) === 0 ? null : toPercent((100 * Number(done)) / Number(of))
}

function toPercent(value: number): number | null {
  return Number.isFinite(value) && value >= 0 && value <= 100 ? Math.floor(value) : null
}
