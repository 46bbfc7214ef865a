import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'src')

/** The table of src/README.md: each row may import only rows below it, never its neighbours. */
function importTable(): string[][] {
  const text = readFileSync(join(source, 'README.md'), 'utf8')
  const fence = /```imports\n([\s\S]*?)```/.exec(text)
  if (fence === null) throw new Error('src/README.md has no ```imports table')
  return fence[1]!
    .split('\n')
    .map(line => line.trim().split(/\s+/).filter(Boolean))
    .filter(row => row.length > 0)
}

function files(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? files(path) : [path]
  })
}

/** `src/run/start.ts` is of the room `run`, `src/context.ts` of the room `context`. */
function roomOf(path: string): string {
  return relative(source, path)
    .split('/')[0]!
    .replace(/\.(d\.)?ts$|\.mjs$/, '')
}

const rows = importTable()
const rowOf = new Map(rows.flatMap((row, index) => row.map(room => [room, index] as const)))
const code = files(source).filter(path => path.endsWith('.ts') && !path.endsWith('.d.ts'))

function imports(path: string): string[] {
  const text = readFileSync(path, 'utf8')
  const found = text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'|new URL\('([^']+\.ts)', import\.meta\.url\)/g)
  return [...found].map(match => match[1] ?? match[2]!)
}

describe('the house', () => {
  it('knows every room', () => {
    const rooms = new Set(code.map(roomOf))
    rooms.delete('simulator')
    expect([...rooms].filter(room => !rowOf.has(room))).toEqual([])
  })

  it('imports downwards only', () => {
    const wrong: string[] = []
    for (const path of code) {
      const room = roomOf(path)
      for (const target of imports(path).filter(name => name.startsWith('.'))) {
        const other = roomOf(resolve(dirname(path), target))
        if (other === room) continue
        if (room === 'simulator' || (other === 'simulator' && room !== 'cli'))
          wrong.push(`${relative(root, path)} -> ${target}`)
        else if (other !== 'simulator' && rowOf.get(other)! <= rowOf.get(room)!)
          wrong.push(`${relative(root, path)} -> ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('lets cluster alone bring scheduler and remote together', () => {
    const both = new Map<string, Set<string>>()
    for (const path of code) {
      const targets = imports(path)
        .filter(name => name.startsWith('.'))
        .map(name => roomOf(resolve(dirname(path), name)))
      const room = roomOf(path)
      for (const target of targets)
        if (target === 'scheduler' || target === 'remote') both.set(room, (both.get(room) ?? new Set()).add(target))
    }
    both.delete('cluster')
    // context opens each by its name and hands both to cluster; it asks them nothing.
    both.delete('context')
    expect([...both].filter(([, targets]) => targets.size > 1)).toEqual([])
  })

  it('keeps the model free of everything but zod', () => {
    const outside = code
      .filter(path => roomOf(path) === 'model')
      .flatMap(imports)
      .filter(name => !name.startsWith('.') && name !== 'zod')
    expect(outside.filter(name => name !== 'node:crypto')).toEqual([])
  })
})
