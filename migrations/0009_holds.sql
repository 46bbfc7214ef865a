CREATE TABLE "holds" (
	"cluster" text PRIMARY KEY NOT NULL,
	"mode" text NOT NULL,
	"reason" text,
	"by" text NOT NULL,
	"since" timestamp with time zone DEFAULT now() NOT NULL,
	"until" timestamp with time zone
);
