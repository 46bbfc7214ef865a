import { describe, expect, it } from 'vitest'
import { launchQuery, readLaunch, readSettings, settingsOf } from '../../src/dashboard/pages/launch.ts'

describe('what was changed in the form of a launch', () => {
  it('is written as for Hydra: beside each other or in lines, a value with spaces as it stands', () => {
    expect(readSettings('degree=12 solve.mem=8G\n\n  tag=a b  c\n')).toEqual([
      'degree=12',
      'solve.mem=8G',
      'tag=a b  c',
    ])
    expect(readSettings('nonsense')).toEqual(['nonsense'])
  })

  it('stands in the address as it was, whatever it holds', () => {
    const launch = { branch: 'calc/a&b=c', set: ['tag=x=y&z #', 'degree=ü'] }
    expect(readLaunch(new URLSearchParams(launchQuery(launch)))).toEqual(launch)
  })

  it('holds in its order, the later against the earlier; what is no setting is said', () => {
    const { values, wrong } = settingsOf(['a=1', 'b=2', 'a=3=4', '=5', 'x y=1'])
    expect(Object.entries(values)).toEqual([
      ['b', '2'],
      ['a', '3=4'],
    ])
    expect(wrong).toEqual(['=5', 'x y=1'])
    expect(Object.keys(settingsOf(['__proto__=1']).values)).toEqual(['__proto__'])
  })
})
