import type { BatchDirectives, Dialect, DroppedDirective } from './dialect.ts'

/** No option of a scheduler is written as long, and what splits one into its words need not be quick with a megabyte. */
export const longestDirective = 2048

export const tooLong = `it is longer than ${longestDirective} characters`

/** The directives of a batch script, whoever wrote it: lines that are too long are told instead of read. */
export function readDirectivesOf(
  { prefix, readDirectives }: Pick<Dialect, 'prefix' | 'readDirectives'>,
  text: string,
): BatchDirectives {
  const dropped: DroppedDirective[] = []
  const lines = text.split('\n').map((written, i) => {
    if (written.length <= longestDirective) return written
    const directive = written.slice(0, longestDirective)
    if (prefix === null || !directive.trimStart().startsWith(prefix)) return directive
    dropped.push({
      directive: directive.slice(0, 60),
      line: i + 1,
      reason: tooLong,
      essential: true,
    })
    return '#'
  })
  const read = readDirectives(lines.join('\n'))
  return dropped.length === 0 ? read : { ...read, dropped: [...dropped, ...read.dropped] }
}
