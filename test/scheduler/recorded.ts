import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QueueRow } from '../../src/model/observation.ts'

/** What a real scheduler printed: `test/fixtures/scheduler/<file>`. */
export function recorded(file: string): string {
  return readFileSync(join(import.meta.dirname, '../fixtures/scheduler', file), 'utf8')
}

/** The id of a row with the tasks that it speaks of: `18_5`, `18_6-9`. */
export function idOf({ nativeId, tasks }: Pick<QueueRow, 'nativeId' | 'tasks'>): string {
  if (tasks === null) return nativeId
  return `${nativeId}_${tasks.map(({ from, to, step }) => (from === to ? from : `${from}-${to}${step === 1 ? '' : `:${step}`}`)).join(',')}`
}
