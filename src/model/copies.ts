import { branchFile } from './branch-file.ts'

/** Small outputs come back as files beside the record of their run: which, under what name, and whether what came is what the job listed. */

/** Bytes; 0 where nothing comes back. */
export interface CopyLimits {
  readonly file: number
  readonly run: number
}

/** What every run of a busy project adds to the repository for ever, unless the site says otherwise. */
export const usualCopyLimits: CopyLimits = { file: 1024 ** 2, run: 10 * 1024 ** 2 }

/** Files of one job: a thousand small ones are an archive, which belongs on the cluster. */
const mostFiles = 200
const longestName = 900
const deepest = 20

export interface Copyable {
  readonly path: string
  readonly size: number
  readonly sha256: string | null
  /** COMPOPS_OUTPUT_DIR, else the checkout. */
  readonly ofOutputDirectory: boolean
}

export interface Copy {
  /** Index into the outputs. */
  readonly output: number
  /** Below the folder of the run: safe in git, in an address, in Markdown and on Windows. */
  readonly name: string
  readonly size: number
  readonly sha256: string
  readonly kind: CopyKind
}

export type CopyKind = 'image' | 'text'

/** SVG is text that may hold scripts: it is shown by GitLab inside `<img>` alone, where none runs (SVG 2, "secure static mode"). */
const images = /\.(png|jpe?g|svg)$/i
export const isImageName = (name: string): boolean => images.test(name)

/**
 * The outputs of a job that are to come back, pictures before the others and small ones before large ones, as long as there is `room` (bytes). Those
 * without a digest, or with a name that no line of ours can carry, stay where they are.
 */
export function chooseCopies(job: string, outputs: readonly Copyable[], limits: CopyLimits, room: number): Copy[] {
  const chosen: Copy[] = []
  const names = new Set<string>()
  const folders = new Set<string>()
  let left = Math.min(room, limits.run)
  const candidates = outputs
    .map((output, index) => ({ output, index, image: isImageName(output.path) }))
    .filter(({ output }) => output.sha256 !== null && output.size <= limits.file && limits.file > 0)
    .sort(
      (a, b) =>
        Number(b.image) - Number(a.image) || a.output.size - b.output.size || (a.output.path < b.output.path ? -1 : 1),
    )
  for (const { output, index, image } of candidates) {
    if (chosen.length >= mostFiles) break
    if (output.size > left) continue
    const name = copyName(job, output)
    if (name === null || names.has(name) || folders.has(name)) continue
    const above = foldersOf(name)
    // Git has no room for a file and a folder of one name; on a disk there is neither, but the list was not made in one moment.
    if (above.some(folder => names.has(folder))) continue
    names.add(name)
    for (const folder of above) folders.add(folder)
    left -= output.size
    chosen.push({ output: index, name, size: output.size, sha256: output.sha256!, kind: image ? 'image' : 'text' })
  }
  return chosen
}

/** Each part is encoded as those of branches are, so `.git`, `..` and control characters cannot stand in it. The plus sign is in no encoded name. */
function copyName(job: string, { path, ofOutputDirectory }: Copyable): string | null {
  if (/[\0-\x1f\x7f\ufffd]/.test(path) || /^\s|\s$/.test(path)) return null
  const name = `${copyFolder(job)}${ofOutputDirectory ? '+output' : ''}/${branchFile(path)}`
  return name.length > longestName || name.split('/').length > deepest ? null : name
}

/** Of a job, below the folder of its run. What is encoded holds no percent sign of its own, so no other job has it. */
export function copyFolder(job: string): string {
  return branchFile(job).replaceAll('/', '%2F')
}

/** All folders above, e.g. `a`, `a/b` of `a/b/c`. */
export function foldersOf(name: string): string[] {
  const parts = name.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

/** Whether what came is a picture, or else text. Anything else is no use in a repository. */
export function kindOfBytes(name: string, bytes: Uint8Array): CopyKind | null {
  if (/\.png$/i.test(name) && startsWith(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])) return 'image'
  if (/\.jpe?g$/i.test(name) && startsWith(bytes, [0xff, 0xd8, 0xff])) return 'image'
  const text = textOf(bytes)
  if (text === null) return null
  return /\.svg$/i.test(name) && /<svg[\s>]/i.test(text) ? 'image' : 'text'
}

function startsWith(bytes: Uint8Array, head: readonly number[]): boolean {
  return head.every((byte, index) => bytes[index] === byte)
}

function textOf(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}
