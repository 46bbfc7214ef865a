/** .compops.yml: text in, jobs or mistakes out. */
export type { BatchDirectives, SpecCluster, SpecContext, SpecLimits, SpecResult, Templates } from './context.ts'
export { specLimits } from './context.ts'
export { describeProblem, explainProblems } from './explain.ts'
export { jsonSchema } from './json-schema.ts'
export { parseSpec, readSpec } from './read.ts'
export { openTemplates } from './templates.ts'
export { createYamlReader, type YamlReader } from './yaml-reader.ts'
