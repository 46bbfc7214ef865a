import type { Direction, Graph, GraphEdge, GraphNode } from './mermaid-parse.ts'

/** Places a graph in layers: ranks by longest path, order by barycentre, positions by least squares. */

export interface Point {
  x: number
  y: number
}

export interface PlacedNode extends Point {
  node: GraphNode
  width: number
  height: number
}

export interface PlacedEdge {
  edge: GraphEdge
  points: Point[]
}

export interface Layout {
  nodes: Map<string, PlacedNode>
  edges: PlacedEdge[]
  width: number
  height: number
}

/** Width of a line at 13 px, near enough to keep text inside its box. */
export function textWidth(text: string): number {
  let width = 0
  for (const char of text) {
    if (/[\u1100-\u115f\u2e80-\u9fff\uac00-\ud7a3\uff00-\uff60]|\p{Extended_Pictographic}/u.test(char)) width += 14
    else if (/[A-ZMWmw@%&#▇]/.test(char)) width += 9.2
    else if (/[iljtfr.,:;'|!()[\]/\s]/.test(char)) width += 4.6
    else width += 7.2
  }
  return width
}

export const LINE_HEIGHT = 18

function sizeOf(node: GraphNode): { width: number; height: number } {
  const text = Math.max(...node.lines.map(textWidth), 10)
  const lines = node.lines.length * LINE_HEIGHT
  if (node.shape === 'diamond') return { width: text * 1.35 + 46, height: lines * 1.5 + 30 }
  if (node.shape === 'circle') {
    const side = Math.max(text + 24, lines + 24)
    return { width: side, height: side }
  }
  const extra = node.shape === 'pill' || node.shape === 'hexagon' ? 20 : 0
  return { width: text + 28 + extra, height: lines + (node.shape === 'cylinder' ? 28 : 16) }
}

/** Space that a subgraph's frame takes beside its nodes. */
const FRAME = 26

/** A place in a layer: a node, or a bend of an edge that passes through. */
interface Slot {
  id: string
  /** Extent across the layer. */
  size: number
  /** The subgraph it stands in, null for none and for bends. */
  group: string | null
  /** Centre across the layer. */
  at: number
  before: Slot[]
  after: Slot[]
}

function rankNodes(graph: Graph): Map<string, number> {
  const outgoing = Map.groupBy(graph.edges, edge => edge.from)
  const rank = new Map<string, number>()
  const state = new Map<string, 'open' | 'done'>()
  const order: string[] = []
  const backwards = new Set<GraphEdge>()
  // Without recursion: a chain of 400 nodes is legal.
  for (const root of graph.nodes.keys()) {
    const stack: [string, number][] = [[root, 0]]
    if (state.has(root)) continue
    state.set(root, 'open')
    while (stack.length > 0) {
      const top = stack.at(-1) as [string, number]
      const edge = outgoing.get(top[0])?.[top[1]]
      top[1] += 1
      if (!edge) {
        state.set(top[0], 'done')
        order.unshift(top[0])
        stack.pop()
      } else if (state.get(edge.to) === 'open') backwards.add(edge)
      else if (!state.has(edge.to)) {
        state.set(edge.to, 'open')
        stack.push([edge.to, 0])
      }
    }
  }
  for (const id of order) {
    rank.set(id, rank.get(id) ?? 0)
    for (const edge of outgoing.get(id) ?? []) {
      if (backwards.has(edge)) continue
      rank.set(edge.to, Math.max(rank.get(edge.to) ?? 0, (rank.get(id) ?? 0) + 1))
    }
  }
  return rank
}

/** Least squares under minimum distances (pool adjacent violators): each slot as near to its wish as its neighbours allow. */
function settle(layer: Slot[], wishes: number[], gap: number): void {
  const offsets: number[] = [0]
  for (let index = 1; index < layer.length; index += 1) {
    const [before, here] = [layer[index - 1], layer[index]]
    // Room for the frame and the title of a subgraph between what stands inside and what stands outside.
    const frame = before?.group !== here?.group && before?.id !== '' && here?.id !== '' ? FRAME : 0
    const distance = ((before?.size ?? 0) + (here?.size ?? 0)) / 2 + gap + frame
    offsets.push((offsets[index - 1] ?? 0) + distance)
  }
  const blocks: { sum: number; count: number }[] = []
  for (const [index, wish] of wishes.entries()) {
    blocks.push({ sum: wish - (offsets[index] ?? 0), count: 1 })
    while (blocks.length > 1) {
      const last = blocks.at(-1) as { sum: number; count: number }
      const previous = blocks.at(-2) as { sum: number; count: number }
      if (previous.sum / previous.count <= last.sum / last.count) break
      blocks.pop()
      previous.sum += last.sum
      previous.count += last.count
    }
  }
  let index = 0
  for (const block of blocks) {
    for (let left = block.count; left > 0; left -= 1) {
      const slot = layer[index]
      if (slot) slot.at = block.sum / block.count + (offsets[index] ?? 0)
      index += 1
    }
  }
}

function mean(slots: Slot[]): number | null {
  return slots.length === 0 ? null : slots.reduce((sum, slot) => sum + slot.at, 0) / slots.length
}

export function layoutGraph(graph: Graph): Layout {
  const sideways = graph.direction === 'LR' || graph.direction === 'RL'
  const sizes = new Map([...graph.nodes.values()].map(node => [node.id, sizeOf(node)]))
  const rank = rankNodes(graph)
  const depth = Math.max(0, ...rank.values()) + 1
  const layers: Slot[][] = Array.from({ length: depth }, () => [])
  const slots = new Map<string, Slot>()
  const groups = new Map(graph.subgraphs.flatMap(subgraph => subgraph.members.map(id => [id, subgraph.id] as const)))
  for (const node of graph.nodes.values()) {
    const { width, height } = sizes.get(node.id) ?? { width: 0, height: 0 }
    const slot: Slot = {
      id: node.id,
      size: sideways ? height : width,
      group: groups.get(node.id) ?? null,
      at: 0,
      before: [],
      after: [],
    }
    slots.set(node.id, slot)
    layers[rank.get(node.id) ?? 0]?.push(slot)
  }
  const routes = new Map<GraphEdge, Slot[]>()
  for (const edge of graph.edges) {
    const [from, to] = [slots.get(edge.from), slots.get(edge.to)]
    if (!from || !to || from === to) continue
    const [start, end] = [rank.get(edge.from) ?? 0, rank.get(edge.to) ?? 0]
    const step = start < end ? 1 : -1
    const route: Slot[] = []
    let previous = from
    const link = (next: Slot) => {
      if (step === 1) {
        previous.after.push(next)
        next.before.push(previous)
      } else {
        previous.before.push(next)
        next.after.push(previous)
      }
      previous = next
    }
    for (let level = start + step; level !== end && start !== end; level += step) {
      const bend: Slot = { id: '', size: 8, group: null, at: 0, before: [], after: [] }
      layers[level]?.push(bend)
      route.push(bend)
      link(bend)
    }
    if (start !== end) link(to)
    routes.set(edge, route)
  }

  const gap = sideways ? 18 : 26
  for (const layer of layers)
    settle(
      layer,
      layer.map((_, index) => index * 40),
      gap,
    )
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const down = sweep % 2 === 0
    for (const layer of down ? layers : layers.toReversed()) {
      const wish = new Map(layer.map(slot => [slot, mean(down ? slot.before : slot.after) ?? slot.at]))
      layer.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0))
      settle(
        layer,
        layer.map(slot => wish.get(slot) ?? 0),
        gap,
      )
    }
  }
  for (let sweep = 0; sweep < 8; sweep += 1) {
    for (const layer of sweep % 2 === 0 ? layers : layers.toReversed()) {
      settle(
        layer,
        layer.map(slot => mean([...slot.before, ...slot.after]) ?? slot.at),
        gap,
      )
    }
  }
  return measure(graph, sizes, layers, slots, routes, rank)
}

function measure(
  graph: Graph,
  sizes: Map<string, { width: number; height: number }>,
  layers: Slot[][],
  slots: Map<string, Slot>,
  routes: Map<GraphEdge, Slot[]>,
  rank: Map<string, number>,
): Layout {
  const sideways = graph.direction === 'LR' || graph.direction === 'RL'
  const margin = 8 + (graph.subgraphs.length > 0 ? 22 : 0)
  const labels = graph.edges.map(edge =>
    sideways ? Math.max(0, ...edge.label.map(textWidth)) : edge.label.length * LINE_HEIGHT,
  )
  const between = (sideways ? 52 : 44) + Math.max(0, ...labels)
  const thickness = layers.map(layer =>
    Math.max(
      0,
      ...layer.map(slot => (slot.id === '' ? 0 : (sizes.get(slot.id)?.[sideways ? 'width' : 'height'] ?? 0))),
    ),
  )
  const centres: number[] = []
  let along = margin
  for (const thick of thickness) {
    centres.push(along + thick / 2)
    along += thick + between
  }
  const length = along - between + margin
  const all = layers.flat()
  const low = Math.min(0, ...all.map(slot => slot.at - slot.size / 2))
  const high = Math.max(0, ...all.map(slot => slot.at + slot.size / 2))
  const breadth = high - low + 2 * margin

  const place = (level: number, at: number): Point => {
    const main = centres[level] ?? 0
    const cross = at - low + margin
    return turn(graph.direction, main, cross, length)
  }
  const nodes = new Map<string, PlacedNode>()
  for (const node of graph.nodes.values()) {
    const size = sizes.get(node.id) ?? { width: 0, height: 0 }
    nodes.set(node.id, { node, ...size, ...place(rank.get(node.id) ?? 0, slots.get(node.id)?.at ?? 0) })
  }
  const edges = graph.edges.flatMap(edge => {
    const [from, to] = [nodes.get(edge.from), nodes.get(edge.to)]
    if (!from || !to) return []
    const start = rank.get(edge.from) ?? 0
    const step = start < (rank.get(edge.to) ?? 0) ? 1 : -1
    const bends = (routes.get(edge) ?? []).map((slot, index) => place(start + step * (index + 1), slot.at))
    return [{ edge, points: connect(from, bends, to, sideways) }]
  })
  const [width, height] = sideways ? [length, breadth] : [breadth, length]
  return { nodes, edges, width, height }
}

function turn(direction: Direction, main: number, cross: number, length: number): Point {
  if (direction === 'TB') return { x: cross, y: main }
  if (direction === 'BT') return { x: cross, y: length - main }
  if (direction === 'LR') return { x: main, y: cross }
  return { x: length - main, y: cross }
}

/** From border to border: edges leave and arrive on the side that faces the other layer. */
function connect(from: PlacedNode, bends: Point[], to: PlacedNode, sideways: boolean): Point[] {
  if (from === to) {
    const right = from.x + from.width / 2
    return [
      { x: right, y: from.y - 6 },
      { x: right + 26, y: from.y },
      { x: right, y: from.y + 6 },
    ]
  }
  return [leave(from, bends[0] ?? to, sideways), ...bends, leave(to, bends.at(-1) ?? from, sideways)]
}

function leave(node: PlacedNode, towards: Point, sideways: boolean): Point {
  if (sideways) {
    if (Math.abs(towards.x - node.x) < 1)
      return { x: node.x, y: node.y + (Math.sign(towards.y - node.y) * node.height) / 2 }
    return { x: node.x + (Math.sign(towards.x - node.x) * node.width) / 2, y: node.y }
  }
  if (Math.abs(towards.y - node.y) < 1)
    return { x: node.x + (Math.sign(towards.x - node.x) * node.width) / 2, y: node.y }
  return { x: node.x, y: node.y + (Math.sign(towards.y - node.y) * node.height) / 2 }
}
