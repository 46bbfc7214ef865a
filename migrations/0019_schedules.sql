CREATE TABLE "schedules" (
	"id" uuid PRIMARY KEY NOT NULL,
	"branch_id" uuid NOT NULL,
	"project_id" bigint NOT NULL,
	"cron" text NOT NULL,
	"timezone" text NOT NULL,
	"tick_at" timestamp with time zone NOT NULL,
	"tries" integer DEFAULT 0 NOT NULL,
	"interrupted" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"lease_holder" text,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "schedules_branch_id_unique" UNIQUE("branch_id")
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "includes" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "schedule" jsonb;--> statement-breakpoint
CREATE INDEX "schedules_due" ON "schedules" USING btree ("tick_at") WHERE parked_at is null;