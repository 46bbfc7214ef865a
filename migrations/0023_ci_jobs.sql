CREATE TABLE "ci_jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"ci_job_id" bigint NOT NULL,
	"pipeline_id" bigint NOT NULL,
	"name" text NOT NULL,
	"branch" text NOT NULL,
	"sha" text NOT NULL,
	"by" jsonb NOT NULL,
	"asked" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"run_id" uuid,
	"wanted" jsonb,
	"heard_at" timestamp with time zone DEFAULT now() NOT NULL,
	"begins_by" timestamp with time zone,
	"gate_early" boolean DEFAULT false NOT NULL,
	"result" text,
	"ended_at" timestamp with time zone,
	"tries" integer DEFAULT 0 NOT NULL,
	"interrupted" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"lease_holder" text,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "ci_jobs_job" UNIQUE("project_id","ci_job_id")
);
--> statement-breakpoint
CREATE TABLE "ci_tokens" (
	"jti" text PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"project_id" bigint NOT NULL,
	"ci_job_id" bigint NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "ci_jobs_open" ON "ci_jobs" USING btree ("next_at") WHERE ended_at is null and parked_at is null;--> statement-breakpoint
CREATE INDEX "ci_jobs_pipeline" ON "ci_jobs" USING btree ("project_id","pipeline_id");--> statement-breakpoint
CREATE INDEX "ci_jobs_run" ON "ci_jobs" USING btree ("run_id");