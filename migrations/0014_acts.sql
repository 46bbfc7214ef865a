CREATE TABLE "acts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"cause" text NOT NULL,
	"verb" text NOT NULL,
	"by" jsonb NOT NULL,
	"said" text NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "acts_cause" UNIQUE("project_id","cause")
);
--> statement-breakpoint
CREATE TABLE "comments" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" bigint NOT NULL,
	"iid" integer NOT NULL,
	"note_id" bigint NOT NULL,
	"author_id" bigint NOT NULL,
	"body_sha256" text NOT NULL,
	"found_by" text NOT NULL,
	"delivery_id" uuid,
	"received_at" timestamp with time zone DEFAULT now() NOT NULL,
	"result" text,
	"refused" boolean DEFAULT false NOT NULL,
	"done_at" timestamp with time zone,
	"tries" integer DEFAULT 0 NOT NULL,
	"interrupted" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"lease_holder" text,
	"last_error" text,
	"parked_at" timestamp with time zone,
	CONSTRAINT "comments_note" UNIQUE("project_id","note_id")
);
--> statement-breakpoint
CREATE INDEX "comments_due" ON "comments" USING btree ("next_at") WHERE done_at is null and parked_at is null;--> statement-breakpoint
CREATE INDEX "comments_author" ON "comments" USING btree ("project_id","iid","author_id");