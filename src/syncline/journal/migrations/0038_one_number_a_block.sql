-- A block draws one number: the sequence goes by more than a block may have keys.
-- name: numbers
-- Under the first statement's lock nobody draws a number: so none is given twice by what sets them forward. (Whoever marks holds that
-- lock's contrary until its transaction ends.)
ALTER SEQUENCE syncline.outbox_seq_seq START WITH 512 INCREMENT BY 512 CACHE 1;
SELECT setval('syncline.outbox_seq_seq', 512) FROM syncline.outbox_seq_seq WHERE last_value < 512;
ALTER SEQUENCE syncline.outbox_seq_seq MINVALUE 512;
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
                     CASE WHEN c.relname = 'outbox' AND (SELECT (s.seqmin, s.seqmax, s.seqincrement, s.seqcycle, s.seqcache) <> (512, 9223372036854775807, 512, false, 1) FROM pg_sequence AS s
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

-- name: blocks
ALTER TABLE syncline.block ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON COLUMN syncline.block.first IS 'The lowest number of the keys that are left.';
COMMENT ON COLUMN syncline.block.seqs IS 'The numbers of the keys, in the order of `keys`; empty: they follow each other from `first` on.';
CREATE OR REPLACE VIEW syncline.waiting AS
SELECT tx, seq, at, entity, lane, hint, durable, key, event_type, payload FROM syncline.outbox
UNION ALL
SELECT b.tx, coalesce(u.seq, b.first + u.place - 1), b.at, b.entity, b.lane, b.hint, b.durable, u.key, NULL::text, NULL::jsonb
FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) WITH ORDINALITY AS u (seq, key, place);

CREATE OR REPLACE FUNCTION syncline.mark(entity smallint, keys text[], hint "char", event_type text DEFAULT NULL, payload jsonb DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    marked bigint := coalesce(cardinality(mark.keys), 0);
    mark_tx xid8;
BEGIN
    IF marked >= 256 AND mark.event_type IS NULL AND mark.payload IS NULL AND syncline.in_blocks() THEN
        mark_tx := pg_current_xact_id(); -- before a number is drawn
        INSERT INTO syncline.block (tx, entity, lane, hint, seqs, keys, size, first, seq)
        SELECT mark_tx, mark.entity, b.lane, mark.hint, '{}', b.keys, cardinality(b.keys), b.seq - cardinality(b.keys) + 1, b.seq
        FROM (SELECT l.lane, l.keys[part * l.each + 1 : (part + 1) * l.each] AS keys, nextval('syncline.outbox_seq_seq') AS seq
              FROM (SELECT q.lane, q.keys, q.parts, (cardinality(q.keys) + q.parts - 1) / q.parts AS each
                    FROM (SELECT (hashtextextended(k, mark.entity::bigint) & 63)::smallint AS lane, array_agg(k) AS keys, (count(*)::integer - 1) / 500 + 1 AS parts
                          FROM unnest(mark.keys) AS k GROUP BY 1) AS q) AS l
              CROSS JOIN LATERAL generate_series(0, l.parts - 1) AS part) AS b;
    ELSE
        INSERT INTO syncline.outbox (entity, lane, hint, key, event_type, payload)
        SELECT mark.entity, (hashtextextended(k, mark.entity::bigint) & 63)::smallint, mark.hint, k, mark.event_type, mark.payload
        FROM unnest(mark.keys) AS k;
    END IF;
    IF marked > 0 THEN
        PERFORM syncline.wake();
    END IF;
    RETURN marked;
END $$;

-- name: changes
CREATE OR REPLACE VIEW syncline.changes AS
SELECT c.seq AS id, syncline.event_name(e.name, c.hint, c.event_type) AS event_type, e.name AS aggregate_type,
       c.key AS aggregate_id, c.payload, c.created_at, c.retry_count, c.last_error, c.processed, c.processed_at
FROM (
    SELECT seq, entity, hint, event_type, key, payload, at AS created_at, 0 AS retry_count, NULL::text AS last_error,
           false AS processed, NULL::timestamptz AS processed_at
    FROM syncline.outbox
    UNION ALL
    SELECT coalesce(u.seq, b.first + u.place - 1), b.entity, b.hint, NULL::text, u.key, NULL::jsonb, b.at, 0, NULL::text, false, NULL::timestamptz
    FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) WITH ORDINALITY AS u (seq, key, place)
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
