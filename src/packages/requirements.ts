import { CompopsError } from '../errors.ts'

/** A file of the commit; null where there is none. */
export type ReadText = (path: string) => Promise<string | null>

/** Of a requirement without its hashes, and of a file's name: none that a person writes is as long. */
const longest = 4096

/** A name, extras, versions, a marker: PEP 508 without a place to fetch from. White space is one blank by then: what could match in many ways would take for ever. */
const named =
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])? ?(?:\[[A-Za-z0-9._, -]*\] ?)?(?:\(? ?(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+(?: ?, ?(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+)* ?\)? ?)?(?:;[A-Za-z0-9_.<>=!~'"() ,*+-]*)?$/

const digest = /^(?:sha256|sha384|sha512):[0-9a-f]+$/

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
        if (included[2]!.length > longest) throw tooLong(file, number)
        const next = beside(file, included[2]!)
        if (next === null) throw new CompopsError(`${file}, line ${number}: ${JSON.stringify(included[2])} leads out`)
        await readOne(next, included[1] === undefined || into === constraints ? constraints : into)
        continue
      }
      const { requirement, hashes } = takeHashes(line)
      if (requirement.length > longest) throw tooLong(file, number)
      if (!named.test(requirement))
        throw new CompopsError(
          `${file}, line ${number}: ${JSON.stringify(line.slice(0, 200))} is no package by name and version, and the service fetches no others (no options, addresses or folders): commit its wheel in a folder \`wheelhouse/\`, or leave it out`,
        )
      into.push([requirement, ...hashes].join(' '))
    }
  }
}

const text = (lines: readonly string[]) => lines.map(line => `${line}\n`).join('')

const tooLong = (file: string, number: number) =>
  new CompopsError(`${file}, line ${number}: is longer than ${longest} characters, and no package is named so`)

/** The hashes at its end, of which there may be hundreds; the rest with white space as one blank. */
function takeHashes(line: string): { requirement: string; hashes: string[] } {
  const words = line.split(/\s+/)
  const hashes: string[] = []
  for (;;) {
    const last = words.at(-1)!
    if (words.length > 1 && last.startsWith('--hash=') && digest.test(last.slice('--hash='.length)))
      hashes.push(words.pop()!)
    else if (words.length > 2 && words.at(-2) === '--hash' && digest.test(last)) hashes.push(words.splice(-2).join(' '))
    else return { requirement: words.join(' '), hashes: hashes.reverse() }
  }
}

/** As pip reads them: a backslash at the end goes on, a comment begins at `#` after space or at the start. */
function joinLines(text: string): { line: string; number: number }[] {
  const joined: { line: string; number: number }[] = []
  let open: { line: string; number: number } | null = null
  text.split(/\r\n|\r|\n/).forEach((raw, i) => {
    const goesOn = raw.endsWith('\\') && !/^\s*#/.test(raw)
    const whole = goesOn ? raw.slice(0, -1) : raw
    const comment = whole.search(/(?:^|\s)#/)
    const part = comment < 0 ? whole : whole.slice(0, comment)
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
