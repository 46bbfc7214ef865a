import { expect, test } from 'vitest'
import { openRemote } from '../../src/remote/open.ts'

test('without ssh the commands run on this machine', async () => {
  const remote = openRemote({ by: 'here' })
  expect(remote.description).toMatch(/\(this machine\)$/)
  expect((await remote.run({ program: 'echo here' })).stdout).toBe('here\n')
  await remote.close()
})

const files = { identityFile: '~/.ssh/id', knownHostsFile: '~/.ssh/known_hosts' }
test.each([
  [
    'compops@falcon:22 or owl:22',
    {
      by: 'ssh2' as const,
      host: 'falcon',
      port: 22,
      user: 'compops',
      fallbacks: [{ host: 'owl', port: 22 }],
      ...files,
    },
  ],
  ['falcon', { by: 'openssh' as const, host: 'falcon', controlDir: '/nowhere', cluster: 'falcon', renew: 'sign in' }],
])('with ssh nothing is connected before it is needed: %s', async (description, way) => {
  const remote = openRemote(way)
  expect(remote.description).toBe(description)
  expect(remote.stats()).toEqual({
    connects: 0,
    commands: 0,
    openChannels: 0,
    connectedSince: null,
    unreachableSince: null,
    lastError: null,
  })
  await remote.close()
})
