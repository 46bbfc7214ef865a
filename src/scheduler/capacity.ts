import { UnreadableError } from '../errors.ts'
import type { Capacity, GpuShare, NodeState } from '../model/capacity.ts'
import { sectionMark } from './dialect.ts'

/**
 * sh text: `capacity_part NAME FILTER COMMAND…` prints what the command says, through a filter (`cat`), as a section of that name. What cannot be asked is
 * left out; no command is waited for longer than half a minute.
 */
export const capacityPart = `capacity_part() {
  _part=$1
  _filter=$2
  shift 2
  _said=$(timeout 30 "$@" 2>/dev/null </dev/null) || return 0
  printf '\\035%s\\n' "$_part"
  printf '%s\\n' "$_said" | $_filter
}`

/** Each reads its section into parts of the whole; one that cannot be read is left out. Throws where that is all of them. */
export function readCapacity(text: string, readers: Readonly<Record<string, (section: string) => Capacity>>): Capacity {
  let capacity: Capacity = {}
  let told = false
  let complaint: UnreadableError | null = null
  for (const section of text.split(sectionMark).slice(1)) {
    const name = section.split('\n', 1)[0]!
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (read === undefined) continue
    try {
      capacity = { ...capacity, ...read(section.slice(name.length + 1)) }
      told = true
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error
      complaint ??= error
    }
  }
  if (told) return capacity
  throw complaint ?? new UnreadableError('the scheduler tells nothing of its nodes and queues')
}

export interface NodeSeen {
  readonly state: NodeState
  /** null: not told. */
  readonly cores: number | null
  readonly free: number | null
}

/** Nodes together: how many in each state, and what a job could have of their cores. */
export function countNodes(nodes: readonly NodeSeen[]): Pick<Capacity, 'nodes' | 'cores'> {
  const states: Partial<Record<NodeState, number>> = {}
  for (const { state } of nodes) states[state] = (states[state] ?? 0) + 1
  return {
    nodes: states,
    cores: {
      total: sum(nodes.map(node => node.cores)),
      free: sum(nodes.map(node => (gives(node.state) ? node.free : 0))),
    },
  }
}

/** A node in such a state takes jobs of everybody, as far as it has room. */
export function gives(state: NodeState): boolean {
  return state === 'idle' || state === 'mixed' || state === 'allocated'
}

export function countGpus(found: readonly GpuShare[]): GpuShare[] {
  const types = new Map<string | null, GpuShare[]>()
  for (const one of found) types.set(one.type, [...(types.get(one.type) ?? []), one])
  return [...types]
    .map(([type, all]) => ({ type, total: sum(all.map(one => one.total)), free: sum(all.map(one => one.free)) }))
    .sort((a, b) => ((a.type ?? '') < (b.type ?? '') ? -1 : 1))
}

/** Of what is known; null where one of them is not. */
export function sum(numbers: readonly (number | null)[]): number | null {
  return numbers.reduce((all, one) => (all === null || one === null ? null : all + one), 0)
}
