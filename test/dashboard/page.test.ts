import { describe, expect, it } from 'vitest'
import { changeOf, hold, listRegion, region, stamp } from '../../src/dashboard/page.ts'

const rows = (...list: readonly (readonly [string, string])[]) =>
  listRegion('jobs', { before: '<ul>', rows: list.map(([key, html]) => ({ key, html })), after: '</ul>' })

describe('what is sent to a page that is open', () => {
  it('nothing where nothing has changed, also where only time has passed', () => {
    const before = region('head', '<p>for <span data-from="2026-01-01T00:00:00Z">3 s</span></p>')
    const after = region('head', '<p>for <span data-from="2026-01-01T00:00:00Z">9 s</span></p>')
    expect(changeOf(hold(before), after)).toBeNull()
    expect(stamp([before])).toBe(stamp([after]))
  })

  it('only the rows that changed, as long as the same ones stand there in the same order', () => {
    const before = hold(rows(['a', '<li>a waits'], ['b', '<li>b waits']))
    expect(changeOf(before, rows(['a', '<li>a waits'], ['b', '<li>b runs']))).toEqual({
      id: 'jobs',
      rows: [{ key: 'b', html: '<li>b runs' }],
    })
    expect(changeOf(before, rows(['b', '<li>b waits'], ['a', '<li>a waits']))).toEqual({
      id: 'jobs',
      html: '<ul><li>b waits<li>a waits</ul>',
    })
    expect(changeOf(before, rows(['a', '<li>a waits']))?.html).toBe('<ul><li>a waits</ul>')
  })

  it('all of it to whoever has nothing', () => {
    expect(changeOf(undefined, region('head', '<p>x'))).toEqual({ id: 'head', html: '<p>x' })
  })
})
