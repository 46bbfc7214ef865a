DROP INDEX "runs_unreported";--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "lease_holder" text;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "troubled_since" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "recovering" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "lease_holder" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "troubled_since" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "recovering" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "reports" ADD COLUMN "lease_holder" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "sweep_tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "sweep_next_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "next_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "lease_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "lease_holder" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "last_error" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "parked_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "runs_unreported" ON "runs" USING btree ("next_at") WHERE version > reported_version and parked_at is null;