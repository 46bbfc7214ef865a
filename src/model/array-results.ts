import { readTasks } from './array.ts'
import type { Collected, CollectedTask, OutputFile } from './observation.ts'

/** Outputs of an array that are listed; more are counted. */
const mostOutputs = 2_000

/** The metrics of all tasks as those of one job: of each its least, mean and largest value. */
export function together(tasks: readonly CollectedTask[]): Record<string, number> {
  const values = new Map<string, number[]>()
  for (const task of tasks)
    for (const [name, value] of Object.entries(task.metrics)) {
      const list = values.get(name)
      if (list === undefined) values.set(name, [value])
      else list.push(value)
    }
  const metrics = new Map<string, number>()
  for (const [name, list] of values) {
    metrics.set(`${name}.min`, Math.min(...list))
    metrics.set(`${name}.mean`, list.reduce((sum, value) => sum + value, 0) / list.length)
    metrics.set(`${name}.max`, Math.max(...list))
  }
  return Object.fromEntries(metrics)
}

/** Later ones win: a task that ran again has written its files anew. */
export function mergeOutputs(lists: readonly (readonly OutputFile[])[]): { outputs: OutputFile[]; omitted: number } {
  const byPath = new Map<string, OutputFile>()
  for (const list of lists) for (const file of list) byPath.set(file.path, file)
  const outputs = [...byPath.values()]
  return { outputs: outputs.slice(0, mostOutputs), omitted: Math.max(0, outputs.length - mostOutputs) }
}

/**
 * The results of an array that was handed over in several attempts. Metrics and last lines of each task are those of the last attempt in which it began, also
 * where that left none: numbers of a failed try are no result. Files stay listed until they are written anew.
 */
export function mergeCollected(all: readonly Collected[]): Collected | null {
  const last = all.at(-1)
  if (last === undefined) return null
  if (all.length === 1) return last
  const tasks = new Map<number, CollectedTask>()
  for (const collected of all) {
    for (const index of readTasks(collected.ran ?? '')) tasks.delete(index)
    for (const task of collected.tasks ?? []) tasks.set(task.index, task)
  }
  const list = [...tasks.values()].sort((a, b) => a.index - b.index)
  const { outputs, omitted } = mergeOutputs(all.map(collected => collected.outputs))
  return {
    ...last,
    outputs,
    outputsOmitted: omitted + Math.max(...all.map(collected => collected.outputsOmitted)),
    metrics: together(list),
    metricsProblem: all.find(collected => collected.metricsProblem !== null)?.metricsProblem ?? null,
    tasks: list,
  }
}
