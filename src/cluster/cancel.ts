import { UnreadableError } from '../errors.ts'
import type { Fate, WatchedAttempt } from './contract.ts'
import { jobName } from './layout.ts'
import { cancelProgram } from './observe-program.ts'
import { notWhole, type Reach } from './reach.ts'
import { listAttempts } from './watched.ts'

export async function cancelAttempts(
  reach: Reach,
  attempts: readonly WatchedAttempt[],
  { fence = false }: { fence?: boolean } = {},
): Promise<ReadonlyMap<string, Fate>> {
  if (attempts.length === 0) return new Map()
  const answer = await reach.run({
    text: cancelProgram(reach.dialect.shell),
    lines: [String(reach.settle), fence ? 'yes' : 'no'],
    rest: listAttempts(reach, attempts),
    urgent: true,
  })
  if (answer.rc !== 0) throw notWhole(reach.name, 'it cannot be said whether the jobs were cancelled', answer)
  const lines = answer.stdout.split('\n').filter(line => line !== '')
  const asked = /^end (\d+)$/.exec(lines.at(-1) ?? '')?.[1]
  if (asked === undefined)
    throw new UnreadableError(`${reach.name}: the answer to the cancellation is not whole`, { transient: true })
  reach.count(Number(asked))
  const fates = new Map<string, Fate>()
  for (const line of lines) {
    const [word, ...rest] = line.split(' ')
    const name = rest.at(-1) ?? ''
    if (word === 'still' && !fates.has(name)) fates.set(name, 'still there')
    else if (word === 'begun' && reach.dialect.nativeId.test(rest[0] ?? '')) fates.set(name, { begunAs: rest[0]! })
  }
  return new Map(attempts.map(attempt => [attempt.id, fates.get(jobName(attempt.id)) ?? 'gone']))
}
