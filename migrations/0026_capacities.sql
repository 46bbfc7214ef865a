CREATE TABLE "capacities" (
	"cluster" text PRIMARY KEY NOT NULL,
	"asked_at" timestamp with time zone DEFAULT now() NOT NULL,
	"told" jsonb,
	"told_at" timestamp with time zone,
	"trouble" text,
	"troubled_since" timestamp with time zone
);
