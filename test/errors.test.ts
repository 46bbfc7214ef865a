import { describe, expect, it } from 'vitest'
import { CompopsError, describeError } from '../src/errors.ts'

describe('an error in one line', () => {
  it('tells the causes behind it, each once', () => {
    const refused = new Error('connection refused')
    expect(describeError(new CompopsError('falcon cannot be reached', { cause: refused }))).toBe(
      'falcon cannot be reached: connection refused',
    )
    expect(describeError(new CompopsError('falcon: connection refused', { cause: refused }))).toBe(
      'falcon: connection refused',
    )
    expect(describeError('text\nof two lines')).toBe('text of two lines')
    expect(describeError(new Error(''))).toBe('unknown error')
    expect(describeError(new Error('x'.repeat(900)), 100)).toHaveLength(100)
  })

  it('tells why a query failed before which it was, and never its values', () => {
    const columns = Array.from({ length: 100 }, (_, n) => `column_${n}`).join(', ')
    const failed = new Error(`Failed query: insert into deliveries\n  (${columns})\nparams: a secret body,42`, {
      cause: new Error('could not extend file: No space left on device'),
    })
    expect(describeError(failed, 300)).toBe(
      'could not extend file: No space left on device (in: insert into deliveries (column_0, column_1, column_2, column …)',
    )
    expect(describeError(new Error('Failed query: select 1\nparams: a secret'))).toBe(
      'the query failed (in: select 1 …)',
    )
  })
})
