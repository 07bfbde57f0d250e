CREATE TABLE IF NOT EXISTS "public"."postgres_users" (
    "mongo_id" text NOT NULL,
    "google_id" text,
    "email_id" text,
    "name" text,
    "password_hash" text,
    "active" boolean,
    "created_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_tokens" (
    "mongo_id" text NOT NULL,
    "digest" text,
    "user_mongo_id" text,
    "expires_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_teams" (
    "mongo_id" text NOT NULL,
    "name" text,
    "description" text,
    "invite_code" text,
    "created_by" text,
    "created_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_user_team_details" (
    "mongo_id" text NOT NULL,
    "user_id" text,
    "team_id" text,
    "joined_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_labels" (
    "mongo_id" text NOT NULL,
    "name" text,
    "color" text,
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_roles" (
    "mongo_id" text NOT NULL,
    "name" text,
    "permissions" jsonb,
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_user_roles" (
    "mongo_id" text NOT NULL,
    "user_mongo_id" text,
    "role_mongo_id" text,
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_tasks" (
    "mongo_id" text NOT NULL,
    "title" text,
    "description" text,
    "status" text CHECK ("status" IN ('TODO', 'IN_PROGRESS', 'BLOCKED', 'DONE')),
    "priority" text CHECK ("priority" IN ('LOW', 'MEDIUM', 'HIGH')),
    "assignee" text,
    "team_id" text,
    "due" timestamptz(3),
    "deferred_until" timestamptz(3),
    "deferred_reason" text,
    "deferred_by" text,
    "created_by" text,
    "created_at" timestamptz(3),
    "updated_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_task_labels" (
    "mongo_id" text NOT NULL,
    "position" integer NOT NULL,
    "label_mongo_id" text NOT NULL,
    PRIMARY KEY ("mongo_id", "position"),
    FOREIGN KEY ("mongo_id") REFERENCES "public"."postgres_tasks" ("mongo_id") ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS "public"."postgres_task_assignments" (
    "mongo_id" text NOT NULL,
    "task_mongo_id" text,
    "user_mongo_id" text,
    "assigned_by" text,
    "assigned_at" timestamptz(3),
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_watchlists" (
    "mongo_id" text NOT NULL,
    "name" text,
    "user_mongo_id" text,
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE TABLE IF NOT EXISTS "public"."postgres_watchlist_tasks" (
    "mongo_id" text NOT NULL,
    "position" integer NOT NULL,
    "task_mongo_id" text NOT NULL,
    PRIMARY KEY ("mongo_id", "position"),
    FOREIGN KEY ("mongo_id") REFERENCES "public"."postgres_watchlists" ("mongo_id") ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS "public"."postgres_audit_logs" (
    "mongo_id" text NOT NULL,
    "action" text,
    "collection_name" text,
    "document_id" text,
    "user_mongo_id" text,
    "at" timestamptz(3),
    "changes" jsonb,
    "rest" jsonb,
    sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ('SYNCED', 'PENDING', 'FAILED')),
    sync_error text,
    last_sync_at timestamptz,
    PRIMARY KEY ("mongo_id")
);

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_users_google_id_key" ON "public"."postgres_users" ("google_id");

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_users_email_id_key" ON "public"."postgres_users" ("email_id");

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_tokens_digest_key" ON "public"."postgres_tokens" ("digest");

CREATE INDEX IF NOT EXISTS "postgres_tokens_user_mongo_id_idx" ON "public"."postgres_tokens" ("user_mongo_id");

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_teams_invite_code_key" ON "public"."postgres_teams" ("invite_code");

CREATE INDEX IF NOT EXISTS "postgres_teams_created_by_idx" ON "public"."postgres_teams" ("created_by");

CREATE INDEX IF NOT EXISTS "postgres_user_team_details_user_id_idx" ON "public"."postgres_user_team_details" ("user_id");

CREATE INDEX IF NOT EXISTS "postgres_user_team_details_team_id_idx" ON "public"."postgres_user_team_details" ("team_id");

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_labels_name_key" ON "public"."postgres_labels" ("name");

CREATE UNIQUE INDEX IF NOT EXISTS "postgres_roles_name_key" ON "public"."postgres_roles" ("name");

CREATE INDEX IF NOT EXISTS "postgres_user_roles_user_mongo_id_idx" ON "public"."postgres_user_roles" ("user_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_user_roles_role_mongo_id_idx" ON "public"."postgres_user_roles" ("role_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_tasks_status_due_idx" ON "public"."postgres_tasks" ("status", "due");

CREATE INDEX IF NOT EXISTS "postgres_tasks_assignee_idx" ON "public"."postgres_tasks" ("assignee");

CREATE INDEX IF NOT EXISTS "postgres_tasks_team_id_idx" ON "public"."postgres_tasks" ("team_id");

CREATE INDEX IF NOT EXISTS "postgres_tasks_created_by_idx" ON "public"."postgres_tasks" ("created_by");

CREATE INDEX IF NOT EXISTS "postgres_task_labels_label_mongo_id_idx" ON "public"."postgres_task_labels" ("label_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_task_assignments_task_mongo_id_idx" ON "public"."postgres_task_assignments" ("task_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_task_assignments_user_mongo_id_idx" ON "public"."postgres_task_assignments" ("user_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_watchlists_user_mongo_id_idx" ON "public"."postgres_watchlists" ("user_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_watchlist_tasks_task_mongo_id_idx" ON "public"."postgres_watchlist_tasks" ("task_mongo_id");

CREATE INDEX IF NOT EXISTS "postgres_audit_logs_collection_name_document_id_idx" ON "public"."postgres_audit_logs" ("collection_name", "document_id");

CREATE INDEX IF NOT EXISTS "postgres_audit_logs_user_mongo_id_idx" ON "public"."postgres_audit_logs" ("user_mongo_id");

