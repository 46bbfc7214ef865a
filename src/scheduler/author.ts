/** What a site's own scheduler file may import, as `compops/scheduler`: the contract, its rows, the two errors and the marks between fields. */
export { CompopsError, UnreadableError } from '../errors.ts'
export type { Capacity } from '../model/capacity.ts'
export type { JobSpec, Resources } from '../model/job-spec.ts'
export type { AccountingRow, ClusterFacts, QueueRow, TaskRange, Verdict } from '../model/observation.ts'
export type { BatchDirectives, CapacityDialect, Dialect, Directive, JobRequest, PastRow, Refusal } from './dialect.ts'
export { fieldMark, recordMark, sectionMark } from './dialect.ts'
