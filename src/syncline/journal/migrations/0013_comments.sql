-- Comments that say whose an object is: tools that compare a schema with their own idea of it show them before they drop.
-- name: ours
COMMENT ON TABLE syncline.meta IS 'Syncline: which installation this is, by which version, and its counters; one row.';
COMMENT ON TABLE syncline.migration IS 'Syncline: which changes of these tables have been made; `syncline install` makes the others.';
COMMENT ON TABLE syncline.entity IS 'Syncline: what is synced. Ids are never reused: marks and tickets refer to them.';
COMMENT ON TABLE syncline.observed IS 'Syncline: what the catalog said of each entity''s tables when a worker looked last.';
COMMENT ON TABLE syncline.outbox IS 'Syncline: marks: this record changed. Read and deleted; an empty outbox is the normal state.';
COMMENT ON INDEX syncline.deferred_due IS 'Syncline: which deletes are due again.';
COMMENT ON TABLE syncline.deferred IS 'Syncline: deletes that are done a second time, when no older write of the key can still arrive.';
COMMENT ON INDEX syncline.parked_key IS 'Syncline: one parked row a record.';
COMMENT ON TABLE syncline.parked IS 'Syncline: records that the target rejects, one row a key, with the newest error.';
COMMENT ON INDEX syncline.history_key IS 'Syncline: what was applied of one record.';
COMMENT ON INDEX syncline.history_long_key IS 'Syncline: what was applied of records whose key no index holds.';
COMMENT ON TABLE syncline.history_other IS 'Syncline: applied marks of days that had no partition.';
COMMENT ON TABLE syncline.history IS 'Syncline: applied marks, a partition per UTC day, dropped whole when older than the configured time.';
COMMENT ON TABLE syncline.lane IS 'Syncline: who may apply which records, under which epoch; a record''s key says its lane.';
COMMENT ON TABLE syncline.worker IS 'Syncline: live workers; one that is past expires_at holds no lane.';
COMMENT ON TABLE syncline.task IS 'Syncline: marking of many records: backfill (keys of the source), sweep (keys that only the target has). Resumable.';
COMMENT ON TABLE syncline.granted IS
    'Syncline: what `syncline install` granted outside of this schema: SELECT on a table, or (no name) USAGE of a schema. `uninstall` revokes it.';
COMMENT ON TABLE syncline.notice IS 'Syncline: what an operator must know: a restored side, a column that is not mapped, a table that lost its key.';
COMMENT ON TABLE syncline.certificate IS 'Syncline: verification passes: what was proved, as of when.';
COMMENT ON INDEX syncline.verification_worker IS 'Syncline: one continuous verification for all workers.';
COMMENT ON TABLE syncline.verification IS
    'Syncline: passes under way: how far each has come, so that another run goes on. One row for all workers: who has it verifies.';
COMMENT ON FUNCTION syncline.lane_of(smallint, text) IS 'Syncline: the lane of a record.';
COMMENT ON FUNCTION syncline.wake() IS 'Syncline: wakes an idle worker at commit.';
COMMENT ON FUNCTION syncline.mark(smallint, text[], "char", text, jsonb) IS 'Syncline: says that records have changed.';
COMMENT ON FUNCTION syncline.rotate_history(interval) IS 'Syncline: makes the history''s partitions and drops old ones.';
COMMENT ON FUNCTION syncline.event_name(text, "char", text) IS 'Syncline: how an event is called in the view.';
COMMENT ON VIEW syncline.changes IS 'Syncline: every change: waiting, parked and applied. Read only.';

-- name: partitions
CREATE OR REPLACE FUNCTION syncline.rotate_history(keep interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms'
    AS $$
DECLARE
    day date;
    old text[] := ARRAY(SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                        WHERE i.inhparent = 'syncline.history'::regclass AND c.relname ~ '^history_[0-9]{8}$'
                          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamptz < now() - keep);
    part text;
BEGIN
    DELETE FROM syncline.history_other WHERE processed_at < now() - keep;
    IF old = '{}' AND to_regclass(format('syncline.history_%s', to_char(current_date, 'YYYYMMDD'))) IS NOT NULL
       AND to_regclass(format('syncline.history_%s', to_char(current_date + 1, 'YYYYMMDD'))) IS NOT NULL THEN
        RETURN 0;
    END IF;
    LOCK TABLE syncline.history IN ACCESS EXCLUSIVE MODE;
    FOREACH day IN ARRAY ARRAY[current_date, current_date + 1] LOOP
        IF to_regclass(format('syncline.history_%s', to_char(day, 'YYYYMMDD'))) IS NULL AND NOT EXISTS
           (SELECT FROM syncline.history_other WHERE processed_at >= day::timestamptz AND processed_at < (day + 1)::timestamptz) THEN
            EXECUTE format('CREATE TABLE syncline.history_%s PARTITION OF syncline.history FOR VALUES FROM (%L) TO (%L)',
                           to_char(day, 'YYYYMMDD'), day::timestamptz, (day + 1)::timestamptz);
            EXECUTE format('COMMENT ON TABLE syncline.history_%s IS %L', to_char(day, 'YYYYMMDD'), 'Syncline: marks that were applied on this day (UTC).');
        END IF;
    END LOOP;
    FOREACH part IN ARRAY old LOOP
        EXECUTE format('DROP TABLE IF EXISTS syncline.%I', part);
    END LOOP;
    RETURN cardinality(old);
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT relname FROM pg_class WHERE relnamespace = 'syncline'::regnamespace AND relkind = 'r' AND relname ~ '^history_[0-9]{8}$' LOOP
        EXECUTE format('COMMENT ON TABLE syncline.%I IS %L', part, 'Syncline: marks that were applied on this day (UTC).');
    END LOOP;
END $$;

-- name: functions
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT oid::regprocedure AS function, proname ~ '^key_' AS is_key, substring(proname FROM '[0-9]+') AS entity
                FROM pg_proc WHERE pronamespace = 'syncline'::regnamespace AND proname ~ '^(key|capture)_[0-9]+' LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', made.function,
                       format(CASE WHEN made.is_key THEN 'Syncline: the key of entity %s as text.'
                                   ELSE 'Syncline: puts changes into syncline.outbox, for entity %s.' END, made.entity));
    END LOOP;
END $$;

-- name: triggers
-- A table that somebody else is altering is left for another time: a comment is worth no waiting.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT t.tgname, t.tgrelid::regclass AS relation, substring(p.proname FROM '[0-9]+') AS entity
                FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
                WHERE p.pronamespace = 'syncline'::regnamespace AND p.proname ~ '^capture_[0-9]+' AND t.tgparentid = 0 LOOP
        BEGIN
            EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', made.tgname, made.relation,
                           format('Syncline: captures changes, for entity %s. `syncline install` puts it back, `syncline uninstall` removes it.', made.entity));
        EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
            NULL;
        END;
    END LOOP;
END $$;
