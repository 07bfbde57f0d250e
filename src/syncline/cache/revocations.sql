-- What the session cache needs in the database that holds the sessions.

-- name: setup
CREATE SCHEMA IF NOT EXISTS syncline_sessions;
COMMENT ON SCHEMA syncline_sessions IS 'Revocations for Syncline''s session cache';
CREATE TABLE IF NOT EXISTS syncline_sessions.revocation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tx bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text NOT NULL
);
ALTER TABLE syncline_sessions.revocation
    ADD COLUMN IF NOT EXISTS ended bigint NOT NULL DEFAULT 0,
    ALTER COLUMN ended SET DEFAULT pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
COMMENT ON COLUMN syncline_sessions.revocation.ended IS 'Transactions below this number had ended when the row was written';
COMMENT ON TABLE syncline_sessions.revocation IS
    'Digests of what was revoked in the last ten minutes, for processes that poll (Syncline)';
CREATE INDEX IF NOT EXISTS revocation_tx ON syncline_sessions.revocation (tx);
CREATE INDEX IF NOT EXISTS revocation_at ON syncline_sessions.revocation (at);
CREATE OR REPLACE FUNCTION syncline_sessions.revoke(names text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Ten minutes from the end of its transaction, which may be long after its row was written: pollers see it only then.
    DELETE FROM syncline_sessions.revocation
    WHERE id IN (
        SELECT r.id FROM syncline_sessions.revocation AS r
        WHERE r.tx < (SELECT max(o.ended) FROM syncline_sessions.revocation AS o WHERE o.at < now() - interval '10 minutes')
        ORDER BY r.tx LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    INSERT INTO syncline_sessions.revocation (name) SELECT unnest(names);
    SELECT pg_notify('syncline_sessions', name) FROM unnest(names) AS name;
$$;
COMMENT ON FUNCTION syncline_sessions.revoke(text[]) IS
    'Makes every session cache forget these digests when this transaction commits (Syncline)';
CREATE OR REPLACE FUNCTION syncline_sessions.revoke_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM syncline_sessions.revoke(ARRAY(
        SELECT DISTINCT encode(substr(sha256(convert_to(TG_ARGV[0] || (held.content ->> TG_ARGV[1]), 'UTF8')), 1, 16), 'hex')
        FROM (VALUES (CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END),
                     (CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END)) AS held(content)
        WHERE held.content ->> TG_ARGV[1] IS NOT NULL
    ));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION syncline_sessions.revoke_row() IS
    'For an AFTER … FOR EACH ROW trigger: revokes the name made of a prefix and a column of the row (Syncline)';
GRANT USAGE ON SCHEMA syncline_sessions TO PUBLIC;
GRANT SELECT ON syncline_sessions.revocation TO PUBLIC;

-- name: removal
DROP SCHEMA IF EXISTS syncline_sessions CASCADE;

-- name: floor
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint

-- name: newer
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
       ARRAY(SELECT id FROM syncline_sessions.revocation WHERE tx >= %(floor)s ORDER BY id),
       ARRAY(SELECT name FROM syncline_sessions.revocation WHERE tx >= %(floor)s ORDER BY id)

-- name: revoke
SELECT syncline_sessions.revoke(%s::text[])

-- name: ping
SELECT pg_backend_pid(), EXISTS (SELECT FROM pg_listening_channels() AS channel WHERE channel = 'syncline_sessions')
