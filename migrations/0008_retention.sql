CREATE TABLE "run_directories" (
	"run_id" uuid NOT NULL,
	"connection" text NOT NULL,
	"days" integer NOT NULL,
	"since" timestamp with time zone DEFAULT now() NOT NULL,
	"removed_at" timestamp with time zone,
	CONSTRAINT "run_directories_run_id_connection_pk" PRIMARY KEY("run_id","connection")
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "kept_by" text;--> statement-breakpoint
CREATE INDEX "run_directories_open" ON "run_directories" USING btree ("connection") WHERE removed_at is null;