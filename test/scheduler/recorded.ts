import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a real scheduler printed: `test/fixtures/scheduler/<file>`. */
export function recorded(file: string): string {
  return readFileSync(join(import.meta.dirname, '../fixtures/scheduler', file), 'utf8')
}
