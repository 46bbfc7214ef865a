import type { Layout, PlacedEdge, PlacedNode, Point } from './mermaid-layout.ts'
import { LINE_HEIGHT, layoutGraph, textWidth } from './mermaid-layout.ts'
import type { Graph, Style } from './mermaid-parse.ts'
import { parseGraph } from './mermaid-parse.ts'
import { escapeHtml } from './pages/html.ts'

const round = (value: number) => Math.round(value * 10) / 10

/** Black or white, whichever reads better on a `#rrggbb` fill; other fills keep the page's colour. */
function textColour(style: Style): string | undefined {
  if (style.color !== undefined) return style.color
  const hex = /^#([0-9a-f]{6}|[0-9a-f]{3})$/i.exec(style.fill ?? '')?.[1]
  if (hex === undefined) return style.fill === undefined ? undefined : '#1f1e24'
  const full = hex.length === 3 ? [...hex].map(c => c + c).join('') : hex
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map(at => Number.parseInt(full.slice(at, at + 2), 16))
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? '#1f1e24' : '#ffffff'
}

function paint(style: Style, what: 'shape' | 'line'): string {
  const parts: string[] = []
  if (what === 'shape' && style.fill !== undefined) parts.push(`fill:${style.fill}`)
  if (style.stroke !== undefined) parts.push(`stroke:${style.stroke}`)
  if (style.strokeWidth !== undefined) parts.push(`stroke-width:${style.strokeWidth}`)
  if (style.dash !== undefined) parts.push(`stroke-dasharray:${style.dash}`)
  return parts.length === 0 ? '' : ` style="${escapeHtml(parts.join(';'))}"`
}

function drawShape(placed: PlacedNode): string {
  const { x, y, width, height, node } = placed
  const [left, top] = [round(x - width / 2), round(y - height / 2)]
  const [w, h] = [round(width), round(height)]
  const style = paint(node.style, 'shape')
  const rect = (radius: number) => `<rect x="${left}" y="${top}" width="${w}" height="${h}" rx="${radius}"${style}/>`
  const polygon = (...points: [number, number][]) =>
    `<polygon points="${points.map(([px, py]) => `${round(px)},${round(py)}`).join(' ')}"${style}/>`
  const [right, bottom] = [left + w, top + h]
  if (node.shape === 'round') return rect(8)
  if (node.shape === 'pill') return rect(h / 2)
  if (node.shape === 'circle') return `<circle cx="${round(x)}" cy="${round(y)}" r="${round(width / 2)}"${style}/>`
  if (node.shape === 'diamond') return polygon([x, top], [right, y], [x, bottom], [left, y])
  if (node.shape === 'hexagon') {
    return polygon(
      [left + 12, top],
      [right - 12, top],
      [right, y],
      [right - 12, bottom],
      [left + 12, bottom],
      [left, y],
    )
  }
  if (node.shape === 'flag') return polygon([left, top], [right, top], [right, bottom], [left, bottom], [left + 9, y])
  if (node.shape === 'frame') {
    return `${rect(2)}<path d="M${left + 7} ${top}v${h}M${right - 7} ${top}v${h}"${paint(node.style, 'line')}/>`
  }
  if (node.shape === 'cylinder') {
    const body = `M${left} ${top + 7}v${h - 14}a${w / 2} 7 0 0 0 ${w} 0v${-(h - 14)}`
    return `<path d="${body}"${style}/><ellipse cx="${round(x)}" cy="${top + 7}" rx="${w / 2}" ry="7"${style}/>`
  }
  return rect(4)
}

function drawText(lines: string[], x: number, y: number, colour?: string): string {
  const first = y - ((lines.length - 1) * LINE_HEIGHT) / 2
  const fill = colour === undefined ? '' : ` style="fill:${escapeHtml(colour)}"`
  const spans = lines.map((line, index) => {
    const at = ` x="${round(x)}" y="${round(first + index * LINE_HEIGHT)}"`
    return `<tspan${at}>${escapeHtml(line)}</tspan>`
  })
  return `<text${fill}>${spans.join('')}</text>`
}

/** Smooth from point to point, leaving and arriving along the direction of the graph. */
function curve(points: Point[], sideways: boolean): string {
  const [start, ...rest] = points
  if (!start) return ''
  let path = `M${round(start.x)} ${round(start.y)}`
  let previous = start
  for (const point of rest) {
    const half = sideways ? (point.x - previous.x) / 2 : (point.y - previous.y) / 2
    const [c1, c2] = sideways
      ? [`${round(previous.x + half)} ${round(previous.y)}`, `${round(point.x - half)} ${round(point.y)}`]
      : [`${round(previous.x)} ${round(previous.y + half)}`, `${round(point.x)} ${round(point.y - half)}`]
    path += `C${c1} ${c2} ${round(point.x)} ${round(point.y)}`
    previous = point
  }
  return path
}

function drawEdge({ edge, points }: PlacedEdge, sideways: boolean, marker: string): string {
  if (edge.line === 'hidden') return ''
  const arrow = edge.arrow ? ` marker-end="url(#${marker})"` : ''
  const back = edge.backArrow ? ` marker-start="url(#${marker})"` : ''
  const path = `<path class="mm-edge mm-${edge.line}" d="${curve(points, sideways)}"${paint(edge.style, 'line')}${arrow}${back}/>`
  if (edge.label.length === 0) return path
  const middle = points.length % 2 === 1 ? points[(points.length - 1) / 2] : between(points)
  if (!middle) return path
  const width = Math.max(...edge.label.map(textWidth)) + 8
  const height = edge.label.length * LINE_HEIGHT
  const box = `<rect class="mm-back" x="${round(middle.x - width / 2)}" y="${round(middle.y - height / 2)}" width="${round(width)}" height="${height}" rx="3"/>`
  return `${path}<g class="mm-label">${box}${drawText(edge.label, middle.x, middle.y)}</g>`
}

function between(points: Point[]): Point | undefined {
  const [a, b] = [points[points.length / 2 - 1], points[points.length / 2]]
  return a && b ? { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } : undefined
}

function drawSubgraphs(graph: Graph, layout: Layout): string {
  return graph.subgraphs
    .map(subgraph => {
      const members = subgraph.members.map(id => layout.nodes.get(id)).filter(node => node !== undefined)
      if (members.length === 0) return ''
      const left = Math.min(...members.map(m => m.x - m.width / 2)) - 12
      const right = Math.max(...members.map(m => m.x + m.width / 2)) + 12
      const top = Math.min(...members.map(m => m.y - m.height / 2)) - 26
      const bottom = Math.max(...members.map(m => m.y + m.height / 2)) + 12
      const title = drawText([subgraph.title], (left + right) / 2, top + 13)
      return `<g class="mm-group"><rect x="${round(left)}" y="${round(top)}" width="${round(right - left)}" height="${round(bottom - top)}" rx="6"/>${title}</g>`
    })
    .join('')
}

let drawn = 0

/** A Mermaid flowchart as inline SVG, null for what this cannot draw. Colours that the text does not set come from the page. */
export function drawMermaid(source: string): string | null {
  const graph = parseGraph(source)
  if (graph === null || graph.nodes.size === 0) return null
  const layout = layoutGraph(graph)
  const sideways = graph.direction === 'LR' || graph.direction === 'RL'
  drawn = (drawn + 1) % 1_000_000
  const marker = `mm-arrow-${drawn}`
  const [width, height] = [Math.ceil(layout.width), Math.ceil(layout.height)]
  const nodes = [...layout.nodes.values()].map(
    placed =>
      `<g class="mm-node">${drawShape(placed)}${drawText(placed.node.lines, placed.x, placed.y, textColour(placed.node.style))}</g>`,
  )
  return [
    `<svg class="mermaid" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="diagram">`,
    `<defs><marker id="${marker}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="mm-arrow" d="M0 0L10 5L0 10z"/></marker></defs>`,
    drawSubgraphs(graph, layout),
    ...layout.edges.map(edge => drawEdge(edge, sideways, marker)),
    ...nodes,
    '</svg>',
  ].join('')
}
