import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, open, readdir, readFile, readlink } from 'node:fs/promises'
import { CompopsError } from '../errors.ts'

/**
 * A tar of a directory that depends on nothing but its content: sorted names, owner 0, one time for all. GNU's form (tar(5), "GNU tar archives"),
 * since its long names are plain bytes that every tar reads, old ones and busybox too.
 */

const BLOCK = 512
const SLASH = Buffer.from('/')

interface Entry {
  /** Relative, as bytes: a file name need not be text. */
  readonly name: Buffer
  readonly path: Buffer
  readonly stats: Stats
  /** Of a small file. */
  readonly content?: Buffer
}

const SMALL = 64 * 1024
/** Entries looked at together: most sources are thousands of small files, and each look waits for the disk. */
const TOGETHER = 32
const BUFFERED = 1024 * 1024

export interface TarEnd {
  readonly size: number
  readonly sha256: string
}

/** Writes the tar into a file that must not exist yet, and has it on the disk at the end. */
export async function writeTar(root: string, into: string, mtime: number): Promise<TarEnd> {
  const file = await open(into, 'wx', 0o600)
  const hash = createHash('sha256')
  let size = 0
  try {
    let waiting: Uint8Array[] = []
    let waitingSize = 0
    const flush = async () => {
      const bytes = Buffer.concat(waiting)
      waiting = []
      waitingSize = 0
      hash.update(bytes)
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
    }
    const write = async (bytes: Uint8Array) => {
      size += bytes.length
      waitingSize += bytes.length
      waiting.push(bytes)
      if (waitingSize >= BUFFERED) await flush()
    }
    for await (const entry of walk(Buffer.from(root), Buffer.alloc(0))) await writeEntry(entry, mtime, write)
    // Two empty blocks end a tar; whole records of 20 blocks, since some tars complain otherwise.
    const record = BLOCK * 20
    await write(Buffer.alloc(BLOCK * 2 + ((record - ((size + BLOCK * 2) % record)) % record)))
    await flush()
    await file.sync()
  } finally {
    await file.close()
  }
  return { size, sha256: hash.digest('hex') }
}

/** A few files of known content as a tar in memory; only the owner may read them. */
export function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks: Buffer[] = []
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text)
    blocks.push(header(Buffer.from(name), { type: '0', mode: 0o600, size: content.length, mtime: 0 }), content)
    if (content.length % BLOCK !== 0) blocks.push(Buffer.alloc(BLOCK - (content.length % BLOCK)))
  }
  return Buffer.concat([...blocks, Buffer.alloc(BLOCK * 2)])
}

async function* walk(root: Buffer, below: Buffer): AsyncGenerator<Entry> {
  const here = below.length === 0 ? root : Buffer.concat([root, SLASH, below])
  const names = await readdir(here, { encoding: 'buffer' })
  names.sort(Buffer.compare)
  for (let at = 0; at < names.length; at += TOGETHER) {
    const entries = await Promise.all(names.slice(at, at + TOGETHER).map(name => look(here, below, name)))
    for (const entry of entries) {
      yield entry
      if (entry.stats.isDirectory()) yield* walk(root, entry.name)
    }
  }
}

async function look(here: Buffer, below: Buffer, file: Buffer): Promise<Entry> {
  const name = below.length === 0 ? file : Buffer.concat([below, SLASH, file])
  const path = Buffer.concat([here, SLASH, file])
  const stats = await lstat(path)
  if (!stats.isFile() || stats.size > SMALL) return { name, path, stats }
  return { name, path, stats, content: await readFile(path) }
}

async function writeEntry(entry: Entry, mtime: number, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const { stats, path } = entry
  if (stats.isDirectory()) {
    await write(header(Buffer.concat([entry.name, SLASH]), { type: '5', mode: 0o755, size: 0, mtime }))
  } else if (stats.isSymbolicLink()) {
    const target = await readlink(path, { encoding: 'buffer' })
    await write(header(entry.name, { type: '2', mode: 0o777, size: 0, mtime, target }))
  } else if (stats.isFile()) {
    const mode = (stats.mode & 0o100) === 0 ? 0o644 : 0o755
    const size = entry.content?.length ?? stats.size
    await write(header(entry.name, { type: '0', mode, size, mtime }))
    if (entry.content === undefined) await copyFile(path, size, write)
    else await write(entry.content)
    if (size % BLOCK !== 0) await write(Buffer.alloc(BLOCK - (size % BLOCK)))
  } else {
    throw new CompopsError(`${entry.name.toString()}: neither file, directory nor symbolic link; it cannot be packed`)
  }
}

async function copyFile(path: Buffer, size: number, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const file = await open(path, 'r')
  try {
    const chunk = Buffer.allocUnsafe(Math.min(Math.max(size, 1), 1 << 20))
    let left = size
    while (left > 0) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(left, chunk.length))
      if (bytesRead === 0) throw new CompopsError(`${path.toString()} changed while it was packed`, { transient: true })
      // A copy, since the writer may hold it while we read on.
      await write(Buffer.from(chunk.subarray(0, bytesRead)))
      left -= bytesRead
    }
  } finally {
    await file.close()
  }
}

interface Fields {
  type: '0' | '2' | '5' | 'K' | 'L'
  mode: number
  size: number
  mtime: number
  target?: Buffer
}

/** The header block; a name or target over 100 bytes is said before it, in an entry of its own. */
function header(name: Buffer, fields: Fields): Buffer {
  const blocks: Buffer[] = []
  const target = fields.target ?? Buffer.alloc(0)
  if (target.length > 100) blocks.push(longName('K', target))
  if (name.length > 100) blocks.push(longName('L', name))
  const block = Buffer.alloc(BLOCK)
  name.copy(block, 0, 0, 100)
  putNumber(block, 100, 8, fields.mode)
  putNumber(block, 108, 8, 0)
  putNumber(block, 116, 8, 0)
  putNumber(block, 124, 12, fields.size)
  putNumber(block, 136, 12, fields.mtime)
  block.fill(' ', 148, 156)
  block.write(fields.type, 156, 'latin1')
  target.copy(block, 157, 0, 100)
  block.write('ustar  \0', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  blocks.push(block)
  return Buffer.concat(blocks)
}

function longName(type: 'K' | 'L', name: Buffer): Buffer {
  const size = name.length + 1
  const data = Buffer.alloc(Math.ceil(size / BLOCK) * BLOCK)
  name.copy(data)
  return Buffer.concat([header(Buffer.from('././@LongLink'), { type, mode: 0o644, size, mtime: 0 }), data])
}

/** Octal digits, or from 8 GiB on the base-256 of GNU. */
function putNumber(block: Buffer, at: number, width: number, value: number): void {
  if (value < 8 ** (width - 1)) {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1')
    return
  }
  block[at] = 0x80
  block.writeUIntBE(value, at + width - 6, 6)
}
