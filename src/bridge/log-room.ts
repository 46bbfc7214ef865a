import { isUtf8 } from 'node:buffer'

/**
 * How much of a CI log something takes. gitlab-runner counts what it sends against its `output_limit` (4 MiB where the site says nothing) and drops the rest, the verdict with it: each line
 * has a time and the name of its stream before it (helpers/timestamper), a long one several, and a byte that is no text becomes the three of U+FFFD (helpers/trace/buffer.go).
 */
const stamp = 32
const longestLine = 4_096

export function costOf(bytes: Buffer): number {
  if (bytes.length === 0) return 0
  const last = bytes.at(-1)
  let lines = Math.floor(bytes.length / longestLine) + (last === lf || last === cr ? 0 : 1)
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === lf || bytes[at] === cr) lines++
  return (isUtf8(bytes) ? bytes.length : Buffer.byteLength(bytes.toString())) + lines * stamp
}

const [lf, cr] = [10, 13]
/** A line that is longer than what there is room for is begun only where that is worth it. */
const worthwhile = 1_000

/** The lines from the beginning that there is room for; of one that is longer than that, its beginning. */
export function headThatFits(bytes: Buffer, room: number): Buffer {
  if (costOf(bytes) <= room) return bytes
  let [end, cost] = [0, 0]
  for (;;) {
    const next = bytes.indexOf(lf, end) + 1
    if (next === 0) break
    cost += costOf(bytes.subarray(end, next))
    if (cost > room) break
    end = next
  }
  if (end > 0 || room < worthwhile) return bytes.subarray(0, end)
  return wholeLetters(bytes.subarray(0, Math.floor(room / 4)))
}

/** The last lines that there is room for, at most so many. */
export function tailThatFits(bytes: Buffer, lines: number, room: number): Buffer {
  let [start, cost] = [bytes.length, 0]
  for (let n = 0; n < lines && start > 0; n++) {
    const before = bytes.lastIndexOf(lf, start - 2) + 1
    const from = start === 1 ? 0 : before
    cost += costOf(bytes.subarray(from, start))
    if (cost > room) break
    start = from
  }
  return bytes.subarray(start)
}

/** From the first line that is whole, else from the first letter. */
export function fromLine(bytes: Buffer): Buffer {
  const line = bytes.indexOf(10) + 1
  if (line > 0 && line < bytes.length) return bytes.subarray(line)
  const letter = bytes.findIndex(byte => (byte & 0xc0) !== 0x80)
  return bytes.subarray(Math.max(0, letter))
}

/** Without the beginning of a letter at its end. */
function wholeLetters(bytes: Buffer): Buffer {
  for (let less = 1; less <= 3 && less <= bytes.length; less++) {
    const byte = bytes[bytes.length - less]!
    if (byte < 0x80) return bytes
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return length > less ? bytes.subarray(0, -less) : bytes
    }
  }
  return bytes
}
