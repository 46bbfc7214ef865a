import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { loadAssets } from '../../src/dashboard/assets.ts'

test('what a browser loads is small: the script at most 100 kB compressed, all of it together too', () => {
  const sizes = Object.values(loadAssets()).map(asset => gzipSync(asset.body).length)
  expect(gzipSync(loadAssets().script.body).length).toBeGreaterThan(1_000)
  expect(sizes.reduce((all, one) => all + one, 0)).toBeLessThan(100_000)
})
