CREATE TABLE "copies" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"run_id" uuid NOT NULL,
	"job_id" uuid NOT NULL,
	"attempt_id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"size" integer NOT NULL,
	"sha256" text NOT NULL,
	"blob" text NOT NULL,
	"content" text,
	"upload_wanted" boolean DEFAULT false NOT NULL,
	"upload" text,
	"upload_problem" text,
	"tries" integer DEFAULT 0 NOT NULL,
	"interrupted" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"lease_holder" text,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "copies_attempt_name" UNIQUE("attempt_id","name")
);
--> statement-breakpoint
CREATE INDEX "copies_run" ON "copies" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "copies_to_upload" ON "copies" USING btree ("next_at") WHERE upload_wanted and upload is null and upload_problem is null;--> statement-breakpoint
CREATE INDEX "copies_uploaded" ON "copies" USING btree ("project_id","sha256") WHERE upload is not null;