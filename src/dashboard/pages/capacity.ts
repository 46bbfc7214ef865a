import type { ClusterConfig } from '../../config/index.ts'
import type { Capacity, NodeState, QueueCapacity, Share, Waiting } from '../../model/capacity.ts'
import { nodeStates } from '../../model/capacity.ts'
import { countOf, formatCount, formatDuration, formatTime } from '../../render/amounts.ts'
import { plain } from '../../render/plain.ts'
import type { CapacityRow } from '../../store/capacities.ts'
import { render } from '../template.ts'
import { partsBar } from './strip.ts'

/** Each with the fill of a state of jobs that says something like it; the word always stands beside. */
const fills: Readonly<Record<NodeState, string>> = {
  idle: 'completed',
  mixed: 'suspended',
  allocated: 'running',
  reserved: 'held',
  draining: 'queued',
  down: 'failed',
  unknown: 'canceled',
}

/** What the cluster itself last told, and of when that is; what it does not tell is named. */
export function capacityView(
  row: CapacityRow | undefined,
  { scheduler, tells, now, zone }: { scheduler: ClusterConfig['scheduler']; tells: boolean; now: Date; zone: string },
): string {
  const told = row?.told ?? null
  return render('capacity', {
    ...{ now, zone, tells, scheduler: tells ? '' : schedulerName(scheduler) },
    toldAt: row?.toldAt ?? null,
    trouble: row?.trouble == null ? null : { since: row.troubledSince, why: plain(row.trouble) },
    asked: row !== undefined,
    told: told === null ? null : toldView(told, now, zone),
  })
}

/** A file of the site's own is named by its name. */
const schedulerName = (scheduler: string) => scheduler.split('/').at(-1)!

function toldView(told: Capacity, now: Date, zone: string) {
  const { queues, nodes, cores, gpus, waiting, reservations, load } = told
  const counted = nodeStates.flatMap(state =>
    nodes?.[state] ? [{ n: nodes[state], fill: fills[state], words: `${formatCount(nodes[state])} ${state}` }] : [],
  )
  const facts = [
    ...(nodes === undefined
      ? []
      : [{ label: 'Nodes', bar: partsBar(counted), text: counted.map(one => one.words).join(', ') || 'none' }]),
    ...(cores === undefined || (cores.total === null && cores.free === null)
      ? []
      : [{ label: 'Cores', bar: shareBar(cores), text: freeOf(cores) }]),
    ...(gpus === undefined
      ? []
      : gpus.length === 0
        ? [{ label: 'GPUs', bar: null, text: 'none' }]
        : gpus.map(one => ({
            label: one.type === null ? 'GPUs' : `GPUs ${plain(one.type)}`,
            bar: shareBar(one),
            text: freeOf(one),
          }))),
    ...(waiting === undefined ? [] : [{ label: 'Waiting, of everybody', bar: null, text: waitingWords(waiting) }]),
    ...(load === undefined ? [] : [{ label: 'Load', bar: null, text: load.toFixed(2) }]),
  ]
  const columns = {
    nodes: queues?.some(one => one.nodes !== null) ?? false,
    cores: queues?.some(one => one.cores !== null) ?? false,
    limit: queues?.some(one => one.limit !== null) ?? false,
    waiting: queues?.some(one => one.waiting !== null) ?? false,
  }
  return {
    facts,
    columns,
    queues: queues?.map(one => queueView(one, columns)) ?? null,
    reservations: reservations?.map(one => ({
      name: plain(one.name),
      words: [
        one.maintenance ? 'maintenance' : '',
        one.nodes === null ? '' : countOf(one.nodes, 'node'),
        between(one.from, one.to, now, zone),
      ]
        .filter(part => part !== '')
        .join(', '),
    })),
    missing: missing(told),
  }
}

function queueView(one: QueueCapacity, columns: { readonly limit: boolean }) {
  return {
    name: plain(one.name),
    open: one.open,
    state: plain(one.state),
    limit: columns.limit ? (one.limit === null ? '–' : formatDuration(one.limit)) : null,
    nodes: one.nodes === null ? '–' : freeOf(one.nodes),
    cores: one.cores === null ? '–' : freeOf(one.cores),
    bar: one.cores === null ? null : shareBar(one.cores),
    waiting: one.waiting === null ? '–' : waitingWords(one.waiting),
  }
}

/** `54 of 64 free` */
export function freeOf({ total, free }: Share): string {
  if (free === null) return total === null ? '–' : formatCount(total)
  return total === null ? `${formatCount(free)} free` : `${formatCount(free)} of ${formatCount(total)} free`
}

export function waitingWords({ jobs, cores }: Waiting): string {
  if (jobs === null && cores === null) return '–'
  if ((jobs ?? cores) === 0) return 'nothing'
  return [jobs === null ? '' : countOf(jobs, 'job'), cores === null ? '' : countOf(cores, 'core')]
    .filter(part => part !== '')
    .join(', ')
}

function shareBar({ total, free }: Share) {
  if (total === null || free === null || total === 0) return null
  const taken = Math.max(0, total - free)
  return partsBar([
    { n: taken, fill: 'running', words: `${formatCount(taken)} taken` },
    { n: free, fill: 'completed', words: `${formatCount(free)} free` },
  ])
}

/** Kept as text: what is no time there is none here. */
function between(from: string | null, to: string | null, now: Date, zone: string): string {
  const when = (text: string | null) => {
    const at = text === null ? null : new Date(text)
    return at === null || Number.isNaN(at.getTime()) ? null : formatTime(at, zone, { seenFrom: now })
  }
  const [begins, ends] = [when(from), when(to)]
  return [begins === null ? '' : `from ${begins}`, ends === null ? '' : `to ${ends}`]
    .filter(part => part !== '')
    .join(' ')
}

function missing(told: Capacity): string {
  const parts = [
    told.queues === undefined ? 'partitions or queues' : '',
    told.nodes === undefined ? 'nodes' : '',
    told.gpus === undefined ? 'GPUs' : '',
    told.waiting === undefined ? 'what waits' : '',
    told.reservations === undefined ? 'reservations' : '',
  ].filter(part => part !== '')
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}
