import { createHash } from 'node:crypto'

/** Windows keeps these for devices, with any ending and in any case. */
const DEVICE = /^(con|prn|aux|nul|conin|conout|com\d|lpt\d)(\.|$)/i
const READABLE = /^[\p{L}\p{M}\p{N}\p{Extended_Pictographic}._=@,-]$/u
const LONGEST = 180

/**
 * A file path that stands for a git branch: the same folders, readable where that is safe on Windows, in an address and in a shell, else
 * percent-encoded by byte. Different branches have different paths; two that differ in case alone still meet on a file system that does not tell case.
 *
 * @example branchFile('calc/4d?') // not a branch, but: 'calc/4d%3F'
 */
export function branchFile(branch: string): string {
  return branch.split('/').map(encodePart).join('/')
}

function encodePart(part: string): string {
  // No branch has an empty part, but a page must not fail for a text that is none.
  if (part === '') return '%'
  const characters = [...part]
  const last = characters.length - 1
  const device = DEVICE.test(part)
  // A folder must never be called as the file of a run could be.
  const ending = /\.ya?ml$/i.test(part) ? part.lastIndexOf('.') : -1
  let place = 0
  let encoded = ''
  for (const [index, character] of characters.entries()) {
    const first = index === 0 && (device || character === '.' || character === '-')
    const end = index === last && character === '.'
    encoded += first || end || place === ending || !READABLE.test(character) ? percent(character) : character
    place += character.length
  }
  return Buffer.byteLength(encoded) > LONGEST ? shorten(part, encoded) : encoded
}

/** By UTF-8 byte. Half a surrogate pair, which UTF-8 cannot say, gets the three bytes that nothing else has. */
function percent(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const lone = code >= 0xd800 && code <= 0xdfff
  const bytes = lone
    ? [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]
    : [...Buffer.from(character)]
  return bytes.map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

/** File systems end names at 255 bytes. The plus sign is encoded in all other names, so none of them can look like this. */
function shorten(part: string, encoded: string): string {
  let start = ''
  for (const [piece] of encoded.matchAll(/%[0-9A-F]{2}|[\s\S]/gu)) {
    if (Buffer.byteLength(start) + Buffer.byteLength(piece) > 100) break
    start += piece
  }
  return `${start}+${createHash('sha256').update(Buffer.from(part, 'utf16le')).digest('hex').slice(0, 40)}`
}
