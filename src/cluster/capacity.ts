import { CompopsError } from '../errors.ts'
import { bounded, type Capacity } from '../model/capacity.ts'
import { preamble } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'

/** Longer than all its commands may take, each of which has its own deadline on the cluster. */
const deadline = 150_000

/** What the scheduler says of its queues and nodes. Nothing is concluded from it. */
export async function askCapacity(reach: Reach): Promise<Capacity> {
  const { name, dialect } = reach
  if (dialect.capacity === undefined)
    throw new CompopsError(`${name}: ${dialect.name} cannot tell of its queues and nodes`)
  reach.count(dialect.capacity.commands)
  const answer = await reach.run({
    text: `${preamble}\n${dialect.shell}\n${dialect.capacity.shell}\nscheduler_capacity\n`,
    lines: [],
    deadline,
  })
  if (answer.rc !== 0) throw notWhole(name, 'it did not tell of its queues and nodes', answer)
  return bounded(dialect.capacity.read(answer.stdout))
}
