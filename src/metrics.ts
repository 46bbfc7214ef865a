import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** What `/metrics` shows. Labels are few and bounded: never a branch, a person or a job id. */
export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'compops_' })
  return {
    registry,
    deliveries: new Counter({
      name: 'compops_deliveries_total',
      help: 'Webhook deliveries by answer',
      labelNames: ['result', 'kind'] as const,
      registers,
    }),
    gitlabCalls: new Counter({
      name: 'compops_gitlab_calls_total',
      help: 'Calls to GitLab',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    }),
    schedulerCommands: new Gauge({
      name: 'compops_scheduler_commands',
      help: 'Scheduler commands run since start',
      labelNames: ['connection'] as const,
      registers,
    }),
    submissions: new Counter({
      name: 'compops_submissions_total',
      help: 'Answers to submissions',
      labelNames: ['connection', 'outcome'] as const,
      registers,
    }),
    jobsEnded: new Counter({
      name: 'compops_jobs_ended_total',
      help: 'Jobs that reached a final state',
      labelNames: ['connection', 'state', 'reason'] as const,
      registers,
    }),
    failures: new Counter({
      name: 'compops_work_failures_total',
      help: 'Steps that failed and will be tried again',
      labelNames: ['verb'] as const,
      registers,
    }),
    parked: new Gauge({
      name: 'compops_parked_rows',
      help: 'Rows that failed too often and wait for a person',
      labelNames: ['table'] as const,
      registers,
    }),
    unreachable: new Gauge({
      name: 'compops_unreachable',
      help: '1 while GitLab or a cluster does not answer',
      labelNames: ['peer'] as const,
      registers,
    }),
    tokenExpires: new Gauge({
      name: 'compops_token_expires_seconds',
      help: 'Seconds until a GitLab token expires',
      labelNames: ['token'] as const,
      registers,
    }),
    jobs: new Gauge({
      name: 'compops_jobs',
      help: 'Unfinished jobs by state',
      labelNames: ['connection', 'state'] as const,
      registers,
    }),
    reportsDue: new Gauge({
      name: 'compops_reports_due',
      help: 'Reports that GitLab has not been told yet',
      labelNames: ['kind'] as const,
      registers,
    }),
    sshConnects: new Gauge({
      name: 'compops_ssh_connects',
      help: 'SSH connections opened since start',
      labelNames: ['connection'] as const,
      registers,
    }),
  }
}
