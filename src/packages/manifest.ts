import { CompopsError } from '../errors.ts'

/** Pkg writes the names of a package's dependencies on one line: some KiB. */
const longest = 64 * 1024

// Each matches in one way only: a file of a researcher's that matched in many would take for ever.
const text = String.raw`"[^"\\]*"`
const value = String.raw`(?:${text}|[A-Za-z0-9_.+-]+|\[\s*(?:${text}\s*(?:,\s*${text}\s*)*(?:,\s*)?)?\])`
const line = new RegExp(String.raw`^(?:([A-Za-z0-9_-]+)\s*=\s*${value}|\[\[?([A-Za-z0-9_.-]+)\]\]?)?\s*(?:#.*)?$`)

/**
 * That a Manifest.toml and its Project.toml name registered packages only, written plainly as Pkg writes them. What has a `path` or a `repo-url` would be
 * fetched from wherever a researcher says, by the service.
 */
export function checkManifest(file: string, manifest: string): void {
  let about = ''
  manifest.split(/\r?\n/).forEach((raw, i) => {
    const found = raw.length > longest ? null : line.exec(raw.trim())
    if (found === null)
      throw new CompopsError(`${file}, line ${i + 1}: ${JSON.stringify(raw.slice(0, 200))} is not how Pkg writes it`)
    const [, key, table] = found
    if (table !== undefined) about = table.replace(/^deps\./, '')
    if (key === 'path' || key?.startsWith('repo-') === true)
      throw new CompopsError(
        `${file}, line ${i + 1}: ${about} comes from ${key === 'path' ? 'a folder' : 'a repository'}, and the service fetches registered packages only: commit a depot as julia-depot.tar, or leave it out`,
      )
  })
}

export function checkProject(file: string, project: string): void {
  const lines = project.split(/\r?\n/)
  const at = lines.findIndex(raw => /^\s*(?:\[+\s*)?["']?(?:sources|workspace)\b/.test(raw))
  if (at >= 0)
    throw new CompopsError(
      `${file}, line ${at + 1}: ${lines[at]!.trim().slice(0, 200)} names places, and the service fetches registered packages only: commit a depot as julia-depot.tar, or leave it out`,
    )
}
