import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** What `/metrics` shows; deploy/README.md has the table. Labels are few and bounded: never a branch, a person or a job id. */
export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'compops_' })
  const counter = <const L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `compops_${name}`, help, labelNames: [...labelNames], registers: [registry] })
  const gauge = <const L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name: `compops_${name}`, help, labelNames: [...labelNames], registers: [registry] })
  const metrics = {
    registry,

    ready: gauge('ready', '1 where deliveries can be stored'),
    unreachable: gauge('unreachable', '1 while the database, GitLab or a cluster does not answer', ['peer']),
    troubled: gauge('troubled', '1 while a peer answers, but not as it should', ['peer']),
    overviewAge: gauge(
      'store_read_age_seconds',
      'Age of what is shown of the store; it grows while the database does not answer',
    ),

    pagesOpen: gauge('pages_open', 'Pages that browsers have open and that renew themselves'),
    actsRefused: counter('acts_refused_total', 'What somebody wanted to change by page or API and was not let'),

    deliveries: counter('deliveries_total', 'Webhook deliveries by answer', ['result', 'kind']),
    deliveryStoreFailures: counter(
      'delivery_store_failures_total',
      'Statements that should have stored deliveries and failed',
    ),
    unreadDeliveries: gauge('unread_deliveries', 'Deliveries that are stored and not acted on yet'),
    unreadDeliveryAge: gauge('unread_delivery_age_seconds', 'Age of the oldest of them; 0 where there is none'),

    jobs: gauge('jobs', 'Unfinished jobs by state', ['connection', 'state']),
    jobsEnded: counter('jobs_ended_total', 'Jobs that reached a final state', ['connection', 'state', 'reason']),
    submissions: counter('submissions_total', 'Answers to submissions', ['connection', 'outcome']),
    copiesFenced: counter('copies_fenced_total', 'Second copies of a job that the fence turned away', ['connection']),
    pollRounds: counter('poll_rounds_total', 'Rounds of asking a cluster; one that is not whole changes no job', [
      'connection',
      'result',
      'reason',
    ]),
    roundAge: gauge('last_round_age_seconds', 'Seconds since the last whole round', ['connection']),
    schedulerCommands: counter('scheduler_commands_total', 'Commands of the scheduler that were run', ['connection']),
    sshConnects: counter('ssh_connects_total', 'Connections made to a cluster', ['connection']),

    reportsDue: gauge('reports_due', 'Reports that GitLab has not been told yet', ['kind']),
    reportAge: gauge('report_due_age_seconds', 'Age of the oldest of them; 0 where there is none', ['kind']),
    statusesRefused: counter('statuses_refused_total', 'Commit statuses that GitLab will never take'),
    evidenceCommits: counter('evidence_commits_total', 'Evidence commits by result', ['result']),
    gitlabCalls: counter('gitlab_calls_total', 'Calls to GitLab', ['method', 'route', 'status']),
    tokenExpires: gauge('token_expires_timestamp_seconds', 'When a GitLab token expires', ['token']),

    ciJobs: gauge('ci_jobs', 'CI jobs that are not through, by mode and by what they wait for', ['mode', 'state']),
    ciRefused: counter('ci_refusals_total', 'Requests of CI jobs that were refused, by status', ['status']),

    failures: counter('work_failures_total', 'Steps that failed and will be tried again', ['verb']),
    parked: gauge('parked_rows', 'Rows that failed too often and wait for a person', ['table']),
    databaseErrors: counter('database_errors_total', 'Statements that the database refused or did not answer', [
      'where',
    ]),
    projectsTroubled: gauge('projects_troubled', 'Projects whose branches cannot be read at present'),
    recovering: gauge('recovering', 'What waits to be read after a restored backup', ['what']),
    held: gauge('cluster_held', '1 while an operator holds a cluster back (pause, drain)', ['cluster', 'mode']),
    leaseHeld: gauge('lease_held', '1 where this process owns a cluster or a shared duty', ['lease']),
    diskFree: gauge('data_dir_free_bytes', 'Free space of the file system of data_dir'),
  }
  // A series that appears with its first 1 has not increased for Prometheus: what an alert waits for begins at 0.
  for (const result of ['401', '503'])
    for (const kind of ['none', 'push', 'tag', 'merge request', 'note', 'pipeline', 'other'])
      metrics.deliveries.inc({ result, kind }, 0)
  return metrics
}
