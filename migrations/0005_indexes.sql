CREATE INDEX "attempts_run" ON "attempts" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "attempts_submitting" ON "attempts" USING btree ("connection","next_at") WHERE state = 'submitting' and not final;--> statement-breakpoint
CREATE INDEX "deliveries_claimed" ON "deliveries" USING btree ("project_id") WHERE done_at is null and lease_until is not null;