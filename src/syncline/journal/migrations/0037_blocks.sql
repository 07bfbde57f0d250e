-- Marks in blocks: a row of many keys. The release before reads single marks only, so none is made before that one's time is over.
-- name: block
CREATE TABLE IF NOT EXISTS syncline.block (
    tx      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq     bigint PRIMARY KEY,
    first   bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity  smallint NOT NULL,
    lane    smallint NOT NULL,
    hint    "char" NOT NULL,
    durable boolean NOT NULL DEFAULT current_setting('synchronous_commit') <> 'off',
    seqs    bigint[] NOT NULL,
    keys    text[] NOT NULL,
    size    integer NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
COMMENT ON TABLE syncline.block IS 'Syncline: marks of many keys that one statement changed, a row for each lane and some hundred keys; the outbox has the others.';
COMMENT ON COLUMN syncline.block.seq IS 'The number of its last key as it was made; it stays when a part is acknowledged.';
COMMENT ON COLUMN syncline.block.first IS 'The lowest number that is left: blocks that are made at the same time have numbers of the same range.';
COMMENT ON COLUMN syncline.block.seqs IS 'The numbers of the keys, from the outbox''s sequence, in the order of `keys`.';
CREATE OR REPLACE VIEW syncline.waiting AS
SELECT tx, seq, at, entity, lane, hint, durable, key, event_type, payload FROM syncline.outbox
UNION ALL
SELECT b.tx, u.seq, b.at, b.entity, b.lane, b.hint, b.durable, u.key, NULL::text, NULL::jsonb
FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) AS u (seq, key);
COMMENT ON VIEW syncline.waiting IS 'Syncline: what waits, a row a key: of the outbox and of blocks.';
DO $$
BEGIN
    IF to_regprocedure('syncline.remember_trace()') IS NOT NULL THEN
        CREATE OR REPLACE TRIGGER remember_trace AFTER INSERT ON syncline.block
            FOR EACH STATEMENT EXECUTE FUNCTION syncline.remember_trace();
        COMMENT ON TRIGGER remember_trace ON syncline.block IS 'Syncline: made by `syncline tracing on`.';
    END IF;
END $$;

-- name: functions
CREATE OR REPLACE FUNCTION syncline.in_blocks() RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT false $$;
COMMENT ON FUNCTION syncline.in_blocks() IS 'Syncline: whether many keys may be marked in blocks.';

CREATE OR REPLACE FUNCTION syncline.odd_outbox() RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    odd text;
    tables integer;
BEGIN
    SELECT count(*), string_agg(t.name || ' ' || t.odd, ', ' ORDER BY t.name DESC) FILTER (WHERE t.odd <> '')
    INTO tables, odd
    FROM (
        SELECT c.relname::text AS name, concat_ws(', ', CASE WHEN c.relkind <> 'r' THEN 'is no table' END,
                     CASE WHEN c.relchecks > 0 THEN 'has a CHECK' END, CASE WHEN EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname <> 'remember_trace') THEN 'has triggers' END,
                     CASE WHEN c.relhasrules THEN 'has rules' END, CASE WHEN c.relrowsecurity THEN 'has row-level security' END,
                     CASE WHEN EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'seq'
                                       WHERE i.indrelid = c.oid AND (i.indkey::text <> a.attnum::text OR i.indpred IS NOT NULL)) THEN 'has another index' END,
                     CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN format('is closed to %s', current_user) END,
                     CASE WHEN c.relname = 'outbox' AND NOT has_function_privilege('syncline.wake()', 'EXECUTE') THEN format('wakes nobody for %s', current_user) END,
                     CASE WHEN c.relname = 'outbox' AND (SELECT (s.seqmax, s.seqincrement, s.seqcycle) <> (9223372036854775807, 1, false) FROM pg_sequence AS s
                                WHERE s.seqrelid = to_regclass('syncline.outbox_seq_seq')) THEN 'has another sequence' END,
                     CASE WHEN (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                                                            CASE WHEN a.attnotnull THEN 'not null' END, CASE WHEN a.atthasdef THEN 'default' END,
                                                            CASE WHEN a.attidentity <> '' THEN 'identity' END, CASE WHEN a.attgenerated <> '' THEN 'generated' END),
                                                  ', ' ORDER BY a.attname)
                                FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                          <> CASE c.relname
                             WHEN 'outbox' THEN
                             'at timestamp with time zone not null default, durable boolean not null default, entity smallint not null, '
                             'event_type text, hint "char" not null, key text not null, lane smallint not null, payload jsonb, '
                             'seq bigint not null identity, tx xid8 not null default'
                             ELSE
                             'at timestamp with time zone not null default, durable boolean not null default, entity smallint not null, '
                             'first bigint not null, hint "char" not null, keys text[] not null, lane smallint not null, seq bigint not null, '
                             'seqs bigint[] not null, size integer not null, tx xid8 not null default' END THEN 'has other columns' END,
                     CASE WHEN current_setting('transaction_isolation') NOT LIKE 'read%'
                               AND (c.xmax::text <> '0' OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.xmax::text <> '0')
                                    OR c.relhastriggers OR pg_indexes_size(c.oid) IS DISTINCT FROM
                                       (SELECT sum(pg_total_relation_size(i.indexrelid)) FROM pg_index AS i WHERE i.indrelid = c.oid))
                          THEN 'may have changed since this transaction began' END) AS odd
        FROM pg_class AS c WHERE c.oid IN ('syncline.outbox'::regclass, 'syncline.block'::regclass)
    ) AS t;
    IF tables < 2 THEN
        RETURN 'outbox was made after this transaction began';
    END IF;
    RETURN odd;
END $$;
COMMENT ON FUNCTION syncline.odd_outbox() IS 'Syncline: what of the outbox and of the blocks is not as it was made.';

CREATE OR REPLACE FUNCTION syncline.markable() RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    odd text := syncline.odd_outbox();
BEGIN
    IF odd <> '' THEN
        RAISE EXCEPTION 'syncline.%', odd;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION syncline.markable() IS 'Syncline: true, or an error that says what of the outbox and of the blocks is not as it was made.';

CREATE OR REPLACE FUNCTION syncline.mark(entity smallint, keys text[], hint "char", event_type text DEFAULT NULL, payload jsonb DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    marked bigint := coalesce(cardinality(mark.keys), 0);
    parts bigint := 63;
    mark_tx xid8;
BEGIN
    IF marked >= 256 AND mark.event_type IS NULL AND mark.payload IS NULL AND syncline.in_blocks() THEN
        WHILE (parts + 1) * 500 < marked LOOP
            parts := parts * 2 + 1;
        END LOOP;
        mark_tx := pg_current_xact_id(); -- before a number is drawn
        INSERT INTO syncline.block (tx, entity, lane, hint, seqs, keys, size, first, seq)
        SELECT mark_tx, mark.entity, (b.part & 63)::smallint, mark.hint, b.seqs, b.keys, cardinality(b.keys), b.seqs[1], b.seqs[cardinality(b.seqs)]
        FROM (SELECT p.part, p.keys, ARRAY(SELECT nextval('syncline.outbox_seq_seq') FROM generate_series(1, cardinality(p.keys))) AS seqs
              FROM (SELECT hashtextextended(k, mark.entity::bigint) & parts AS part, array_agg(k) AS keys
                    FROM unnest(mark.keys) AS k GROUP BY 1) AS p) AS b;
    ELSE
        INSERT INTO syncline.outbox (entity, lane, hint, key, event_type, payload)
        SELECT mark.entity, syncline.lane_of(mark.entity, k), mark.hint, k, mark.event_type, mark.payload
        FROM unnest(mark.keys) AS k;
    END IF;
    IF marked > 0 THEN
        PERFORM syncline.wake();
    END IF;
    RETURN marked;
END $$;
COMMENT ON FUNCTION syncline.mark(smallint, text[], "char", text, jsonb) IS 'Syncline: says that records have changed.';

-- name: changes
CREATE OR REPLACE VIEW syncline.changes AS
SELECT c.seq AS id, syncline.event_name(e.name, c.hint, c.event_type) AS event_type, e.name AS aggregate_type,
       c.key AS aggregate_id, c.payload, c.created_at, c.retry_count, c.last_error, c.processed, c.processed_at
FROM (
    SELECT seq, entity, hint, event_type, key, payload, at AS created_at, 0 AS retry_count, NULL::text AS last_error,
           false AS processed, NULL::timestamptz AS processed_at
    FROM syncline.outbox
    UNION ALL
    SELECT u.seq, b.entity, b.hint, NULL::text, u.key, NULL::jsonb, b.at, 0, NULL::text, false, NULL::timestamptz
    FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) AS u (seq, key)
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, retry_count, error, false, NULL::timestamptz
    FROM syncline.parked
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history WHERE octet_length(key) <= 2000
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history WHERE octet_length(key) > 2000
) AS c JOIN syncline.entity AS e ON e.id = c.entity
WHERE c.hint <> 'G';
COMMENT ON VIEW syncline.changes IS 'Syncline: every change: waiting, parked and applied. Read only.';
