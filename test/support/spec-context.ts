import {
  type BatchDirectives,
  openTemplates,
  type SpecCluster,
  type SpecContext,
  type SpecResult,
} from '../../src/spec/index.ts'

export const falcon: SpecCluster = {
  name: 'falcon',
  dialectName: 'slurm',
  directivePrefix: '#SBATCH',
  defaults: { partition: 'main', time: 3_600 },
  allowDirectives: ['--hint=*'],
}

export const hawk: SpecCluster = {
  name: 'hawk',
  dialectName: 'local',
  directivePrefix: null,
  defaults: {},
  allowDirectives: [],
}

export const noDirectives: BatchDirectives = { resources: {}, lines: {}, directives: [], dropped: [] }

/** What a project that may use falcon and hawk sees; `files` are those of its commit. */
export function contextWith(
  files: Readonly<Record<string, string>> = {},
  batch: BatchDirectives = noDirectives,
): SpecContext {
  return {
    clusters: [falcon, hawk],
    templates: openTemplates(null),
    secrets: ['WANDB_API_KEY'],
    readFile: path => (Object.hasOwn(files, path) ? (files[path] ?? null) : null),
    readBatchDirectives: () => batch,
    allowedDirective: (cluster, directive) =>
      cluster.allowDirectives.some(allowed => directive.startsWith(allowed.replace('*', ''))) ||
      'it is not on the list of this cluster',
  }
}

/** The mistakes as a person reads them, `line: sentence`. */
export function sentences(result: SpecResult): string[] {
  if ('spec' in result) return []
  return result.problems.map(p => `${p.line ?? '-'}: ${p.message}${p.remedy === null ? '' : ` ${p.remedy}`}`)
}
