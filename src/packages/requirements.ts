import { CompopsError } from '../errors.ts'

/** A file of the commit; null where there is none. */
export type ReadText = (path: string) => Promise<string | null>

/** A name, extras, versions, a marker: PEP 508 without a place to fetch from. */
const named =
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*(?:\(?\s*(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+(?:\s*,\s*(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+)*\s*\)?)?\s*(?:;[A-Za-z0-9_.<>=!~'"() ,*+-]*)?$/

const hashes = /(?:\s+--hash[= ](?:sha256|sha384|sha512):[0-9a-f]+)+$/

/**
 * What pip shall fetch, one requirement a line, with the files that it includes by `-r`; and what limits it, by `-c`. A researcher wrote the file and the
 * service runs pip: only names and versions pass. An option could bring sources back (and run their setup.py here), name another index, or a
 * file of this machine.
 */
export async function readRequirements(
  path: string,
  read: ReadText,
): Promise<{ requirements: string; constraints: string }> {
  const requirements: string[] = []
  const constraints: string[] = []
  const seen = new Set<string>()
  await readOne(path, requirements)
  return { requirements: text(requirements), constraints: text(constraints) }

  async function readOne(file: string, into: string[]): Promise<void> {
    if (seen.has(file)) return
    seen.add(file)
    if (seen.size > 20) throw new CompopsError(`${path} includes more than 20 files`)
    const found = await read(file)
    if (found === null) throw new CompopsError(`${path} includes ${file}, which is not in this commit`)
    for (const { line, number } of joinLines(found)) {
      const included = /^(?:(-r|--requirement)|(?:-c|--constraint))(?:\s+|=)(\S+)$/.exec(line)
      if (included !== null) {
        const next = beside(file, included[2]!)
        if (next === null) throw new CompopsError(`${file}, line ${number}: ${JSON.stringify(included[2])} leads out`)
        await readOne(next, included[1] === undefined || into === constraints ? constraints : into)
        continue
      }
      const hash = hashes.exec(line)?.[0] ?? ''
      const requirement = line.slice(0, line.length - hash.length).trim()
      if (!named.test(requirement))
        throw new CompopsError(
          `${file}, line ${number}: ${JSON.stringify(line.slice(0, 200))} is no package by name and version, and the service fetches no others (no options, addresses or folders): commit its wheel in a folder \`wheelhouse/\`, or leave it out`,
        )
      into.push(requirement + hash.replace(/\s+/g, ' '))
    }
  }
}

const text = (lines: readonly string[]) => lines.map(line => `${line}\n`).join('')

/** As pip reads them: a backslash at the end goes on, a comment begins at `#` after space or at the start. */
function joinLines(text: string): { line: string; number: number }[] {
  const joined: { line: string; number: number }[] = []
  let open: { line: string; number: number } | null = null
  text.split(/\r?\n/).forEach((raw, i) => {
    const goesOn = raw.endsWith('\\') && !/^\s*#/.test(raw)
    const part = (goesOn ? raw.slice(0, -1) : raw).replace(/(^|\s)#.*$/, '')
    open = open === null ? { line: part, number: i + 1 } : { line: `${open.line} ${part}`, number: open.number }
    if (goesOn) return
    joined.push(open)
    open = null
  })
  if (open !== null) joined.push(open)
  return joined.map(({ line, number }) => ({ line: line.trim(), number })).filter(({ line }) => line !== '')
}

/** A path as it stands in a file, from the top folder of the commit; null where it leads out of it. */
function beside(file: string, path: string): string | null {
  if (path.startsWith('/') || path.includes(':')) return null
  const parts = file.split('/').slice(0, -1)
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return null
  }
  return parts.length === 0 ? null : parts.join('/')
}
