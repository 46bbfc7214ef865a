import { request } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { patience } from '../support/patience.ts'
import { probe } from '../support/prober.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 180_000 * patience })

// Files and bodies that are made to hurt: each is refused with a reason, nobody else waits for it, and the service stays alive to its monitor.
const job = 'jobs:\n  a:\n    script: ["true"]\n'

/** What each hostile file is answered with, in the words of the commit status. */
const files: Record<string, [text: string, answer: RegExp]> = {
  'keys-25000': [
    `jobs:\n  a:\n    script: ["true"]\n    env:\n${lines(25_000, n => `      KEY_${n}_${'x'.repeat(20)}: "${n}"`)}`,
    /larger than 256 KiB/,
  ],
  aliases: [
    `a0: &a0 [x, x]\n${lines(40, n => `a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join(', ')}]`)}\n${job}`,
    /aliases multiply/,
  ],
  duplicates: [`${job}jobs:\n  b:\n    script: ["true"]\n`, /stands here twice/],
  proto: [
    `${job}__proto__: { polluted: true }\nconstructor: { prototype: { polluted: true } }\n`,
    /`__proto__` cannot be a key/,
  ],
  deep: [`x: ${'{a: '.repeat(5_000)}1${'}'.repeat(5_000)}\n${job}`, /nesting is far too deep|took longer/],
  brackets: [`x: ${'['.repeat(20_000)}\n${job}`, /nesting is far too deep|took longer/],
}

function lines(count: number, line: (n: number) => string): string {
  return Array.from({ length: count }, (_, n) => line(n)).join('\n')
}

/** What a person reads of the failed run: its commit status, without the marks that the note puts around words. */
function told(world: World, sha: string): string | null {
  return world.statuses(sha)['compops/tree'] === 'failed' ? world.description(sha, 'compops/tree') : null
}

/** Posts in chunks, without a length. */
function postChunked(world: World, key: string, chunks: readonly string[]): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sending = request(
      `${world.url}/webhooks/gitlab`,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'transfer-encoding': 'chunked',
          'x-gitlab-token': world.secret,
          'x-gitlab-event': 'Push Hook',
          'idempotency-key': key,
        },
      },
      answer => {
        let body = ''
        answer.on('data', chunk => (body += chunk))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }))
      },
    )
    sending.on('error', reject)
    for (const chunk of chunks) sending.write(chunk)
    sending.end()
  })
}

describe('all at once', () => {
  it('hostile files, 25 MB bodies and ten ordinary pushes: each is answered, and so is /healthz', { retry: 2 }, () =>
    inWorld({}, async world => {
      const mebibyte = `"${'x'.repeat(1024 * 1024 - 3)}",`
      const big = ['{"object_kind":"push","x":[', ...Array<string>(23).fill(mebibyte), '1]}']
      const tooBig = ['{"object_kind":"push","x":[', ...Array<string>(27).fill(mebibyte), '1]}']
      const deepBody = `{"object_kind":"push","x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`
      const bad: [string, string, RegExp][] = []
      for (const [name, [text, answer]] of Object.entries(files))
        bad.push([name, await world.push(`calc/bad-${name}`, { '.compops.yml': text }, 'bad [skip compops]'), answer])
      const good: string[] = []

      const prober = await probe(`${world.url}/healthz`)
      const answers = Promise.all([
        postChunked(world, '0198aaaa-0000-4000-8000-00000000a001', big),
        postChunked(world, '0198aaaa-0000-4000-8000-00000000a002', big),
        postChunked(world, '0198aaaa-0000-4000-8000-00000000a003', [deepBody]),
        postChunked(world, '0198aaaa-0000-4000-8000-00000000a004', tooBig).catch(() => ({ status: 413, body: '' })),
      ])
      for (const one of bad) one[1] = await world.push(`calc/bad-${one[0]}`, { 'again.txt': one[0] }, 'now')
      for (let n = 0; n < 10; n++) good.push(await world.push(`calc/good-${n}`, { '.compops.yml': `${job}# ${n}\n` }))
      for (const sha of good)
        expect(await world.treeEnds(sha, ['success'], 120)).toMatchObject({ 'compops/a': 'success' })
      const unreadable = { status: 200, body: expect.stringContaining('ignored: ') }
      expect(await answers).toEqual([unreadable, unreadable, unreadable, expect.objectContaining({ status: 413 })])
      for (const [name, sha, answer] of bad) {
        const statuses = await until(`${name} to be refused`, () => told(world, sha), 60)
        expect(statuses).toMatch(answer)
      }
      const took = (await prober.stop()).sort((a, b) => a - b)
      expect(took.length).toBeGreaterThan(50)
      // Nineteen in twenty: the machine that tests has other things to do as well. A loop that is held up by one file or body is late far oftener.
      expect(took[Math.floor(took.length * 0.95)]).toBeLessThan(200)
      expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    }),
  )
})
