-- Whether the outbox is as it was made is asked of what is committed now: under the snapshot of an older statement the answer could be
-- wrong, and was kept with the plan. Above READ COMMITTED a transaction sees neither an index nor a further trigger that somebody has put
-- on the outbox since it began: the answer was wrong, its write failed, and so did every later one of its session.
-- name: odd_outbox
CREATE OR REPLACE FUNCTION syncline.odd_outbox() RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    odd text;
BEGIN
    SELECT concat_ws(', ', CASE WHEN c.relkind <> 'r' THEN 'is no table' END,
                     CASE WHEN c.relchecks > 0 THEN 'has a CHECK' END, CASE WHEN EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname <> 'remember_trace') THEN 'has triggers' END,
                     CASE WHEN c.relhasrules THEN 'has rules' END, CASE WHEN c.relrowsecurity THEN 'has row-level security' END,
                     CASE WHEN EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'seq'
                                       WHERE i.indrelid = c.oid AND (i.indkey::text <> a.attnum::text OR i.indpred IS NOT NULL)) THEN 'has another index' END,
                     CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN format('is closed to %s', current_user) END,
                     CASE WHEN NOT has_function_privilege('syncline.wake()', 'EXECUTE') THEN format('wakes nobody for %s', current_user) END,
                     CASE WHEN (SELECT (s.seqmax, s.seqincrement, s.seqcycle) <> (9223372036854775807, 1, false) FROM pg_sequence AS s
                                WHERE s.seqrelid = to_regclass('syncline.outbox_seq_seq')) THEN 'has another sequence' END,
                     CASE WHEN (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                                                            CASE WHEN a.attnotnull THEN 'not null' END, CASE WHEN a.atthasdef THEN 'default' END,
                                                            CASE WHEN a.attidentity <> '' THEN 'identity' END, CASE WHEN a.attgenerated <> '' THEN 'generated' END),
                                                  ', ' ORDER BY a.attname)
                                FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                          <> 'at timestamp with time zone not null default, durable boolean not null default, entity smallint not null, '
                             'event_type text, hint "char" not null, key text not null, lane smallint not null, payload jsonb, '
                             'seq bigint not null identity, tx xid8 not null default' THEN 'has other columns' END,
                     CASE WHEN current_setting('transaction_isolation') NOT LIKE 'read%'
                               AND (c.xmax::text <> '0' OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.xmax::text <> '0')
                                    OR c.relhastriggers OR pg_indexes_size(c.oid) IS DISTINCT FROM
                                       (SELECT sum(pg_total_relation_size(i.indexrelid)) FROM pg_index AS i WHERE i.indrelid = c.oid))
                          THEN 'may have changed since this transaction began' END)
    INTO odd
    FROM pg_class AS c WHERE c.oid = 'syncline.outbox'::regclass;
    IF NOT FOUND THEN
        RETURN 'was made after this transaction began';
    END IF;
    RETURN odd;
END $$;
COMMENT ON FUNCTION syncline.odd_outbox() IS 'Syncline: what of the outbox is not as it was made.';

-- name: markable
CREATE OR REPLACE FUNCTION syncline.markable() RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    odd text := syncline.odd_outbox();
BEGIN
    IF odd <> '' THEN
        RAISE EXCEPTION 'syncline.outbox %', odd;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION syncline.markable() IS 'Syncline: true, or an error that says what of the outbox is not as it was made.';
