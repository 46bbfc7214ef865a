/** .compops.yml: text in, jobs or mistakes out. */
export type {
  BatchDirectives,
  Occasion,
  SharedFile,
  SpecCluster,
  SpecContext,
  SpecLimits,
  SpecResult,
  Templates,
} from './context.ts'
export { specLimits } from './context.ts'
export { describeProblem, explainProblems, whereIs } from './explain.ts'
export { jsonSchema } from './json-schema.ts'
export { type Overrides, said } from './overrides.ts'
export type { LeftOut } from './present.ts'
export { filesOf, parseSpec, readSpec } from './read.ts'
export { nextTick } from './schedule.ts'
export { openTemplates } from './templates.ts'
export { createYamlReader, type YamlReader } from './yaml-reader.ts'
