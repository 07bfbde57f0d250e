-- Tracing, made by `syncline tracing on`: a transaction that sets syncline.traceparent (SET LOCAL) has it remembered with
-- its first mark. Without it nothing of this exists, and nothing is paid. Not logged: a crash may cost links, never changes.

-- name: on
CREATE UNLOGGED TABLE IF NOT EXISTS syncline.trace (
    tx          xid8 PRIMARY KEY,
    traceparent text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE syncline.trace IS 'Syncline: which trace a transaction belongs to (W3C traceparent); kept for an hour.';
CREATE OR REPLACE FUNCTION syncline.remember_trace() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF current_setting('syncline.traceparent', true) ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' THEN
        BEGIN
            INSERT INTO syncline.trace (tx, traceparent)
            VALUES (pg_current_xact_id(), current_setting('syncline.traceparent', true)) ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            NULL; -- another tool has dropped the table: no reason for the user's write to fail
        END;
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION syncline.remember_trace() FROM PUBLIC;
CREATE OR REPLACE TRIGGER remember_trace AFTER INSERT ON syncline.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION syncline.remember_trace();
CREATE OR REPLACE TRIGGER remember_trace AFTER INSERT ON syncline.block
    FOR EACH STATEMENT EXECUTE FUNCTION syncline.remember_trace();
COMMENT ON FUNCTION syncline.remember_trace() IS 'Syncline: remembers the trace of a transaction.';
COMMENT ON TRIGGER remember_trace ON syncline.outbox IS 'Syncline: made by `syncline tracing on`.';
COMMENT ON TRIGGER remember_trace ON syncline.block IS 'Syncline: made by `syncline tracing on`.';
DO $$
DECLARE
    worker name;
BEGIN
    FOR worker IN SELECT grantee FROM information_schema.role_table_grants
                  WHERE table_schema = 'syncline' AND table_name = 'outbox' AND privilege_type = 'DELETE' LOOP
        EXECUTE format('GRANT SELECT, DELETE ON syncline.trace TO %I', worker);
    END LOOP;
END $$

-- name: off
DROP TRIGGER IF EXISTS remember_trace ON syncline.outbox;
DROP TRIGGER IF EXISTS remember_trace ON syncline.block;
DROP FUNCTION IF EXISTS syncline.remember_trace();
DROP TABLE IF EXISTS syncline.trace

-- name: is_on
SELECT pg_catalog.to_regclass('syncline.trace') IS NOT NULL AS on

-- name: traced
-- Of the marks that are about to be acknowledged: whose traces are they?
SELECT t.traceparent, t.tx::text, min(o.at), array_agg(DISTINCT e.name ORDER BY e.name), count(*)
FROM (
    SELECT tx, seq, at, entity FROM syncline.outbox WHERE seq = ANY(%(seqs)s::bigint[])
    UNION ALL
    SELECT b.tx, coalesce(u.seq, b.first + u.place - 1), b.at, b.entity
    FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) WITH ORDINALITY AS u (seq, key, place)
    WHERE b.seq = ANY(%(whole)s::bigint[])
       OR b.seq = ANY(%(parted)s::bigint[])
          AND ((b.seq, u.key) IN (SELECT * FROM unnest(%(block_of)s::bigint[], %(block_keys)s::text[]))) IS TRUE
) AS o
JOIN syncline.trace AS t ON t.tx = o.tx
JOIN syncline.entity AS e ON e.id = o.entity
GROUP BY t.tx, t.traceparent
ORDER BY min(o.seq)
LIMIT 100

-- name: forget_traces
DELETE FROM syncline.trace WHERE at < clock_timestamp() - interval '1 hour'
