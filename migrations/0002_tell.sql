ALTER TABLE "reports" ADD COLUMN "unsent_since" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
CREATE INDEX "attempts_parked" ON "attempts" USING btree ("parked_at") WHERE parked_at is not null;--> statement-breakpoint
CREATE INDEX "deliveries_parked" ON "deliveries" USING btree ("parked_at") WHERE parked_at is not null;--> statement-breakpoint
CREATE INDEX "reports_parked" ON "reports" USING btree ("parked_at") WHERE parked_at is not null;--> statement-breakpoint
CREATE INDEX "runs_parked" ON "runs" USING btree ("parked_at") WHERE parked_at is not null;