import type { Resources } from './job-spec.ts'
import { formatWalltime } from './walltime.ts'

/** The most that jobs of a project may ask for, by the site's choice; null: whatever the cluster allows. */
export interface Policy {
  /** Seconds. */
  readonly time: number | null
  readonly nodes: number | null
  readonly partitions: readonly string[] | null
  /** Globs, beside those of the cluster: a raw option must be on both lists. */
  readonly directives: readonly string[] | null
}

export interface OverPolicy {
  readonly key: 'time' | 'nodes' | 'partition'
  readonly message: string
  readonly remedy: string
}

/** Where a job asks for more than the site allows, or leaves the choice to a scheduler that may give more. */
export function overPolicy({ time, nodes, partition }: Resources, policy: Policy): OverPolicy[] {
  const over: OverPolicy[] = []
  if (policy.time !== null && (time === undefined || time > policy.time)) {
    const most = formatWalltime(policy.time)
    over.push({
      key: 'time',
      message:
        time === undefined
          ? `No \`time\` is named, and the site allows jobs of this project at most ${most}.`
          : `\`time\` is ${formatWalltime(time)}, and the site allows jobs of this project at most ${most}.`,
      remedy: `Write \`time: ${most.replaceAll(' ', '')}\` or less.`,
    })
  }
  if (policy.nodes !== null && nodes !== undefined && nodes > policy.nodes)
    over.push({
      key: 'nodes',
      message: `\`nodes\` is ${nodes}, and the site allows jobs of this project at most ${policy.nodes}.`,
      remedy: 'Ask for fewer, or ask the site for more.',
    })
  const allowed = policy.partitions
  if (allowed !== null) {
    const strange = partition === undefined ? null : partition.split(',').find(one => !allowed.includes(one))
    if (strange !== undefined)
      over.push({
        key: 'partition',
        message:
          strange === null
            ? 'No `partition` is named, and the site allows this project only some.'
            : `The site does not allow jobs of this project in the partition \`${strange}\`.`,
        remedy: `It allows ${allowed.map(one => `\`${one}\``).join(', ')}.`,
      })
  }
  return over
}
