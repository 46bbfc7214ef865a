CREATE TABLE "sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"person_id" bigint NOT NULL,
	"sealed" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ends_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "sessions_end" ON "sessions" USING btree ("ends_at");