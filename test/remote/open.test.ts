import { expect, test } from 'vitest'
import { openRemote } from '../../src/remote/open.ts'

test('without ssh the commands run on this machine', async () => {
  const remote = openRemote({})
  expect(remote.description).toMatch(/\(this machine\)$/)
  expect((await remote.run({ program: 'echo here' })).stdout).toBe('here\n')
  await remote.close()
})

test('with ssh nothing is connected before it is needed', async () => {
  const remote = openRemote({ ssh: { host: 'falcon.example.org', user: 'compops' } })
  expect(remote.description).toBe('compops@falcon.example.org:22')
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

test.each([
  [{ ssh: { host: 'falcon', user: 'c', jump: [{ host: 'mack' }] } }, /ssh\.jump is not supported yet/],
  [{ ssh: { host: 'falcon', user: 'c' }, transport: 'openssh' as const }, /transport: openssh is not supported yet/],
])('what is not built yet is refused at once', (cluster, message) => {
  expect(() => openRemote(cluster)).toThrow(message)
})
