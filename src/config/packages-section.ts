import { asLine, choice, listOf, type Read } from './fields.ts'
import { type PackageKind, type PackagesConfig, packageKinds } from './schema.ts'
import { openSection } from './section.ts'
import { asInterval, readableFile, type Surroundings, sizeUpTo } from './values.ts'
import { quote } from './yaml.ts'

/** What fetches a kind by itself, where no program of the site does. */
const tools: Readonly<Record<PackageKind, string>> = { python: 'pip', julia: 'julia' }
const gibi = 1024 ** 3

/** `cluster` (as if it were left out), `service`, or which kinds, by what, and limits. null: jobs fetch themselves. */
export function packagesReader(around: Surroundings): Read<PackagesConfig | null> {
  return (node, path, report) => {
    const usual = { platforms: [], limit: 4 * gibi, timeout: 1_800_000 }
    if (node.kind === 'scalar') {
      const word = choice(['cluster', 'service'])(node, path, report)
      return word === 'service' ? { by: { python: tools.python }, ...usual } : null
    }
    const section = openSection(
      node,
      path,
      '`packages`',
      [...packageKinds, 'python_version', 'platforms', 'limit', 'timeout'],
      report,
    )
    if (section === undefined) return undefined
    const by: Partial<Record<PackageKind, string>> = {}
    for (const kind of packageKinds) {
      const program = section.read(kind, asProgram(tools[kind], around))
      if (program !== undefined) by[kind] = program
    }
    if (!packageKinds.some(kind => section.has(kind)))
      report(
        section.place,
        path,
        '`packages` names nothing to fetch.',
        'Write `packages: { python: pip }`, or `packages: service`, which means the same.',
      )
    const pythonVersion = section.read('python_version', asPythonVersion)
    return {
      by,
      ...(pythonVersion === undefined ? {} : { pythonVersion }),
      platforms: section.read('platforms', listOf(asPlatform)) ?? usual.platforms,
      limit: section.read('limit', sizeUpTo(1024 * gibi)) ?? usual.limit,
      timeout: section.read('timeout', asInterval) ?? usual.timeout,
    }
  }
}

/** The tool's own name, or the path of a program on this machine. */
function asProgram(tool: string, around: Surroundings): Read<string> {
  return (node, path, report) => {
    const text = asLine(node, path, report)
    if (text === undefined || text === tool) return text
    if (text.includes('/')) return readableFile(around)(node, path, report)
    report(
      node,
      path,
      `${quote(text)} is no program that is known here.`,
      `Write \`${tool}\`, or the path of a program of the site's own, \`./fetch-packages\`.`,
    )
    return undefined
  }
}

const asPythonVersion: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined || /^3\.\d{1,2}$/.test(text)) return text
  report(node, path, `${quote(text)} is no version of Python.`, 'Write it in quotes, without its last part: `"3.11"`.')
  return undefined
}

const asPlatform: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined || /^[a-z0-9_]{1,60}$/.test(text)) return text
  report(node, path, `${quote(text)} is no platform.`, 'Write it as pip does: `manylinux_2_17_x86_64`.')
  return undefined
}
