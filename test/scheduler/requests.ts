import type { JobSpec } from '../../src/model/job-spec.ts'
import type { JobRequest } from '../../src/scheduler/dialect.ts'

/** A request with everything left out that can be; the test says what matters. */
export function jobRequest(spec: Partial<JobSpec>, changes: Partial<Omit<JobRequest, 'spec'>> = {}): JobRequest {
  return {
    name: 'compops-00000000-0000-4000-8000-000000000003',
    comment: 'physics/ising calc/4d simulate by ada',
    directory: '/scratch/attempt',
    work: '/scratch/work',
    outputDirectory: '/scratch/attempt/output',
    cache: '/scratch/cache',
    variables: {
      COMPOPS_RUN_ID: '00000000-0000-4000-8000-000000000001',
      COMPOPS_JOB: 'simulate',
      COMPOPS_BRANCH: 'calc/4d',
    },
    dependsOn: [],
    array: null,
    ...changes,
    spec: {
      name: 'simulate',
      cluster: 'falcon',
      needs: [],
      setup: [],
      script: ['echo hello'],
      file: null,
      resources: {},
      env: {},
      params: {},
      outputs: [],
      metrics: null,
      directives: [],
      requeue: false,
      origins: {},
      ...spec,
    },
  }
}
