DROP INDEX "run_directories_open";--> statement-breakpoint
ALTER TABLE "run_directories" ADD COLUMN "tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "run_directories" ADD COLUMN "next_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "run_directories" ADD COLUMN "problem" text;--> statement-breakpoint
CREATE INDEX "run_directories_open" ON "run_directories" USING btree ("connection","next_at") WHERE removed_at is null;