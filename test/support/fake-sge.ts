import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type FakeScheduler, startFakeScheduler } from './fake-scheduler.ts'

/** What it can be told stands in fake-sge/common.sh. */
export interface FakeSge extends FakeScheduler {
  /** What `behave('lag', …)` kept from the accounting file is written there. */
  flush(): void
}

export function startFakeSge(): FakeSge {
  const fake = startFakeScheduler({
    name: 'fake-sge',
    commands: ['qsub', 'qstat', 'qdel', 'qconf', 'date'],
    // Where a cell has them, so that its root is found from there.
    bin: 'root/bin/lx-amd64',
  })
  const common = join(fake.state, 'root/default/common')
  mkdirSync(common, { recursive: true })
  return {
    ...fake,
    flush() {
      const unflushed = join(fake.state, 'unflushed')
      if (existsSync(unflushed)) appendFileSync(join(common, 'accounting'), readFileSync(unflushed))
      rmSync(unflushed, { force: true })
    },
  }
}
