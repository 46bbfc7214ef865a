import { type Clock, systemClock } from '../../src/clock.ts'
import type { Cluster } from '../../src/cluster/cluster.ts'
import type { Context } from '../../src/context.ts'
import { createLog, createSecrets } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { unshared } from '../../src/store/leases.ts'
import { createWake } from '../../src/wake.ts'
import type { Engine } from './stores.ts'

/** What polling needs of a context; anything else that it came to need would fail loudly. */
export function contextFor(cluster: Cluster, store: Engine['store'], clock: Clock = systemClock): Context {
  const secrets = createSecrets()
  const parts: Partial<Context> = {
    store,
    secrets,
    db: store.db,
    clock,
    lease: unshared,
    metrics: createMetrics(),
    wake: createWake(clock),
    log: createLog({ secrets, destination: { write: () => true } }),
    connections: () => [cluster.name],
    clusterOf: () => cluster,
    clusterConfig: () => ({ pollInterval: 15_000, maxPollInterval: 120_000 }) as ReturnType<Context['clusterConfig']>,
    config: { intervals: { accounting: 60_000, heads: 300_000 }, gitlab: { webhook: true } } as Context['config'],
  }
  return parts as Context
}
