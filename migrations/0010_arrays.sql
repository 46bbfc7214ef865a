CREATE TABLE "tasks" (
	"attempt_id" uuid NOT NULL,
	"index" integer NOT NULL,
	"job_id" uuid NOT NULL,
	"state" text NOT NULL,
	"reason" text,
	"message" text,
	"exit_code" integer,
	"signal" integer,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone,
	"restarts" integer DEFAULT 0 NOT NULL,
	"misses" integer DEFAULT 0 NOT NULL,
	"missed_since" timestamp with time zone,
	"awaiting" timestamp with time zone,
	"max_rss" bigint,
	"cpu_seconds" double precision,
	"core_seconds" double precision,
	"node" text,
	CONSTRAINT "tasks_attempt_id_index_pk" PRIMARY KEY("attempt_id","index")
);
--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "task_array" jsonb;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "tasks_left" text;--> statement-breakpoint
CREATE INDEX "tasks_job" ON "tasks" USING btree ("job_id");