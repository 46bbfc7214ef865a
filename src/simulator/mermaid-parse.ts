/** Reads the part of Mermaid that computation trees are drawn with: `graph` and `flowchart`. */

export type Direction = 'TB' | 'BT' | 'LR' | 'RL'
export type Shape = 'box' | 'round' | 'pill' | 'circle' | 'diamond' | 'hexagon' | 'cylinder' | 'flag' | 'frame'

export interface Style {
  fill?: string
  stroke?: string
  color?: string
  strokeWidth?: string
  dash?: string
}

export interface GraphNode {
  id: string
  lines: string[]
  shape: Shape
  classes: string[]
  style: Style
}

export interface GraphEdge {
  from: string
  to: string
  label: string[]
  line: 'solid' | 'dotted' | 'thick' | 'hidden'
  arrow: boolean
  backArrow: boolean
  style: Style
}

export interface Subgraph {
  id: string
  title: string
  members: string[]
}

export interface Graph {
  direction: Direction
  nodes: Map<string, GraphNode>
  edges: GraphEdge[]
  subgraphs: Subgraph[]
}

const MAX_NODES = 400
const MAX_EDGES = 1_000

const SHAPES: [open: string, close: string, shape: Shape][] = [
  ['(((', ')))', 'circle'],
  ['((', '))', 'circle'],
  ['([', '])', 'pill'],
  ['[(', ')]', 'cylinder'],
  ['[[', ']]', 'frame'],
  ['[/', '/]', 'hexagon'],
  ['[\\', '\\]', 'hexagon'],
  ['{{', '}}', 'hexagon'],
  ['[', ']', 'box'],
  ['(', ')', 'round'],
  ['{', '}', 'diamond'],
  ['>', ']', 'flag'],
]

const NAMED: Record<string, string> = {
  quot: '"',
  amp: '&',
  lt: '<',
  gt: '>',
  apos: "'",
  nbsp: ' ',
  hash: '#',
  semi: ';',
  colon: ':',
}

/** `#quot;`, `#35;`, `&amp;` and line breaks; other tags are dropped. */
export function readLabel(text: string): string[] {
  return text
    .replace(/^`([\s\S]*)`$/, '$1')
    .replace(/<br\s*\/?>|\\n|\n/gi, '\u0001')
    .replace(/<\/?[a-z][^>]*>/gi, '')
    .replace(/[#&](\w+);/g, (whole, name: string) => {
      if (/^\d{1,6}$/.test(name)) return String.fromCodePoint(Math.min(Number(name), 0xffff))
      return Object.hasOwn(NAMED, name) ? (NAMED[name] ?? whole) : whole
    })
    .split('\u0001')
    .map(line => line.trim())
}

const COLOUR = /^(#[0-9a-f]{3,8}|[a-z]{3,20}|(?:rgb|hsl)a?\([\d\s.,%]+\))$/i

function readStyle(text: string): Style {
  const style: Style = {}
  for (const part of text.replace(/\\,/g, ' ').split(/[,;](?![^(]*\))/)) {
    const [key = '', ...rest] = part.split(':')
    const value = rest.join(':').trim()
    const name = key.trim().toLowerCase()
    if ((name === 'fill' || name === 'stroke' || name === 'color') && COLOUR.test(value)) style[name] = value
    if (name === 'stroke-width' && /^\d+(\.\d+)?(px)?$/.test(value)) style.strokeWidth = value
    if (name === 'stroke-dasharray' && /^[\d\s.]+$/.test(value)) style.dash = value
  }
  return style
}

class Unsupported extends Error {}

/** Null for what this cannot draw. */
export function parseGraph(source: string): Graph | null {
  try {
    return readGraph(source)
  } catch (error) {
    if (error instanceof Unsupported) return null
    throw error
  }
}

/** Statements: lines, and parts between semicolons outside quotes and brackets. */
function splitStatements(source: string): string[] {
  return source
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('%%'))
    .flatMap(line => line.match(/(?:"[^"]*"|#\w+;|&\w+;|[^;"])+|"/g) ?? [])
    .map(statement => statement.trim())
    .filter(statement => statement !== '')
}

function readGraph(source: string): Graph {
  const [header = '', ...statements] = splitStatements(source)
  const kind = /^(?:graph|flowchart)(?:-\w+)?(?:\s+(TB|TD|BT|LR|RL))?$/i.exec(header)
  if (!kind) throw new Unsupported()
  const given = (kind[1] ?? 'TB').toUpperCase()
  const graph: Graph = {
    direction: given === 'TD' ? 'TB' : (given as Direction),
    nodes: new Map(),
    edges: [],
    subgraphs: [],
  }
  const classDefs = new Map<string, Style>()
  const open: Subgraph[] = []

  for (const statement of statements) {
    const [word = ''] = statement.split(/\s/, 1)
    const rest = statement.slice(word.length).trim()
    if (word === 'subgraph') {
      const match = /^([^\s[]+)\s*\[\s*"?([\s\S]*?)"?\s*\]$/.exec(rest)
      const title = readLabel(match?.[2] ?? rest.replace(/^"|"$/g, '')).join(' ')
      const subgraph = { id: match?.[1] ?? rest, title, members: [] }
      graph.subgraphs.push(subgraph)
      open.push(subgraph)
    } else if (word === 'end' && rest === '') open.pop()
    else if (word === 'classDef') {
      const [names = '', ...style] = rest.split(/\s+/)
      for (const name of names.split(',')) classDefs.set(name, readStyle(style.join(' ')))
    } else if (word === 'class') {
      const [ids = '', name = ''] = rest.split(/\s+/)
      for (const id of ids.split(',')) node(graph, id.trim()).classes.push(name)
    } else if (word === 'style') {
      const [ids = '', ...style] = rest.split(/\s+/)
      for (const id of ids.split(',')) Object.assign(node(graph, id).style, readStyle(style.join(' ')))
    } else if (word === 'linkStyle') {
      const [numbers = '', ...style] = rest.split(/\s+/)
      const all = numbers === 'default' ? graph.edges.keys() : numbers.split(',').map(Number)
      for (const index of all) Object.assign(graph.edges[index]?.style ?? {}, readStyle(style.join(' ')))
    } else if (!/^(direction|click|accTitle|accDescr|title)\b/.test(word)) {
      for (const id of readChain(graph, statement)) for (const subgraph of open) join(subgraph, id)
    }
    if (graph.nodes.size > MAX_NODES || graph.edges.length > MAX_EDGES) throw new Unsupported()
  }

  for (const one of graph.nodes.values()) {
    const defined = ['default', ...one.classes].map(name => classDefs.get(name))
    one.style = Object.assign({}, ...defined, one.style) as Style
  }
  foldSubgraphs(graph)
  return graph
}

function join(subgraph: Subgraph, id: string): void {
  if (!subgraph.members.includes(id)) subgraph.members.push(id)
}

/** An edge to a subgraph goes to its first node; a subgraph named like a node is not one. */
function foldSubgraphs(graph: Graph): void {
  for (const subgraph of graph.subgraphs) {
    const stray = graph.nodes.get(subgraph.id)
    if (!stray || stray.lines[0] !== subgraph.id) continue
    const first = subgraph.members.find(id => id !== subgraph.id)
    if (first === undefined) continue
    graph.nodes.delete(subgraph.id)
    for (const edge of graph.edges) {
      if (edge.from === subgraph.id) edge.from = first
      if (edge.to === subgraph.id) edge.to = first
    }
    for (const other of graph.subgraphs) other.members = other.members.filter(id => id !== subgraph.id)
  }
}

function node(graph: Graph, id: string): GraphNode {
  const known = graph.nodes.get(id)
  if (known) return known
  const fresh: GraphNode = { id, lines: [id], shape: 'box', classes: [], style: {} }
  graph.nodes.set(id, fresh)
  return fresh
}

const ID = /[\p{L}\p{N}_]+(?:[-./](?=[\p{L}\p{N}_])[\p{L}\p{N}_]+)*/uy
const TEXT_LINK = /\s*([<ox]?)(--|==|-\.)\s+(?:"([^"]*)"|(.+?))\s+(-{2,}|={2,}|\.+-)([>ox]?)\s*/y
const LINK = /\s*([<ox]?)(-{2,}|={2,}|-\.+-|~{3,})(>|[ox](?=\s))?\s*(?:\|\s*"?([^|]*?)"?\s*\|)?\s*/y
const CLASS = /:::([\w-]+)/y

/** `a["A"] & b --> c -.-> d:::x`; returns the ids it names. */
function readChain(graph: Graph, text: string): string[] {
  const named: string[] = []
  let at = 0

  function take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match) at = pattern.lastIndex
    return match
  }

  function readNode(): string {
    const id = take(ID)?.[0]
    if (id === undefined) throw new Unsupported()
    const target = node(graph, id)
    named.push(id)
    for (const [opening, closing, shape] of SHAPES) {
      if (!text.startsWith(opening, at)) continue
      const start = at + opening.length
      const quoted = text[start] === '"'
      const end = quoted ? text.indexOf(`"${closing}`, start + 1) : text.indexOf(closing, start)
      if (end === -1) throw new Unsupported()
      target.lines = readLabel(text.slice(quoted ? start + 1 : start, end))
      target.shape = shape
      at = end + closing.length + (quoted ? 1 : 0)
      break
    }
    for (let match = take(CLASS); match; match = take(CLASS)) target.classes.push(match[1] ?? '')
    return id
  }

  function readGroup(): string[] {
    const group = [readNode()]
    while (take(/\s*&\s*/y)) group.push(readNode())
    return group
  }

  let left = readGroup()
  while (at < text.length) {
    const link = take(TEXT_LINK)
    const plain = link ? null : take(LINK)
    if (!link && !plain) throw new Unsupported()
    const body = link?.[2] ?? plain?.[2] ?? ''
    const label = link ? (link[3] ?? link[4] ?? '') : (plain?.[4] ?? '')
    const head = link?.[6] ?? plain?.[3] ?? ''
    const right = readGroup()
    for (const from of left) {
      for (const to of right) {
        graph.edges.push({
          from,
          to,
          label: label === '' ? [] : readLabel(label),
          line: body.startsWith('~')
            ? 'hidden'
            : body.startsWith('=')
              ? 'thick'
              : body.includes('.')
                ? 'dotted'
                : 'solid',
          arrow: head !== '',
          backArrow: (link?.[1] ?? plain?.[1] ?? '') !== '',
          style: {},
        })
      }
    }
    left = right
  }
  return named
}
