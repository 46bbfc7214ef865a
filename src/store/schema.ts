import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import type { AttemptArray } from '../model/array.ts'
import type { ReusedFrom } from '../model/cache-key.ts'
import type { Capacity } from '../model/capacity.ts'
import type { CiOrder } from '../model/ci.ts'
import type { CopyKind } from '../model/copies.ts'
import type { Approval } from '../model/cost.ts'
import type { Event } from '../model/event.ts'
import type { HoldMode } from '../model/hold.ts'
import type { JobHold } from '../model/job-hold.ts'
import type { JobSpec, ResolvedInclude, Schedule, SpecProblem } from '../model/job-spec.ts'
import type { FailureReason, JobState } from '../model/job-state.ts'
import type { Asked, Ladder } from '../model/ladder.ts'
import type { AccountingRow, ClusterFacts, Collected, Progress } from '../model/observation.ts'
import type { InputTaken, ParentBy, ParentOfRun, StaleMark } from '../model/parent.ts'
import type { Cause, Person } from '../model/run.ts'
import type { Supersede } from '../model/supersede.ts'

/** Rows say what should be; workers make it so. Between two steps of the path there is always one of these rows to look at. */

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' })
const gitlabId = (name: string) => bigint(name, { mode: 'number' })

/** Work is claimed from the row itself: a lease by the database's clock, back-off, and a place to be parked in. */
const work = {
  attempts: integer('tries').notNull().default(0),
  /** Tries that ended with the death of their process: they say nothing about the row. */
  interrupted: integer('interrupted').notNull().default(0),
  nextAt: at('next_at').notNull().default(sql`now()`),
  leaseUntil: at('lease_until'),
  /** The process that claimed it: a claim of a dead process is free before its time is over. */
  leaseHolder: text('lease_holder'),
  lastError: text('last_error'),
  parkedAt: at('parked_at'),
}

export const projects = pgTable('projects', {
  id: gitlabId('id').primaryKey(),
  path: text('path').notNull(),
  defaultBranch: text('default_branch'),
  firstSeenAt: at('first_seen_at').notNull().default(sql`now()`),
  /** When its heads were first compared: what stood there then is the baseline and ran nothing. */
  baselineAt: at('baseline_at'),
  headsAt: at('heads_at'),
  evidenceSha: text('evidence_sha'),
  lastError: text('last_error'),
  troubledSince: at('troubled_since'),
  /** After a restored backup: nothing is started here until its evidence branch has been read. */
  recovering: boolean('recovering').notNull().default(false),
  /** Grows with what may change the tree (results, parents, branches that come and go); what was last looked at is `treeSeen`. */
  treeVersion: integer('tree_version').notNull().default(0),
  treeSeen: integer('tree_seen').notNull().default(0),
})

export const deliveries = pgTable(
  'deliveries',
  {
    id: uuid('id').primaryKey(),
    key: text('key').notNull().unique(),
    receivedAt: at('received_at').notNull().default(sql`now()`),
    eventHeader: text('event_header').notNull(),
    kind: text('kind').notNull(),
    projectId: gitlabId('project_id'),
    projectPath: text('project_path'),
    ref: text('ref'),
    sha: text('sha'),
    /** What was answered: accepted, or ignored with its reason. */
    outcome: text('outcome').$type<'accepted' | 'ignored'>().notNull(),
    reason: text('reason'),
    event: jsonb('event').$type<Event>(),
    body: text('body'),
    bodySize: integer('body_size').notNull(),
    bodySha256: text('body_sha256').notNull(),
    /** What came of it, in words; set when it has been acted on. */
    result: text('result'),
    doneAt: at('done_at'),
    ...work,
  },
  t => [
    index('deliveries_due').on(t.nextAt).where(sql`done_at is null and parked_at is null`),
    index('deliveries_received').on(t.receivedAt),
    index('deliveries_claimed').on(t.projectId).where(sql`done_at is null and lease_until is not null`),
    index('deliveries_parked').on(t.parkedAt).where(sql`parked_at is not null`),
  ],
)

export const branches = pgTable(
  'branches',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    ref: text('ref').notNull(),
    headSha: text('head_sha'),
    /** Counts the moves of the head; part of a run's cause. */
    generation: integer('generation').notNull().default(0),
    state: text('state').$type<'active' | 'gone'>().notNull().default('active'),
    /** The first complete listing that lacked it, while that is still a suspicion. */
    missingSince: at('missing_since'),
    latestRunId: uuid('latest_run_id'),
    /** Its place in the tree, short; kept when the branch or the parent is gone. */
    parentBranch: text('parent_branch'),
    parentBy: text('parent_by').$type<ParentBy>(),
    /** How that was found, or why there is none; null: nobody has looked yet. */
    parentWhy: text('parent_why'),
    /** Computed from an older result than its parent, or an ancestor, has now. */
    stale: jsonb('stale').$type<StaleMark>(),
    /** What its pages show of the branches around it, shortened: when that changes they are made anew. */
    around: text('around'),
    updatedAt: at('updated_at').notNull().default(sql`now()`),
  },
  t => [
    unique('branches_project_ref').on(t.projectId, t.ref),
    index('branches_parent').on(t.projectId, t.parentBranch).where(sql`parent_branch is not null`),
  ],
)

/** When branches are computed without a push: one row each, as the file at their head says. */
export const schedules = pgTable(
  'schedules',
  {
    id: uuid('id').primaryKey(),
    branchId: uuid('branch_id').notNull().unique(),
    projectId: gitlabId('project_id').notNull(),
    cron: text('cron').notNull(),
    timezone: text('timezone').notNull(),
    /** The next time; part of the run's cause. */
    tickAt: at('tick_at').notNull(),
    ...work,
  },
  t => [
    index('schedules_due').on(t.tickAt).where(sql`parked_at is null`),
    index('schedules_parked').on(t.parkedAt).where(sql`parked_at is not null`),
  ],
)

export const runs = pgTable(
  'runs',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    branchId: uuid('branch_id').notNull(),
    ref: text('ref').notNull(),
    sha: text('sha').notNull(),
    cause: text('cause').$type<Cause>().notNull(),
    causedBy: jsonb('caused_by').$type<Person>(),
    causedHow: text('caused_how').notNull(),
    deliveryId: uuid('delivery_id'),
    commit: jsonb('commit').$type<{ author: string; subject: string }>(),
    parent: jsonb('parent').$type<ParentOfRun>(),
    /** The run of the parent that it is computed from: what stands there, on its own cluster, stays for it. */
    parentRunId: uuid('parent_run_id'),
    /** When that run had ended; null where it was still under way. */
    parentEndedAt: at('parent_ended_at'),
    /** Only where it uses its parent: whether its jobs may begin. */
    parentGate: text('parent_gate').$type<'waits' | 'skipped' | 'passed'>(),
    specSha256: text('spec_sha256'),
    specText: text('spec_text'),
    /** Files of other projects that it was made of. */
    includes: jsonb('includes').$type<readonly ResolvedInclude[]>().notNull().default([]),
    /** When its file wants the branch computed without a push. */
    schedule: jsonb('schedule').$type<Schedule>(),
    problems: jsonb('problems').$type<readonly SpecProblem[]>().notNull().default([]),
    problem: text('problem'),
    state: text('state').$type<JobState>().notNull(),
    hasCi: boolean('has_ci').notNull().default(false),
    createdAt: at('created_at').notNull().default(sql`now()`),
    endedAt: at('ended_at'),
    supersededBy: uuid('superseded_by'),
    /** Whoever started it wants it computed, whatever is computed already. */
    force: boolean('force').notNull().default(false),
    /** It costs more than may begin unasked; null: it does not. */
    approval: jsonb('approval').$type<Approval>(),
    /** What it does to older runs of its branch, as its file says; null: as the site says. */
    supersede: text('supersede').$type<Supersede>(),
    /** The GitLab pipeline that carries its statuses, once known. */
    pipelineId: gitlabId('pipeline_id'),
    /** When its statuses were looked over for one that never ended; null: not yet, or not needed. */
    sweptAt: at('swept_at'),
    /** Grows with every change that a person could see; what was last turned into reports is `reportedVersion`. */
    version: integer('version').notNull().default(1),
    reportedVersion: integer('reported_version').notNull().default(0),
    /** Who wants its directories kept, whatever their age. */
    keptBy: text('kept_by'),
    sweepTries: integer('sweep_tries').notNull().default(0),
    sweepNextAt: at('sweep_next_at').notNull().default(sql`now()`),
    /** The work of a run is to be composed. */
    ...work,
  },
  t => [
    unique('runs_cause').on(t.projectId, t.ref, t.sha, t.cause),
    index('runs_unreported').on(t.nextAt).where(sql`version > reported_version and parked_at is null`),
    index('runs_parked').on(t.parkedAt).where(sql`parked_at is not null`),
    index('runs_open').on(t.id).where(sql`ended_at is null`),
    index('runs_branch').on(t.branchId, t.createdAt),
    index('runs_sha').on(t.projectId, t.sha),
    index('runs_gated').on(t.projectId).where(sql`parent_gate in ('waits', 'skipped')`),
    index('runs_parent_run').on(t.parentRunId).where(sql`parent_run_id is not null`),
  ],
)

/** A run's directory on one account of a cluster that is being removed, or has been. Written before the deed. */
export const runDirectories = pgTable(
  'run_directories',
  {
    runId: uuid('run_id').notNull(),
    connection: text('connection').notNull(),
    /** The site's rule at that time. */
    days: integer('days').notNull(),
    since: at('since').notNull().default(sql`now()`),
    removedAt: at('removed_at'),
    tries: integer('tries').notNull().default(0),
    nextAt: at('next_at').notNull().default(sql`now()`),
    /** Why it still stands, e.g. `it cannot be removed whole`. */
    problem: text('problem'),
  },
  t => [
    primaryKey({ columns: [t.runId, t.connection] }),
    index('run_directories_open').on(t.connection, t.nextAt).where(sql`removed_at is null`),
  ],
)

export const jobs = pgTable(
  'jobs',
  {
    id: uuid('id').primaryKey(),
    runId: uuid('run_id').notNull(),
    projectId: gitlabId('project_id').notNull(),
    position: integer('position').notNull(),
    name: text('name').notNull(),
    spec: jsonb('spec').$type<JobSpec>().notNull(),
    cluster: text('cluster').notNull(),
    /** The account on the cluster that runs it: a cluster's name, or `name#user` for a project with an account of its own. */
    connection: text('connection').notNull(),
    scheduler: text('scheduler'),
    state: text('state').$type<JobState>().notNull(),
    reason: text('reason').$type<FailureReason>(),
    message: text('message'),
    /** Why it should be cancelled; acted on until the cluster says that it is gone. */
    cancelReason: text('cancel_reason'),
    cancelNextAt: at('cancel_next_at').notNull().default(sql`now()`),
    /** Only as long as it has not begun: what runs keeps its investment. */
    cancelQueuedOnly: boolean('cancel_queued_only').notNull().default(false),
    /** A cancellation was under way when the commit was wanted again: when it has taken effect the job waits anew. */
    runAgain: boolean('run_again').notNull().default(false),
    /** Why it is held back although nothing else is in its way. */
    hold: jsonb('hold').$type<JobHold>(),
    /** Skipped because of a job of another branch: it waits anew when that has completed after all. */
    skippedForBranch: boolean('skipped_for_branch').notNull().default(false),
    /** Tasks of an array that are still to be handed over while others are under way: more than the scheduler takes at once. */
    tasksLeft: text('tasks_left'),
    /** What its result depends on; of jobs with `cache`, from when they could begin. */
    cacheKey: text('cache_key'),
    /** Where it stands between its attempts: what the next ones ask for. */
    ladder: jsonb('ladder').$type<Ladder>(),
    /** It waits for its next attempt, until then at least. */
    retryAt: at('retry_at'),
  },
  t => [
    unique('jobs_run_name').on(t.runId, t.name),
    index('jobs_cache').on(t.projectId, t.cacheKey).where(sql`cache_key is not null`),
    index('jobs_skipped_for_branch').on(t.runId).where(sql`skipped_for_branch`),
    index('jobs_open')
      .on(t.connection, t.state)
      .where(sql`state not in ('completed', 'failed', 'canceled', 'skipped')`),
  ],
)

export const attempts = pgTable(
  'attempts',
  {
    id: uuid('id').primaryKey(),
    jobId: uuid('job_id').notNull(),
    runId: uuid('run_id').notNull(),
    projectId: gitlabId('project_id').notNull(),
    connection: text('connection').notNull(),
    number: integer('number').notNull(),
    nativeId: text('native_id'),
    state: text('state').$type<JobState>().notNull(),
    reason: text('reason').$type<FailureReason>(),
    message: text('message'),
    queue: text('queue'),
    nodes: jsonb('nodes').$type<readonly string[]>().notNull().default([]),
    dependsOn: jsonb('depends_on').$type<readonly string[]>().notNull().default([]),
    createdAt: at('created_at').notNull().default(sql`now()`),
    submittedAt: at('submitted_at'),
    queuedAt: at('queued_at'),
    startedAt: at('started_at'),
    endedAt: at('ended_at'),
    exitCode: integer('exit_code'),
    signal: integer('signal'),
    accounting: jsonb('accounting').$type<AccountingRow>(),
    /** How far it last said that it is. */
    progress: jsonb('progress').$type<Progress>(),
    collected: jsonb('collected').$type<Collected>(),
    collectProblem: text('collect_problem'),
    scriptSha256: text('script_sha256'),
    /** What it took from the parent's run. */
    inputs: jsonb('inputs').$type<readonly InputTaken[]>(),
    restarts: integer('restarts').notNull().default(0),
    /** Whole rounds in a row that did not see it, and since when. */
    misses: integer('misses').notNull().default(0),
    missedSince: at('missed_since'),
    /** It has ended; the reason is awaited from accounting until then. */
    awaiting: at('awaiting'),
    final: boolean('final').notNull().default(false),
    /** The tasks that it hands over; null where the job is no array. */
    array: jsonb('task_array').$type<AttemptArray>(),
    /** It hands nothing over: the result of this finished job is put in the place of its own. */
    reused: jsonb('reused').$type<ReusedFrom>(),
    /** What it asks for differently from its job. */
    asked: jsonb('asked').$type<Asked>(),
    /** It was lost, and taken out of the cluster's hands since: whatever is left of it can never begin. */
    fencedAt: at('fenced_at'),
    /** A segment of a chain that left the file which the chain waits for. */
    reached: boolean('reached').notNull().default(false),
    ...work,
  },
  t => [
    unique('attempts_job_number').on(t.jobId, t.number),
    index('attempts_parked').on(t.parkedAt).where(sql`parked_at is not null`),
    index('attempts_run').on(t.runId),
    index('attempts_reused').on(sql`(reused->>'runId')`).where(sql`reused is not null`),
    index('attempts_submitting').on(t.connection, t.nextAt).where(sql`state = 'submitting' and not final`),
    index('attempts_open').on(t.connection, t.id).where(sql`not final`),
    index('attempts_uncollected').on(t.nextAt).where(sql`final and collected is null and collect_problem is null`),
  ],
)

/** Small outputs on their way into the evidence, and pictures on their way into the note. */
export const copies = pgTable(
  'copies',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    runId: uuid('run_id').notNull(),
    jobId: uuid('job_id').notNull(),
    attemptId: uuid('attempt_id').notNull(),
    /** Below the folder of the run on the evidence branch. */
    name: text('name').notNull(),
    kind: text('kind').$type<CopyKind>().notNull(),
    size: integer('size').notNull(),
    sha256: text('sha256').notNull(),
    /** Git's name for the same bytes. */
    blob: text('blob').notNull(),
    /** The bytes in base64, until the evidence holds them. */
    content: text('content'),
    uploadWanted: boolean('upload_wanted').notNull().default(false),
    /** What GitLab made of it: `/uploads/<secret>/<name>`. */
    upload: text('upload'),
    uploadProblem: text('upload_problem'),
    ...work,
  },
  t => [
    unique('copies_attempt_name').on(t.attemptId, t.name),
    index('copies_run').on(t.runId),
    index('copies_to_upload').on(t.nextAt).where(sql`upload_wanted and upload is null and upload_problem is null`),
    index('copies_uploaded').on(t.projectId, t.sha256).where(sql`upload is not null`),
  ],
)

/**
 * Tasks of arrays, as far as they stand differently from their attempt: one without a row waits as the attempt does, and in an attempt that has ended what has
 * not ended by itself ended with it.
 */
export const tasks = pgTable(
  'tasks',
  {
    attemptId: uuid('attempt_id').notNull(),
    /** The researcher's number. */
    index: integer('index').notNull(),
    jobId: uuid('job_id').notNull(),
    state: text('state').$type<JobState>().notNull(),
    reason: text('reason').$type<FailureReason>(),
    message: text('message'),
    exitCode: integer('exit_code'),
    signal: integer('signal'),
    startedAt: at('started_at'),
    endedAt: at('ended_at'),
    restarts: integer('restarts').notNull().default(0),
    misses: integer('misses').notNull().default(0),
    missedSince: at('missed_since'),
    awaiting: at('awaiting'),
    /** What accounting says of it: bytes, seconds of CPU used, seconds of CPU held, seconds. */
    maxRss: bigint('max_rss', { mode: 'number' }),
    cpuSeconds: doublePrecision('cpu_seconds'),
    coreSeconds: doublePrecision('core_seconds'),
    node: text('node'),
  },
  t => [primaryKey({ columns: [t.attemptId, t.index] }), index('tasks_job').on(t.jobId)],
)

/** What GitLab should show, and what it was last told. When they differ somebody sends it. */
export const reports = pgTable(
  'reports',
  {
    id: uuid('id').primaryKey(),
    kind: text('kind').$type<ReportKind>().notNull(),
    key: text('key').notNull().unique(),
    projectId: gitlabId('project_id').notNull(),
    runId: uuid('run_id').notNull(),
    desired: jsonb('desired').$type<Desired>().notNull(),
    desiredHash: text('desired_hash').notNull(),
    sentHash: text('sent_hash'),
    sentAt: at('sent_at'),
    /** Since when GitLab has not been told what it should show; only read while the two hashes differ. */
    unsentSince: at('unsent_since').notNull().default(sql`now()`),
    /** GitLab's id of the thing: of the status, the note, the reply. */
    externalId: gitlabId('external_id'),
    /** Why GitLab will never take it; shown in `compops why` and counted. */
    refused: text('refused'),
    ...work,
  },
  t => [
    index('reports_due').on(t.nextAt).where(sql`sent_hash is distinct from desired_hash and parked_at is null`),
    index('reports_parked').on(t.parkedAt).where(sql`parked_at is not null`),
    index('reports_run').on(t.runId),
  ],
)

export type ReportKind = 'status' | 'note' | 'reply' | 'evidence'

export type Desired =
  | {
      readonly kind: 'status'
      readonly sha: string
      readonly branch: string
      readonly name: string
      readonly state: 'pending' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped'
      readonly description: string
      readonly targetUrl: string
    }
  /** `final`: the run has ended. */
  | { readonly kind: 'note'; readonly iid: number; readonly body: string; readonly final?: boolean }
  | { readonly kind: 'reply'; readonly iid: number; readonly body: string }
  | { readonly kind: 'evidence'; readonly version: number }

export const mergeRequests = pgTable(
  'merge_requests',
  {
    projectId: gitlabId('project_id').notNull(),
    iid: integer('iid').notNull(),
    sourceBranch: text('source_branch').notNull(),
    targetBranch: text('target_branch').notNull(),
    sourceProjectId: gitlabId('source_project_id').notNull(),
    state: text('state').$type<'opened' | 'closed' | 'merged' | 'locked'>().notNull(),
    headSha: text('head_sha'),
    draft: boolean('draft').notNull().default(false),
    updatedAt: at('updated_at').notNull().default(sql`now()`),
  },
  t => [primaryKey({ columns: [t.projectId, t.iid] }), index('merge_requests_source').on(t.projectId, t.sourceBranch)],
)

/** What persons had us do, by the cause: the same cause again finds what came of it. Written in the transaction of the deed. */
export const acts = pgTable(
  'acts',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    cause: text('cause').$type<Cause>().notNull(),
    verb: text('verb').notNull(),
    by: jsonb('by').$type<Person>().notNull(),
    /** What came of it, in words. */
    said: text('said').notNull(),
    at: at('at').notNull().default(sql`now()`),
  },
  t => [unique('acts_cause').on(t.projectId, t.cause)],
)

/** Notes on merge requests that may hold commands, however they were found: each is acted on once. */
export const comments = pgTable(
  'comments',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    iid: integer('iid').notNull(),
    noteId: gitlabId('note_id').notNull(),
    authorId: gitlabId('author_id').notNull(),
    /** Of the text as it was written: one that was edited since is no command. */
    bodySha256: text('body_sha256').notNull(),
    foundBy: text('found_by').$type<'webhook' | 'looking'>().notNull(),
    deliveryId: uuid('delivery_id'),
    receivedAt: at('received_at').notNull().default(sql`now()`),
    /** What came of it, in words; set when it has been acted on and answered. */
    result: text('result'),
    refused: boolean('refused').notNull().default(false),
    doneAt: at('done_at'),
    ...work,
  },
  t => [
    unique('comments_note').on(t.projectId, t.noteId),
    index('comments_due').on(t.nextAt).where(sql`done_at is null and parked_at is null`),
    index('comments_author').on(t.projectId, t.iid, t.authorId),
  ],
)

/** CI jobs that asked for a computation: each once, however often it asks. */
export const ciJobs = pgTable(
  'ci_jobs',
  {
    id: uuid('id').primaryKey(),
    projectId: gitlabId('project_id').notNull(),
    ciJobId: gitlabId('ci_job_id').notNull(),
    pipelineId: gitlabId('pipeline_id').notNull(),
    /** GitLab's, as in `.gitlab-ci.yml`. */
    name: text('name').notNull(),
    branch: text('branch').notNull(),
    sha: text('sha').notNull(),
    by: jsonb('by').$type<Person>().notNull(),
    asked: jsonb('asked').$type<CiOrder>().notNull(),
    createdAt: at('created_at').notNull().default(sql`now()`),
    /** Written in the transaction that starts the run, or finds it. */
    runId: uuid('run_id'),
    /** Whose end counts; null: every job of the run. */
    wanted: jsonb('wanted').$type<readonly string[]>(),
    /** When an attached job last asked. */
    heardAt: at('heard_at').notNull().default(sql`now()`),
    /** When it must have begun. */
    beginsBy: at('begins_by'),
    /** Its manual job asked before the end and was sent away: then playing it takes a retry. */
    gateEarly: boolean('gate_early').notNull().default(false),
    /** What came of looking after it, in words; set when nothing is left to do. */
    result: text('result'),
    endedAt: at('ended_at'),
    ...work,
  },
  t => [
    unique('ci_jobs_job').on(t.projectId, t.ciJobId),
    index('ci_jobs_open').on(t.nextAt).where(sql`ended_at is null and parked_at is null`),
    index('ci_jobs_parked').on(t.parkedAt).where(sql`parked_at is not null`),
    index('ci_jobs_pipeline').on(t.projectId, t.pipelineId),
    index('ci_jobs_run').on(t.runId),
  ],
)

/** Tokens of CI jobs that were shown, each with a digest of its holder's secret: whoever else shows one is refused. */
export const ciTokens = pgTable('ci_tokens', {
  jti: text('jti').primaryKey(),
  holder: text('holder').notNull(),
  projectId: gitlabId('project_id').notNull(),
  ciJobId: gitlabId('ci_job_id').notNull(),
  expiresAt: at('expires_at').notNull(),
})

/** One row per account on a cluster: what it told about itself, and since when it has been silent. */
export const connections = pgTable('connections', {
  name: text('name').primaryKey(),
  facts: jsonb('facts').$type<ClusterFacts>(),
  lastRoundAt: at('last_round_at'),
  unreachableSince: at('unreachable_since'),
  lastError: text('last_error'),
  /** Since when `lastError` has stood there without a break; also where the cluster answers. */
  troubledSince: at('troubled_since'),
  /** After a restored backup: nothing is submitted here until the run directories have been read. */
  recovering: boolean('recovering').notNull().default(false),
  /** The word that stands in its root, where several machines must show it. */
  rootMark: jsonb('root_mark').$type<{ readonly root: string; readonly word: string }>(),
})

/** What each cluster last said of its queues and nodes, for people who look at it: asked while somebody does, at most once a minute by whichever process. */
export const capacities = pgTable('capacities', {
  cluster: text('cluster').primaryKey(),
  askedAt: at('asked_at').notNull().default(sql`now()`),
  told: jsonb('told').$type<Capacity>(),
  toldAt: at('told_at'),
  /** Why nothing was told the last time, and since when it is not. */
  trouble: text('trouble'),
  troubledSince: at('troubled_since'),
})

/** How often each account on a cluster was used, hour by hour: what its admin may ask us. Every process adds its own. */
export const connectionLoad = pgTable(
  'connection_load',
  {
    connection: text('connection').notNull(),
    hour: at('hour').notNull(),
    logins: integer('logins').notNull(),
    programs: integer('programs').notNull(),
    schedulerCommands: integer('scheduler_commands').notNull(),
  },
  t => [primaryKey({ columns: [t.connection, t.hour] })],
)

/** Clusters that an operator holds back: one row each, gone with `compops resume`. */
export const holds = pgTable('holds', {
  cluster: text('cluster').primaryKey(),
  mode: text('mode').$type<HoldMode>().notNull(),
  reason: text('reason'),
  by: text('by').notNull(),
  since: at('since').notNull().default(sql`now()`),
  until: at('until'),
})

/** Every GitLab user we have ever been. A new token is a new bot; events of the former one are still ours. */
export const bots = pgTable('bots', {
  userId: gitlabId('user_id').primaryKey(),
  username: text('username').notNull(),
  firstSeenAt: at('first_seen_at').notNull().default(sql`now()`),
})

/** Who is signed in to the pages. What opens it is in their browser alone: here stand its digest, and their GitLab tokens sealed with it. */
export const sessions = pgTable(
  'sessions',
  {
    /** SHA-256 of the session's secret. */
    id: text('id').primaryKey(),
    personId: gitlabId('person_id').notNull(),
    sealed: text('sealed').notNull(),
    createdAt: at('created_at').notNull().default(sql`now()`),
    /** Moves on with use, up to what `createdAt` allows. */
    endsAt: at('ends_at').notNull(),
  },
  t => [index('sessions_end').on(t.endsAt)],
)

/** Who owns a cluster's connection or a project's mirror. The fence grows with each owner, so that a late write of a former one is seen. */
export const leases = pgTable('leases', {
  name: text('name').primaryKey(),
  holder: text('holder').notNull(),
  fence: bigint('fence', { mode: 'number' }).notNull(),
  until: at('until').notNull(),
})
