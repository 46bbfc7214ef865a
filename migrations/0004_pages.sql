DROP INDEX "attempts_open";--> statement-breakpoint
CREATE INDEX "attempts_open" ON "attempts" USING btree ("connection","id") WHERE not final;