import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { createGitLab, fixedToken, type GitLabCall, GitLabError } from '../../src/gitlab/gitlab.ts'
import { listen, thrownBy, token } from './support.ts'

async function failure(promise: Promise<unknown>): Promise<GitLabError> {
  const error = await thrownBy(promise)
  expect(error).toBeInstanceOf(GitLabError)
  return error as GitLabError
}

describe('on a real connection', () => {
  const real = { token: fixedToken(token) }

  test('a body that stops in the middle is trouble', async () => {
    const answers = await listen((_, response) => {
      response.writeHead(201, { 'content-type': 'application/json', 'content-length': '100' })
      response.write('{"id": 5, "body": "hel')
      response.socket!.end()
    })
    try {
      const gitlab = createGitLab({ ...real, url: answers.url })
      const error = await failure(gitlab.createNote(1, 2, 'hello'))
      expect(error).toMatchObject({ kind: 'unreachable', status: null, maybeDone: true })
    } finally {
      await answers.close()
    }
  })

  test('a reset after the request was sent may mean that it was done', async () => {
    const answers = await listen(request => request.socket.resetAndDestroy())
    try {
      const calls: GitLabCall[] = []
      const gitlab = createGitLab({ ...real, url: answers.url, onCall: call => calls.push(call) })
      expect(await failure(gitlab.createNote(1, 2, 'hello'))).toMatchObject({ kind: 'unreachable', maybeDone: true })
      expect(calls.map(call => call.status)).toEqual(['network'])
    } finally {
      await answers.close()
    }
  })

  test('a closed port was never reached', async () => {
    const answers = await listen(() => {})
    await answers.close()
    const error = await failure(createGitLab({ ...real, url: answers.url }).createNote(1, 2, 'hello'))
    expect(error).toMatchObject({ kind: 'unreachable', maybeDone: false })
    expect(error.message).toContain('ECONNREFUSED')
  })

  test.each(['before the headers', 'in the body'])('silence %s ends at the deadline', async where => {
    const answers = await listen((_, response) => {
      if (where === 'in the body') {
        response.writeHead(201, { 'content-type': 'application/json' })
        response.write('{"id":')
      }
    })
    try {
      const calls: GitLabCall[] = []
      const gitlab = createGitLab({ ...real, url: answers.url, deadline: 50, onCall: call => calls.push(call) })
      const error = await failure(gitlab.createNote(1, 2, 'hello'))
      expect(error).toMatchObject({ kind: 'unreachable', status: null, maybeDone: true })
      expect(error.message).toContain('no answer within 50 ms')
      expect(calls.map(call => call.status)).toEqual(['timeout'])
    } finally {
      await answers.close()
    }
  })

  test('an answer that is too large is not read, however small it was packed', async () => {
    const answers = await listen((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      response.end(gzipSync(JSON.stringify({ id: 1, username: ' '.repeat(5_000_000) })))
    })
    try {
      const error = await failure(createGitLab({ ...real, url: answers.url, largest: 1_000_000 }).me())
      expect(error).toMatchObject({ kind: 'invalid', transient: false })
      expect(error.message).toContain('larger than 1000000 bytes')
    } finally {
      await answers.close()
    }
  })

  test('bytes that are not HTTP are trouble', async () => {
    const raw = createServer(socket => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n'))
    await new Promise<void>(resolve => raw.listen(0, '127.0.0.1', resolve))
    const { port } = raw.address() as { port: number }
    try {
      const error = await failure(createGitLab({ ...real, url: `http://127.0.0.1:${port}` }).me())
      expect(error).toMatchObject({ kind: 'unreachable', status: null })
    } finally {
      raw.close()
    }
  })
})
