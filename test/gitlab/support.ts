import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { createGitLab, fixedToken, type GitLabOptions } from '../../src/gitlab/gitlab.ts'

export const host = 'https://gitlab.example.org'
export const api = `${host}/api/v4`
export const token = 'glpat-S3cret_Value+1/2'

/** An msw server for one test file: a call that no handler expects is an error. */
export function interceptGitLab() {
  const server = setupServer()
  beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
  afterEach(() => server.resetHandlers())
  afterAll(() => server.close())
  return server
}

/** A clock that only moves when somebody waits, and no chance. */
export function createTime(start = Date.UTC(2026, 10, 20, 12)) {
  let at = start
  const waits: number[] = []
  return {
    now: () => at,
    random: () => 0.5,
    waits,
    pass(ms: number) {
      at += ms
    },
    async wait(ms: number) {
      waits.push(ms)
      at += ms
    },
  }
}

export function gitlabAt(time: ReturnType<typeof createTime>, options: Partial<GitLabOptions> = {}) {
  return createGitLab({
    url: host,
    token: fixedToken(token),
    now: time.now,
    wait: time.wait,
    random: time.random,
    ...options,
  })
}

/** A real server on loopback, for what only a real connection can do. */
export async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    close: () =>
      new Promise<void>(resolve => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** What a promise threw; fails if it did not. */
export async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
