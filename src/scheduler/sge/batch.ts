import type { Resources } from '../../model/job-spec.ts'
import type { BatchDirectives, DroppedDirective } from '../dialect.ts'
import { allowedDirective } from './directives.ts'
import { essential, wordsOf } from './options.ts'
import { readDuration, readSize } from './values.ts'

/**
 * The `#$` lines of a batch script: every line of the file that begins so, wherever it stands (sge_submit(1), -C), several options on a line.
 * The last one wins, `-l` adds up.
 */
export function readDirectives(text: string): BatchDirectives {
  const resources: { [key: string]: unknown } = {}
  const lines: Record<string, number> = {}
  const kept = new Map<string, { directive: string; line: number }>()
  const dropped: DroppedDirective[] = []
  let tasks: BatchDirectives['array']
  let throttle = ''
  for (const [i, row] of text.split('\n').entries()) {
    if (!row.startsWith('#$')) continue
    const line = i + 1
    const words = row.slice(2).trim().split(/\s+/).filter(Boolean)
    while (words.length > 0) {
      const option = words.shift()!
      const name = option.startsWith('-') ? option.slice(1) : ''
      const values = words.splice(0, wordsOf(name, words[0]) ?? 0)
      if (name === 't' && values.length === 1) tasks = { text: values[0]!, line }
      if (name === 'tc' && values.length === 1) throttle = `%${values[0]}`
      if (name === 't' || name === 'tc') continue
      const parts = name === 'l' && values.length === 1 ? values[0]!.split(',') : [values.join(' ')]
      for (const value of parts) {
        const known = readResource(name, value)
        if (known !== null) {
          resources[known.key] = known.value
          lines[known.key] = line
          continue
        }
        const directive = value === '' ? option : `${option} ${value}`
        const refused = allowedDirective(['*'], directive)
        if (refused === true) kept.set(name === 'l' ? `l ${value.split('=')[0]}` : name, { directive, line })
        else
          dropped.push({
            directive,
            line,
            reason: refused,
            ...(essential.has(name) ? { essential: true as const } : {}),
          })
      }
    }
  }
  return {
    resources: resources as Resources,
    lines,
    directives: [...kept.values()],
    // `1-10:2` is written alike there and in `array:`; -tc is its `%`.
    ...(tasks === undefined ? {} : { array: { text: tasks.text + throttle, line: tasks.line } }),
    dropped,
  }
}

/** An option in our words; null where we have none for it or not for this value: it stays as it is. */
function readResource(name: string, value: string): { key: keyof Resources; value: unknown } | null {
  const take = (key: keyof Resources, read: unknown) => (read === null ? null : { key, value: read })
  const match = (pattern: RegExp) => (pattern.test(value) ? value : null)
  switch (name) {
    case 'q':
      return take('partition', match(/^[\w.@*,-]+$/))
    case 'P':
      return take('account', match(/^[\w.-]+$/))
    case 'ar':
      return take('reservation', match(/^\d{1,10}$/))
    case 'p':
      return take('nice', /^-?\d{1,4}$/.test(value) ? 0 - Number(value) : null)
    case 'l': {
      const [complex, asked = ''] = value.split('=')
      if (complex === 'h_rt') return take('time', readDuration(asked) || null)
      if (complex === 'h_vmem') return take('mem_per_cpu', mebibytes(asked))
      if (complex === 'gpu')
        return take('gpus', /^[1-9]\d{0,5}$/.test(asked) ? { type: null, count: Number(asked) } : null)
      return null
    }
    default:
      return null
  }
}

function mebibytes(text: string): number | null {
  const bytes = readSize(text)
  return bytes === null || bytes === 0 ? null : Math.ceil(bytes / 2 ** 20)
}
