import { type Located, locateYaml } from '../../config/yaml.ts'
import type { JobSpec, SpecProblem } from '../../model/job-spec.ts'
import { openTemplates, readSpec, type SpecContext } from '../../spec/index.ts'

/**
 * What the file alone tells, without a service: its keys, values and needs. Whatever only the site knows (clusters, secrets, partitions, limits, which of the scheduler's own
 * options are allowed) is taken as the file says it, and the lines of batch scripts are not looked at.
 */
export function checkOffline(
  text: string,
  readFile: (path: string) => string | null,
): { readonly jobs: readonly JobSpec[]; readonly problems: readonly SpecProblem[] } {
  const located = locateYaml(text)
  const said = located.ok ? wordsBelow(located.root) : new Map<string, Set<string>>()
  const clusters = [...(said.get('cluster') ?? [])]
  const site = { dialectName: 'any', directivePrefix: null, defaults: {}, allowDirectives: [] }
  const context: SpecContext = {
    clusters: (clusters.length === 0 ? ['(default)'] : clusters).map(name => ({ name, ...site })),
    secrets: [...(said.get('secrets') ?? [])],
    templates: openTemplates(null),
    allowedDirective: () => true,
    readBatchDirectives: () => ({ resources: {}, lines: {}, directives: [], dropped: [] }),
    readFile,
  }
  const read = readSpec(text, context)
  return 'problems' in read ? { jobs: [], problems: read.problems } : { jobs: read.spec.jobs, problems: [] }
}

/** Every word that stands somewhere under a key. */
function wordsBelow(node: Located, key = '', found = new Map<string, Set<string>>()): Map<string, Set<string>> {
  if (node.kind === 'map') for (const entry of node.entries) wordsBelow(entry.value, entry.key, found)
  else if (node.kind === 'list') for (const item of node.items) wordsBelow(item, key, found)
  else if (typeof node.value === 'string') found.set(key, (found.get(key) ?? new Set()).add(node.value))
  return found
}
