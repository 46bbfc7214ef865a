import { parse, parseAllDocuments } from 'yaml'
import { type CiConfig, deepMerge, isMapping, type Mapping, readCiDocument } from './ci-config.ts'
import { readBlob, resolveCommit } from './git.ts'
import type { SimProject } from './types.ts'
import type { World } from './world.ts'
import { findProject } from './world.ts'

/** The file of a commit with everything that it includes: local files, files of other projects, components; with `spec: inputs`. */
export async function readCiOf(world: World, project: SimProject, sha: string, text: string): Promise<CiConfig> {
  try {
    const own: unknown = parse(text, { maxAliasCount: 50, merge: true })
    if (!isMapping(own)) return readCiDocument(own)
    let below: Mapping = {}
    for (const entry of own.include === undefined ? [] : [own.include].flat()) {
      const included = await fetchIncluded(world, project, sha, entry)
      below = deepMerge(below, included)
    }
    const { include: _, ...rest } = own
    return readCiDocument(deepMerge(below, rest))
  } catch (error) {
    return { jobs: [], error: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) }
  }
}

async function fetchIncluded(world: World, project: SimProject, sha: string, entry: unknown): Promise<Mapping> {
  const include: Mapping = isMapping(entry) ? entry : { local: String(entry) }
  let from = project
  let at: string | null = sha
  let paths = [String(include.local ?? include.file ?? '').replace(/^\//, '')]
  let what = paths[0] ?? ''
  if (typeof include.component === 'string') {
    const match = /^[^/]+\/(.+)\/([^/@]+)@([^@]+)$/.exec(include.component.replace('$CI_SERVER_FQDN', 'gitlab'))
    const found = match && findProject(world, match[1]!)
    if (!match || !found) throw new Error(`Component '${include.component}' - content not found`)
    from = found
    at = await resolveCommit(found.directory, match[3]!)
    paths = [`templates/${match[2]}.yml`, `templates/${match[2]}/template.yml`]
    what = include.component
  } else if (typeof include.project === 'string') {
    const found = findProject(world, include.project)
    if (!found) throw new Error(`Project \`${include.project}\` not found or access denied!`)
    from = found
    at = await resolveCommit(found.directory, String(include.ref ?? 'HEAD'))
  } else if (include.local === undefined) throw new Error('the simulator includes local files, projects and components')
  for (const path of paths) {
    const blob = at === null ? null : await readBlob(from.directory, at, path)
    if (blob !== null) return filled(blob.bytes.toString(), isMapping(include.inputs) ? include.inputs : {}, what)
  }
  throw new Error(`Local file \`${what}\` does not exist!`)
}

/** With a header of `spec: inputs`, `$[[ inputs.x ]]` gets its value; one that stands alone keeps its kind. */
function filled(text: string, given: Mapping, what: string): Mapping {
  const documents = parseAllDocuments(text, { merge: true })
  if (!Array.isArray(documents)) throw new Error(`\`${what}\`: Invalid configuration format`)
  for (const document of documents) if (document.errors[0] !== undefined) throw document.errors[0]
  const [first, second] = documents.map(document => document.toJS({ maxAliasCount: 50 }) as unknown)
  if (second === undefined || !isMapping(first) || !isMapping(first.spec)) {
    if (!isMapping(first)) throw new Error(`\`${what}\`: Invalid configuration format`)
    return first
  }
  const declared = isMapping(first.spec.inputs) ? first.spec.inputs : {}
  const unknown = Object.keys(given).find(name => !Object.hasOwn(declared, name))
  if (unknown !== undefined) throw new Error(`\`${what}\`: unknown input arguments: ${unknown}`)
  const values = new Map<string, unknown>()
  for (const [name, written] of Object.entries(declared)) {
    const input: Mapping = isMapping(written) ? written : {}
    const value = given[name] ?? input.default
    if (value === undefined) throw new Error(`\`${what}\`: \`${name}\` input: required value has not been provided`)
    checkInput(what, name, input, value)
    values.set(name, value)
  }
  return interpolate(second, values) as Mapping
}

function checkInput(what: string, name: string, input: Mapping, value: unknown): void {
  const type = typeof input.type === 'string' ? input.type : 'string'
  const fits = type === 'array' ? Array.isArray(value) : typeof value === type
  if (!fits)
    throw new Error(`\`${what}\`: \`${name}\` input: provided value is not ${type === 'array' ? 'an' : 'a'} ${type}`)
  if (Array.isArray(input.options) && !input.options.includes(value))
    throw new Error(
      `\`${what}\`: \`${name}\` input: \`${String(value)}\` cannot be used because it is not in the list of allowed options`,
    )
  if (typeof input.regex === 'string' && !new RegExp(input.regex).test(String(value)))
    throw new Error(`\`${what}\`: \`${name}\` input: provided value does not match required RegEx pattern`)
}

function interpolate(node: unknown, values: ReadonlyMap<string, unknown>): unknown {
  if (Array.isArray(node)) return node.map(one => interpolate(one, values))
  if (isMapping(node))
    return Object.fromEntries(
      Object.entries(node).map(([key, value]) => [String(interpolate(key, values)), interpolate(value, values)]),
    )
  if (typeof node !== 'string') return node
  const block = /\$\[\[\s*inputs\.([A-Za-z0-9_-]+)\s*\]\]/g
  const inputNamed = (name: string) => {
    if (!values.has(name)) throw new Error(`unknown interpolation provided: \`${name}\` in \`inputs.${name}\``)
    return values.get(name)
  }
  const alone = new RegExp(`^${block.source}$`).exec(node)
  if (alone !== null) return inputNamed(alone[1]!)
  return node.replace(block, (_, name: string) => {
    const value = inputNamed(name)
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
}
