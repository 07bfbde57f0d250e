-- The log of operations that were done in PostgreSQL, each written in the transaction of its operation. Nothing removes from it:
-- the schema is its own, so that an uninstallation leaves it.

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_audit

-- name: operation
CREATE TABLE IF NOT EXISTS syncline_audit.operation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    actor text,
    action text NOT NULL,
    collection_name text NOT NULL,
    document_id text NOT NULL,
    -- The names of what was set.
    fields text[] NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'not done', 'refused')),
    reason text,
    -- Extended JSON, where the values are kept.
    before jsonb,
    after jsonb
)

-- name: of_document
CREATE INDEX IF NOT EXISTS operation_of_document ON syncline_audit.operation (collection_name, document_id)

-- name: write
INSERT INTO syncline_audit.operation (actor, action, collection_name, document_id, fields, outcome, reason, before, after)
VALUES (%(actor)s, %(action)s, %(collection)s, %(id)s, %(fields)s, %(outcome)s, %(reason)s, %(before)s, %(after)s)
