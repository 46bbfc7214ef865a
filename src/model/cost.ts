import { countTasks } from './array.ts'
import type { JobSpec, Resources } from './job-spec.ts'
import { mostSeconds } from './most-seconds.ts'
import type { Person } from './run.ts'

/** What jobs can cost at most: what they ask for, times their time limits, over all tasks of arrays and all attempts that may follow. */
export interface Cost {
  readonly coreHours: number
  readonly gpuHours: number
  /** Jobs without a time limit: of them nothing can be said. */
  readonly unknown: readonly string[]
}

/** From where on somebody must approve; null: any amount may begin unasked. */
export interface CostLimit {
  readonly coreHours: number | null
  readonly gpuHours: number | null
}

/** That a run costs more than may begin unasked, and who approved it. Decided when it starts: the limit that held then stands beside the estimate. */
export interface Approval {
  readonly estimate: Cost
  readonly limit: CostLimit
  /** `at`: ISO. */
  readonly approved: { readonly by: Person; readonly at: string } | null
}

export function costOf(jobs: readonly JobSpec[]): Cost {
  let [coreHours, gpuHours] = [0, 0]
  const unknown: string[] = []
  for (const job of jobs) {
    const { name, resources, array } = job
    const seconds = mostSeconds(job)
    if (seconds === undefined) {
      unknown.push(name)
      continue
    }
    const hours = (seconds / 3_600) * (array === undefined ? 1 : countTasks(array.tasks))
    coreHours += coresAsked(resources) * hours
    gpuHours += gpusAsked(resources) * hours
  }
  return { coreHours, gpuHours, unknown }
}

/** An amount that nobody knows is above every limit: else leaving out `time` would be the way around it. */
export function isAbove(cost: Cost, limit: CostLimit): boolean {
  if (limit.coreHours === null && limit.gpuHours === null) return false
  return (
    cost.unknown.length > 0 ||
    (limit.coreHours !== null && cost.coreHours > limit.coreHours) ||
    (limit.gpuHours !== null && cost.gpuHours > limit.gpuHours)
  )
}

/** As Slurm counts: one task where nothing else is said, at least one core on each node. */
export function coresAsked({ nodes, ntasks, ntasks_per_node: perNode, cpus_per_task: perTask }: Resources): number {
  const tasks = ntasks ?? (nodes ?? 1) * (perNode ?? 1)
  return Math.max(tasks, nodes ?? 1) * (perTask ?? 1)
}

export function gpusAsked({ gpus, gpus_per_node: perNode, nodes, gres }: Resources): number {
  if (gpus !== undefined) return gpus.count
  if (perNode !== undefined) return perNode.count * (nodes ?? 1)
  // In the scheduler's own words, for each node: `gpu:a100:2,shard:1`.
  const asked = /(?:^|,)gpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?(?=[,(]|$)/.exec(gres ?? '')
  return asked === null ? 0 : Number(asked[1] ?? 1) * (nodes ?? 1)
}
