import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { startSshd } from '../support/sshd.ts'
import { atMost, type Bench, type Figure, informs, median, round, timed } from './figure.ts'

const rounds = 15

/** `true` over a connection made for it, and over the one that is kept, by turns, through a real sshd. */
export async function benchSsh(bench: Bench): Promise<Figure[]> {
  const sshd = await startSshd()
  const kept = createSsh2Remote(sshd)
  const times = { fresh: [] as number[], kept: [] as number[] }
  try {
    await kept.run({ program: 'true' })
    for (let n = 1; n <= rounds; n++) {
      const remote = createSsh2Remote(sshd)
      times.fresh.push(await timed(() => remote.run({ program: 'true' })))
      await remote.close()
      for (let again = 0; again < 4; again++) times.kept.push(await timed(() => kept.run({ program: 'true' })))
    }
    const fresh = median(times.fresh)
    const warm = median(times.kept)
    bench.progress(`new connection ${round(fresh)} ms, kept ${round(warm)} ms`)
    return [
      atMost(
        'command on the kept SSH connection, to a new one',
        warm / fresh,
        0.1,
        `${round(warm)} to ${round(fresh)} ms`,
      ),
      informs('SSH connections made for the kept commands', `${kept.stats().connects} for ${kept.stats().commands}`),
    ]
  } finally {
    await kept.close()
    await sshd.stop()
  }
}
