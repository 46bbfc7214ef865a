/** What somebody typed, as one line without control characters. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()
}

/** The same of something that may be no text at all, cut to so many letters. */
export function oneLineOf(value: unknown, most: number): string {
  return typeof value === 'string' ? oneLine(value).slice(0, most) : ''
}
