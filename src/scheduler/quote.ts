import { CompopsError } from '../errors.ts'

/**
 * One word of bash, whatever the value holds. Control characters are spelled out, so that no value can begin a line of its own: some
 * schedulers look for directives in every line of a script, not only in its head.
 */
export function quote(value: string): string {
  if (value.includes('\0')) throw new CompopsError('a value for a shell holds a NUL byte, which no shell can carry')
  if (!/[\x01-\x1f\x7f]/.test(value)) return `'${value.replaceAll("'", `'\\''`)}'`
  const spelled = value
    .replace(/[\\']/g, '\\$&')
    .replace(/[\x01-\x1f\x7f]/g, c => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return `$'${spelled}'`
}

/** A bash array literal, one word a line. */
export function quoteArray(values: readonly string[]): string {
  return values.length === 0 ? '()' : `(\n${values.map(value => `  ${quote(value)}\n`).join('')})`
}
