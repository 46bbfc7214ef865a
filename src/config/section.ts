import { asMap, isEmpty, join, type Read, type Report, reportUnknown } from './fields.ts'
import type { Located, LocatedEntry, Place } from './yaml.ts'

/** One map of the file, being read key by key. */
export interface Section {
  readonly place: Place
  readonly path: string
  readonly report: Report
  has(key: string): boolean
  /** Where a key stands; the section itself where it does not. */
  at(key: string): Place
  read<T>(key: string, read: Read<T>): T | undefined
  /** As `read`; the absence of the key is a mistake too, with `remedy`. */
  need<T>(key: string, read: Read<T>, remedy: string): T | undefined
  complain(key: string, message: string, remedy: string | null): void
}

/** `what` is the owner with its article, as in "is not a key of a cluster". */
export function openSection(
  node: Located,
  path: string,
  what: string,
  keys: readonly string[],
  report: Report,
): Section | undefined {
  const map = asMap(node, path, report)
  if (map === undefined) return undefined
  const entries = new Map<string, LocatedEntry>()
  for (const entry of map.entries) {
    if (keys.includes(entry.key)) entries.set(entry.key, entry)
    else reportUnknown(entry, join(path, entry.key), what, keys, report)
  }
  const section: Section = {
    place: map,
    path,
    report,
    has: key => entries.has(key),
    at: key => entries.get(key) ?? map,
    read(key, read) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      if (isEmpty(entry.value)) {
        section.complain(key, `\`${key}\` is empty.`, 'Write a value, or leave the key out.')
        return undefined
      }
      return read(entry.value, join(path, key), report)
    },
    need(key, read, remedy) {
      if (!entries.has(key)) section.complain(key, `\`${key}\` is missing.`, remedy)
      return section.read(key, read)
    },
    complain: (key, message, remedy) => report(section.at(key), join(path, key), message, remedy),
  }
  return section
}
