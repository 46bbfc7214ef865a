CREATE TABLE "attempts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"job_id" uuid NOT NULL,
	"run_id" uuid NOT NULL,
	"project_id" bigint NOT NULL,
	"connection" text NOT NULL,
	"number" integer NOT NULL,
	"native_id" text,
	"state" text NOT NULL,
	"reason" text,
	"message" text,
	"queue" text,
	"nodes" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"depends_on" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"submitted_at" timestamp with time zone,
	"queued_at" timestamp with time zone,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone,
	"exit_code" integer,
	"signal" integer,
	"accounting" jsonb,
	"collected" jsonb,
	"collect_problem" text,
	"script_sha256" text,
	"restarts" integer DEFAULT 0 NOT NULL,
	"misses" integer DEFAULT 0 NOT NULL,
	"missed_since" timestamp with time zone,
	"awaiting" timestamp with time zone,
	"final" boolean DEFAULT false NOT NULL,
	"tries" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "attempts_job_number" UNIQUE("job_id","number")
);
--> statement-breakpoint
CREATE TABLE "bots" (
	"user_id" bigint PRIMARY KEY NOT NULL,
	"username" text NOT NULL,
	"first_seen_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "branches" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"ref" text NOT NULL,
	"head_sha" text,
	"generation" integer DEFAULT 0 NOT NULL,
	"state" text DEFAULT 'active' NOT NULL,
	"missing_since" timestamp with time zone,
	"latest_run_id" uuid,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "branches_project_ref" UNIQUE("project_id","ref")
);
--> statement-breakpoint
CREATE TABLE "connections" (
	"name" text PRIMARY KEY NOT NULL,
	"facts" jsonb,
	"last_round_at" timestamp with time zone,
	"unreachable_since" timestamp with time zone,
	"last_error" text
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"received_at" timestamp with time zone DEFAULT now() NOT NULL,
	"event_header" text NOT NULL,
	"kind" text NOT NULL,
	"project_id" bigint,
	"project_path" text,
	"ref" text,
	"sha" text,
	"outcome" text NOT NULL,
	"reason" text,
	"event" jsonb,
	"body" text,
	"body_size" integer NOT NULL,
	"body_sha256" text NOT NULL,
	"result" text,
	"done_at" timestamp with time zone,
	"tries" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "deliveries_key_unique" UNIQUE("key")
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"run_id" uuid NOT NULL,
	"project_id" bigint NOT NULL,
	"position" integer NOT NULL,
	"name" text NOT NULL,
	"spec" jsonb NOT NULL,
	"cluster" text NOT NULL,
	"connection" text NOT NULL,
	"scheduler" text,
	"state" text NOT NULL,
	"reason" text,
	"message" text,
	"cancel_reason" text,
	"cancel_next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"cancel_queued_only" boolean DEFAULT false NOT NULL,
	"run_again" boolean DEFAULT false NOT NULL,
	CONSTRAINT "jobs_run_name" UNIQUE("run_id","name")
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"name" text PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"fence" bigint NOT NULL,
	"until" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "merge_requests" (
	"project_id" bigint NOT NULL,
	"iid" integer NOT NULL,
	"source_branch" text NOT NULL,
	"target_branch" text NOT NULL,
	"source_project_id" bigint NOT NULL,
	"state" text NOT NULL,
	"head_sha" text,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "merge_requests_project_id_iid_pk" PRIMARY KEY("project_id","iid")
);
--> statement-breakpoint
CREATE TABLE "projects" (
	"id" bigint PRIMARY KEY NOT NULL,
	"path" text NOT NULL,
	"default_branch" text,
	"first_seen_at" timestamp with time zone DEFAULT now() NOT NULL,
	"baseline_at" timestamp with time zone,
	"heads_at" timestamp with time zone,
	"evidence_sha" text,
	"last_error" text
);
--> statement-breakpoint
CREATE TABLE "reports" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"key" text NOT NULL,
	"project_id" bigint NOT NULL,
	"run_id" uuid NOT NULL,
	"desired" jsonb NOT NULL,
	"desired_hash" text NOT NULL,
	"sent_hash" text,
	"sent_at" timestamp with time zone,
	"external_id" bigint,
	"refused" text,
	"tries" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "reports_key_unique" UNIQUE("key")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"branch_id" uuid NOT NULL,
	"ref" text NOT NULL,
	"sha" text NOT NULL,
	"cause" text NOT NULL,
	"caused_by" jsonb,
	"caused_how" text NOT NULL,
	"delivery_id" uuid,
	"commit" jsonb,
	"parent" jsonb,
	"spec_sha256" text,
	"spec_text" text,
	"problems" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"problem" text,
	"state" text NOT NULL,
	"has_ci" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"superseded_by" uuid,
	"pipeline_id" bigint,
	"swept_at" timestamp with time zone,
	"version" integer DEFAULT 1 NOT NULL,
	"reported_version" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "runs_cause" UNIQUE("project_id","ref","sha","cause")
);
--> statement-breakpoint
CREATE INDEX "attempts_open" ON "attempts" USING btree ("connection") WHERE not final;--> statement-breakpoint
CREATE INDEX "attempts_uncollected" ON "attempts" USING btree ("next_at") WHERE final and collected is null and collect_problem is null;--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("next_at") WHERE done_at is null and parked_at is null;--> statement-breakpoint
CREATE INDEX "deliveries_received" ON "deliveries" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "jobs_open" ON "jobs" USING btree ("connection","state") WHERE state not in ('completed', 'failed', 'canceled', 'skipped');--> statement-breakpoint
CREATE INDEX "merge_requests_source" ON "merge_requests" USING btree ("project_id","source_branch");--> statement-breakpoint
CREATE INDEX "reports_due" ON "reports" USING btree ("next_at") WHERE sent_hash is distinct from desired_hash and parked_at is null;--> statement-breakpoint
CREATE INDEX "reports_run" ON "reports" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "runs_unreported" ON "runs" USING btree ("id") WHERE version > reported_version;--> statement-breakpoint
CREATE INDEX "runs_open" ON "runs" USING btree ("id") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "runs_branch" ON "runs" USING btree ("branch_id","created_at");--> statement-breakpoint
CREATE INDEX "runs_sha" ON "runs" USING btree ("project_id","sha");