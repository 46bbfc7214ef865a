import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { jsonSchema } from '../../src/spec/json-schema.ts'
import { canonicalJobKeys, laterRemedy, meaningOf } from '../../src/spec/keys.ts'

const file = new URL('../../gitlab/compops.schema.json', import.meta.url)

test('gitlab/compops.schema.json is what the reader reads', () => {
  // When this fails: print `JSON.stringify(jsonSchema(), null, 2)` into that file and let biome format it.
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(jsonSchema())
})

test('every key an editor offers is a key the reader knows, and none of those that come later', () => {
  const { definitions } = jsonSchema() as { definitions: Record<string, { properties: Record<string, unknown> }> }
  const offered = Object.keys(definitions.job?.properties ?? {})
  expect(offered.filter(key => meaningOf(key) === null || laterRemedy(key) !== null)).toEqual([])
  expect(canonicalJobKeys.filter(key => !offered.includes(key))).toEqual([])
  expect(Object.keys(definitions.defaults?.properties ?? {})).not.toContain('script')
})
