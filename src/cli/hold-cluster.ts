/** What `compops pause` and `compops drain` have in common. */
import { readPlace } from '../config/index.ts'
import { describeHold, type Hold, type HoldMode, readMoment } from '../model/hold.ts'
import { type Io, readCommandLine, UsageError } from './command.ts'
import { askOperator } from './operator.ts'

export async function holdCluster(mode: HoldMode, args: readonly string[], io: Io): Promise<number> {
  const { config, values, files } = readCommandLine(args, io.env, { values: ['reason', 'until'], files: 1 })
  const [cluster] = files
  if (cluster === undefined)
    throw new UsageError(`which cluster? compops ${mode} falcon --reason "disks are exchanged"`)
  const { timeZone } = await readPlace(config, io.env)
  const written = values.get('until') ?? null
  const until = written === null ? null : readMoment(written, new Date(), timeZone)
  if (written !== null && until === null)
    throw new UsageError(
      `--until ${JSON.stringify(written)} is no time to come: write 2h, 3d, 18:00 or "2026-12-01 08:00" (${timeZone})`,
    )
  const { hold } = await askOperator<{ hold: Hold }>(config, io.env, {
    method: 'POST',
    path: '/hold',
    body: { cluster, mode, reason: values.get('reason') ?? null, by: personOf(io), until },
  })
  const held = { ...hold, since: new Date(hold.since), until: hold.until === null ? null : new Date(hold.until) }
  io.stdout.write(`${describeHold(held)}.\n${meanings[mode]}\n\`compops resume ${cluster}\` ends it.\n`)
  return 0
}

const meanings: Readonly<Record<HoldMode, string>> = {
  pause:
    'Nothing is handed over to it from now on, and it is asked as seldom as may be. What its scheduler has goes on, and can be cancelled.',
  drain:
    'No further job begins there. What is being handed over and what its scheduler has goes on, and is looked after as always.',
}

/** Who is at the keyboard, for those who read why. */
export function personOf({ env }: Io): string {
  return env.SUDO_USER || env.USER || env.LOGNAME || 'the operator'
}
