import { asLine, asList, asMap, isEmpty, join, reportUnknown } from '../config/fields.ts'
import {
  type Located,
  type LocatedEntry,
  type LocatedMap,
  type LocateResult,
  type Place,
  quote,
} from '../config/yaml.ts'
import type { ResolvedInclude } from '../model/job-spec.ts'
import type { SharedFile, SpecLimits } from './context.ts'
import { refusePath } from './glob.ts'
import { mergeMaps } from './merge.ts'
import type { Problems } from './problems.ts'

const mostFiles = 20
const deepest = 5
/** What a file that is included may say: the rest is the business of the branch. */
const includable = ['include', 'cluster', 'defaults', 'jobs']

export interface IncludeReader {
  /** A file of the commit itself. */
  own(path: string): Promise<string | null>
  shared(project: string, ref: string | null, path: string): Promise<SharedFile>
  yaml(text: string): Promise<LocateResult | { readonly ok: false; readonly refused: string; readonly remedy: string }>
}

/** Where the file stands that includes: its `local` is of the same project, at the same commit. */
interface Home {
  readonly project: string | null
  readonly ref: string | null
  readonly sha: string | null
}

interface Wanted {
  readonly place: Place
  readonly path: string
  readonly project: string | null
  readonly ref: string | null
}

export interface WithIncludes {
  readonly root: Located
  /** Files of other projects, and the commits that their refs were at. */
  readonly includes: readonly ResolvedInclude[]
}

/**
 * `include: [{ local: jobs/common.yml }, { project: group/shared, ref: v2, file: jobs.yml }]`, as GitLab merges: what is included comes first, a later file over
 * an earlier one, the file itself over all. What it names is told at its place in the file that says so. Rejects with what the reader throws.
 */
export async function readIncludes(
  root: Located,
  reader: IncludeReader,
  limits: SpecLimits,
  problems: Problems,
): Promise<WithIncludes> {
  const includes: ResolvedInclude[] = []
  let files = 0
  let bytes = 0

  async function withIncludes(map: LocatedMap, home: Home, trail: readonly string[]): Promise<LocatedMap> {
    const entry = map.entries.find(one => one.key === 'include')
    if (entry === undefined) return map
    const rest: LocatedMap = { ...map, entries: map.entries.filter(one => one !== entry) }
    let far: LocatedMap | null = null
    for (const wanted of readWanted(entry, problems)) {
      if (problems.full()) break
      const found = await read(wanted, home, trail)
      if (found !== null) far = far === null ? found : mergeMaps(far, found, 'top')
    }
    return far === null ? rest : mergeMaps(far, rest, 'top')
  }

  async function read(wanted: Wanted, home: Home, trail: readonly string[]): Promise<LocatedMap | null> {
    const refuse = (message: string, remedy: string | null) => {
      problems.report(wanted.place, 'include', message, remedy)
      return null
    }
    if (++files > mostFiles)
      return files > mostFiles + 1
        ? null
        : refuse(`More than ${mostFiles} files are included.`, 'Make one file of several.')
    const project = wanted.project ?? home.project
    const name =
      project === null
        ? wanted.path
        : `${project}@${wanted.project === null ? home.ref : (wanted.ref ?? 'HEAD')}:${wanted.path}`
    if (trail.includes(name)) return refuse(`${quote(name, 120)} includes itself.`, 'Take it out.')
    if (trail.length >= deepest)
      return refuse(`Files include each other more than ${deepest} deep.`, 'Include them here.')
    const found = await textOf(wanted, home)
    if (!found.ok) return refuse(found.message, found.remedy)
    bytes += Buffer.byteLength(found.text)
    if (Buffer.byteLength(found.text) > limits.bytes || bytes > limits.bytes * 2)
      return refuse(
        `${quote(name, 120)} makes the file larger than ${Math.floor(limits.bytes / 1_024)} KiB.`,
        'Move data into files of their own.',
      )
    if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(found.text))
      return refuse(`${quote(name, 120)} holds a control character.`, 'Take it out there.')
    const located = await reader.yaml(found.text)
    if (!located.ok) {
      if ('refused' in located) return refuse(`${quote(name, 120)}: ${located.refused}`, located.remedy)
      for (const mistake of located.mistakes)
        problems.report({ ...mistake, file: name }, mistake.path, mistake.message, mistake.remedy)
      return null
    }
    const here: Home =
      project === null
        ? home
        : { project, ref: wanted.project === null ? home.ref : (wanted.ref ?? 'HEAD'), sha: found.sha }
    if (
      project !== null &&
      found.sha !== null &&
      !includes.some(one => one.project === project && one.file === wanted.path && one.sha === found.sha)
    )
      includes.push({ project, ref: here.ref ?? 'HEAD', sha: found.sha, file: wanted.path })
    const map = asMap(inFile(located.root, name), '', problems.report)
    if (map === undefined) return null
    for (const entry of map.entries)
      if (!includable.includes(entry.key)) {
        if (['parent', 'schedule', 'supersede'].includes(entry.key))
          problems.report(
            entry,
            entry.key,
            `${quote(entry.key)} cannot stand in a file that is included.`,
            'Write it in `.compops.yml`.',
          )
        else reportUnknown(entry, entry.key, 'a file that is included', includable, problems.report)
      }
    return withIncludes({ ...map, entries: map.entries.filter(one => includable.includes(one.key)) }, here, [
      ...trail,
      name,
    ])
  }

  async function textOf(
    wanted: Wanted,
    home: Home,
  ): Promise<{ ok: true; text: string; sha: string | null } | { ok: false; message: string; remedy: string | null }> {
    if (wanted.project !== null) return reader.shared(wanted.project, wanted.ref, wanted.path)
    if (home.project !== null) return reader.shared(home.project, home.sha, wanted.path)
    const text = await reader.own(wanted.path)
    return text === null
      ? {
          ok: false,
          message: `There is no file ${quote(wanted.path)} in this commit.`,
          remedy: 'Commit it, or correct the path; it begins at the top folder of the repository.',
        }
      : { ok: true, text, sha: null }
  }

  if (root.kind !== 'map') return { root, includes }
  return { root: await withIncludes(root, { project: null, ref: null, sha: null }, []), includes }
}

/** What stands under `include`: a path, a map, or a list of both. */
function readWanted(entry: LocatedEntry, problems: Problems): Wanted[] {
  const { report } = problems
  if (isEmpty(entry.value)) {
    report(entry, 'include', '`include` is empty.', 'Write `include: [{ local: jobs/common.yml }]`.')
    return []
  }
  const items = entry.value.kind === 'list' ? entry.value.items : [entry.value]
  return items.flatMap((item, i) => {
    const path = entry.value.kind === 'list' ? `include[${i}]` : 'include'
    if (item.kind === 'scalar') return readPaths(item, path, { project: null, ref: null }, problems)
    const map = asMap(item, path, report)
    if (map === undefined) return []
    const at = (key: string) => map.entries.find(one => one.key === key)
    const [local, project, ref, file] = ['local', 'project', 'ref', 'file'].map(at)
    for (const one of map.entries) {
      if (['local', 'project', 'ref', 'file'].includes(one.key)) continue
      if (['remote', 'template', 'component'].includes(one.key))
        report(
          one,
          join(path, one.key),
          `${quote(one.key)} cannot be included here.`,
          'Include a file of this repository (`local`) or of a project of this GitLab (`project`, `ref`, `file`).',
        )
      else reportUnknown(one, join(path, one.key), '`include`', ['local', 'project', 'ref', 'file'], report)
    }
    if (local !== undefined) {
      const other = project ?? ref ?? file
      if (other !== undefined)
        report(other, join(path, other.key), `${quote(other.key)} does not go with \`local\`.`, 'Make two of them.')
      return readPaths(local.value, join(path, 'local'), { project: null, ref: null }, problems)
    }
    if (project === undefined || file === undefined) {
      report(
        item,
        path,
        'It must say which file is included.',
        'Write `{ local: jobs/common.yml }` or `{ project: group/shared, ref: v2, file: jobs.yml }`.',
      )
      return []
    }
    const name = asLine(project.value, join(path, 'project'), report)?.replace(/^\/+|\/+$/g, '')
    const at_ = ref === undefined ? null : asLine(ref.value, join(path, 'ref'), report)
    if (name === undefined || at_ === undefined) return []
    if (!/^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)+$/.test(name) || name.split('/').some(part => /^\.+$/.test(part))) {
      report(
        project,
        join(path, 'project'),
        `${quote(name)} cannot be a project.`,
        'Write its path in this GitLab: `group/shared`.',
      )
      return []
    }
    if (at_ !== null && (at_ === '' || at_.startsWith('-') || /[\s~^:?*[\\]|\.\./.test(at_))) {
      report(
        ref!,
        join(path, 'ref'),
        `${quote(at_)} cannot be a branch, a tag or a commit.`,
        'Write for example `ref: v2`.',
      )
      return []
    }
    return readPaths(file.value, join(path, 'file'), { project: name, ref: at_ }, problems)
  })
}

function readPaths(node: Located, path: string, from: Pick<Wanted, 'project' | 'ref'>, { report }: Problems): Wanted[] {
  const items = node.kind === 'scalar' ? [node] : (asList(node, path, report)?.items ?? [])
  return items.flatMap((item, i) => {
    const here = node.kind === 'scalar' ? path : `${path}[${i}]`
    // GitLab writes `/jobs.yml` for the top folder.
    const text = asLine(item, here, report)?.replace(/^\/+/, '').replace(/^\.\//, '')
    if (text === undefined) return []
    const refusal = refusePath(text, false)
    if (refusal === null) return [{ ...from, path: text, place: item }]
    report(
      item,
      here,
      `${quote(text)} ${refusal.message}.`,
      'Write the path of one file, from the top folder of its repository.',
    )
    return []
  })
}

/** The same tree, each place with the file that it is of. */
function inFile(node: Located, file: string): Located {
  if (node.kind === 'scalar') return { ...node, file }
  if (node.kind === 'list') return { ...node, file, items: node.items.map(item => inFile(item, file)) }
  return { ...node, file, entries: node.entries.map(entry => ({ ...entry, file, value: inFile(entry.value, file) })) }
}
