import { describe, it } from 'vitest'
import { type ClusterOptions, startFakeCluster, watchLab } from '../support/kill-cluster.ts'
import { type KillStoryOptions, startKillStory } from '../support/kill-story.ts'
import { judge } from '../support/kill-verdict.ts'
import { labUp } from '../support/lab.ts'
import { startPostgres } from '../support/postgres.ts'

// The service is shot two hundred times at random and at chosen moments of the path, while people push, supersede, go back and delete.
const seed = Number(process.env.COMPOPS_KILL_SEED ?? Math.floor(Math.random() * 1e9))
const kills = Number(process.env.COMPOPS_KILLS ?? 52)

async function survives(options: Omit<KillStoryOptions, 'seed' | 'kills'>, salt: number): Promise<void> {
  const story = await startKillStory({ ...options, seed: seed + salt, kills })
  try {
    const { lastStart, slowness } = await story.play()
    await story.silence()
    const { broken, counts, resolvedAfter } = await judge(story, lastStart)
    const moments = [...story.killed].map(([name, n]) => `${name} ${n}`).join(', ')
    // Said, not asserted: it goes by the machine, by the jobs that were still to run, and by the settle time of a doubtful submission.
    console.log(
      `COMPOPS_KILL_SEED=${seed} (${salt}): ${JSON.stringify(counts)}; resolved ${(resolvedAfter / 1000).toFixed(1)} s after the last start, starts took ${slowness.toFixed(1)} times as long as on an idle machine; killed at: ${moments}`,
    )
    if (broken.length > 0)
      throw new Error(`COMPOPS_KILL_SEED=${seed}: ${broken.length} promises broken\n${report(broken)}`)
  } finally {
    await story.close()
  }
}

/** All of them by name, the first few with all that is known. */
const report = (broken: readonly string[]) =>
  [...broken.map(one => `- ${one.split('\n')[0]}`), ...broken.slice(0, 5)].join('\n')

const slurm = async (options: ClusterOptions) => watchLab(await labUp(), options)

// A promise that was broken once is broken: no second try.
describe.concurrent('killed at random moments, nothing is lost, doubled or false', {
  timeout: 1_800_000,
  retry: 0,
}, () => {
  it('on the embedded database, with an sbatch that answers at once', () =>
    survives({ replicas: 1, databaseUrl: null, cluster: startFakeCluster }, 1))

  it('on the embedded database, with an sbatch that is slow and whose answers get lost', () =>
    survives({ replicas: 1, databaseUrl: null, cluster: startFakeCluster, sbatch: 'moody' }, 2))

  it('as one of two replicas on PostgreSQL', async () => {
    const postgres = await startPostgres()
    if (postgres === null) throw new Error('this test needs PostgreSQL (Debian: apt-get install postgresql)')
    // What the dead one had claimed is free when its leases have ended.
    await survives({ replicas: 2, databaseUrl: await postgres.createDatabase(), cluster: startFakeCluster }, 3)
  })

  it('on a real Slurm', () => survives({ replicas: 1, databaseUrl: null, cluster: slurm }, 4))
})
