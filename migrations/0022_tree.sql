ALTER TABLE "attempts" ADD COLUMN "inputs" jsonb;--> statement-breakpoint
ALTER TABLE "branches" ADD COLUMN "parent_branch" text;--> statement-breakpoint
ALTER TABLE "branches" ADD COLUMN "parent_by" text;--> statement-breakpoint
ALTER TABLE "branches" ADD COLUMN "parent_why" text;--> statement-breakpoint
ALTER TABLE "branches" ADD COLUMN "stale" jsonb;--> statement-breakpoint
ALTER TABLE "branches" ADD COLUMN "around" text;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "skipped_for_branch" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "tree_version" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "tree_seen" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "parent_run_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "parent_ended_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "parent_gate" text;--> statement-breakpoint
CREATE INDEX "branches_parent" ON "branches" USING btree ("project_id","parent_branch") WHERE parent_branch is not null;--> statement-breakpoint
CREATE INDEX "jobs_skipped_for_branch" ON "jobs" USING btree ("run_id") WHERE skipped_for_branch;--> statement-breakpoint
CREATE INDEX "runs_gated" ON "runs" USING btree ("project_id") WHERE parent_gate in ('waits', 'skipped');--> statement-breakpoint
CREATE INDEX "runs_parent_run" ON "runs" USING btree ("parent_run_id") WHERE parent_run_id is not null;