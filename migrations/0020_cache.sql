ALTER TABLE "attempts" ADD COLUMN "reused" jsonb;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "cache_key" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "force" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "attempts_reused" ON "attempts" USING btree ((reused->>'runId')) WHERE reused is not null;--> statement-breakpoint
CREATE INDEX "jobs_cache" ON "jobs" USING btree ("project_id","cache_key") WHERE cache_key is not null;