CREATE TABLE "connection_load" (
	"connection" text NOT NULL,
	"hour" timestamp with time zone NOT NULL,
	"logins" integer NOT NULL,
	"programs" integer NOT NULL,
	"scheduler_commands" integer NOT NULL,
	CONSTRAINT "connection_load_connection_hour_pk" PRIMARY KEY("connection","hour")
);
