-- Syncline's own tables in a PostgreSQL source. `syncline install` runs this file; it is readable and runnable in psql.
-- Everything lives in the schema `syncline`; `syncline uninstall` drops it and nothing else remains.

CREATE SCHEMA IF NOT EXISTS syncline;
COMMENT ON SCHEMA syncline IS 'Syncline: which records changed (marks), who may apply them (lanes), what became of them.';

CREATE TABLE syncline.meta (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    schema_version integer NOT NULL,
    package        text NOT NULL,
    installation   uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch          bigint NOT NULL DEFAULT 0,
    last_entity    smallint NOT NULL DEFAULT 0,
    beat           bigint NOT NULL DEFAULT 0,
    confirmed_beat bigint NOT NULL DEFAULT 0,
    installed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    nonces         text[] NOT NULL DEFAULT '{}',
    contested      text,
    search_path    text
) WITH (fillfactor = 10);
COMMENT ON TABLE syncline.meta IS 'Syncline: which installation this is, by which version, and its counters; one row.';
COMMENT ON COLUMN syncline.meta.epoch IS 'Highest epoch ever given out; one counter for all lanes.';
COMMENT ON COLUMN syncline.meta.search_path IS 'Under which path `where` and computed fields are evaluated, whoever does it.';
COMMENT ON COLUMN syncline.meta.last_entity IS 'Highest entity id ever given out, so that none is used twice.';
COMMENT ON COLUMN syncline.meta.beat IS 'Advanced by every renewal of every worker, here and in the target: shows a restore of either side.';
COMMENT ON COLUMN syncline.meta.nonces IS 'Random values that renewals have left in the target, newest first: another one there is another source''s.';
COMMENT ON COLUMN syncline.meta.contested IS 'Who else wrote to the target; workers refuse to start until `syncline adopt`.';

CREATE TABLE syncline.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE syncline.migration IS 'Syncline: which changes of these tables have been made; `syncline install` makes the others.';

CREATE TABLE syncline.entity (
    id           smallint PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    source_table text NOT NULL,
    collection   text NOT NULL,
    key_columns  text[] NOT NULL,
    key_types    text[] NOT NULL,
    capture      text NOT NULL CHECK (capture IN ('triggers', 'session')),
    definition   jsonb NOT NULL,
    fingerprint  text,
    state        text NOT NULL DEFAULT 'armed' CHECK (state IN ('pending', 'rearming', 'armed')),
    mask         text[],
    known_columns jsonb
);
COMMENT ON COLUMN syncline.entity.state IS
    'pending: triggers are still to be made, nobody serves it; rearming: to be marked when they are put back; armed: all is there.';
COMMENT ON COLUMN syncline.entity.known_columns IS
    'The columns at the last `syncline install`, of the table and of each embed, with their numbers: others are new.';
COMMENT ON COLUMN syncline.entity.fingerprint IS 'Of declaration and tables as the worker last compiled them; a change marks every record.';
COMMENT ON COLUMN syncline.entity.mask IS 'Fields whose values no report shows.';
COMMENT ON TABLE syncline.entity IS 'Syncline: what is synced. Ids are never reused: marks and tickets refer to them.';

CREATE TABLE syncline.observed (
    entity  smallint PRIMARY KEY,
    catalog jsonb NOT NULL
);
COMMENT ON TABLE syncline.observed IS 'Syncline: what the catalog said of each entity''s tables when a worker looked last.';

-- tx stands before seq: defaults are computed in this order, so that a transaction has its id before it draws a number.
-- The relay's floor (see queries.sql, "drawn") relies on it. The sequence goes by 512, so that one number is drawn for a block:
-- its keys have that one and those just below it. Whatever is drawn later is higher than all of them.
CREATE TABLE syncline.outbox (
    tx         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq        bigint GENERATED ALWAYS AS IDENTITY (START WITH 512 INCREMENT BY 512 MINVALUE 512 CACHE 1) PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity     smallint NOT NULL,
    lane       smallint NOT NULL,
    hint       "char" NOT NULL,
    durable    boolean NOT NULL DEFAULT current_setting('synchronous_commit') <> 'off',
    key        text NOT NULL,
    event_type text,
    payload    jsonb
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
COMMENT ON TABLE syncline.outbox IS 'Syncline: marks: this record changed. Read and deleted; an empty outbox is the normal state.';
COMMENT ON COLUMN syncline.outbox.hint IS 'I insert, U update, D delete, B backfill, R repair, E event, G second delete.';

-- A statement that changes many rows marks them in blocks. A key has a number of its own here too, so that all that goes by numbers
-- need not know: `first` and those that follow, or, where parts were acknowledged and left gaps, those in `seqs`. What is
-- acknowledged of a block leaves its arrays; the row goes with its last key. (Keys are not compressed: that cost the writer
-- more than all the rest of a block.)
CREATE TABLE syncline.block (
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
ALTER TABLE syncline.block ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON TABLE syncline.block IS 'Syncline: marks of many keys that one statement changed, a row for each lane and some hundred keys; the outbox has the others.';
COMMENT ON COLUMN syncline.block.seq IS 'The number of its last key as it was made; it stays when a part is acknowledged.';
COMMENT ON COLUMN syncline.block.first IS 'The lowest number of the keys that are left.';
COMMENT ON COLUMN syncline.block.seqs IS 'The numbers of the keys, in the order of `keys`; empty: they follow each other from `first` on.';

CREATE VIEW syncline.waiting AS
SELECT tx, seq, at, entity, lane, hint, durable, key, event_type, payload FROM syncline.outbox
UNION ALL
SELECT b.tx, coalesce(u.seq, b.first + u.place - 1), b.at, b.entity, b.lane, b.hint, b.durable, u.key, NULL::text, NULL::jsonb
FROM syncline.block AS b CROSS JOIN LATERAL unnest(b.seqs, b.keys) WITH ORDINALITY AS u (seq, key, place);
COMMENT ON VIEW syncline.waiting IS 'Syncline: what waits, a row a key: of the outbox and of blocks.';

CREATE TABLE syncline.deferred (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due    timestamptz NOT NULL,
    entity smallint NOT NULL,
    lane   smallint NOT NULL,
    key    text NOT NULL
);
CREATE INDEX deferred_due ON syncline.deferred (due);
COMMENT ON INDEX syncline.deferred_due IS 'Syncline: which deletes are due again.';
COMMENT ON TABLE syncline.deferred IS 'Syncline: deletes that are done a second time, when no older write of the key can still arrive.';

CREATE TABLE syncline.parked (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_tx    xid8,
    tx          xid8,
    seq         bigint NOT NULL,
    entity      smallint NOT NULL,
    lane        smallint NOT NULL,
    hint        "char" NOT NULL,
    key         text NOT NULL,
    event_type  text,
    payload     jsonb,
    created_at  timestamptz NOT NULL,
    changes     bigint NOT NULL DEFAULT 1,
    retry_count integer NOT NULL DEFAULT 1,
    code        text NOT NULL,
    error       text NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX parked_key ON syncline.parked (entity, md5(key));
COMMENT ON INDEX syncline.parked_key IS 'Syncline: one parked row a record.';
COMMENT ON COLUMN syncline.parked.tx IS
    'With first_tx a range that holds every transaction whose change is parked here: a token in it is not synced.';
COMMENT ON TABLE syncline.parked IS 'Syncline: records that the target rejects, one row a key, with the newest error.';

CREATE TABLE syncline.history (
    seq          bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    processed_at timestamptz NOT NULL,
    entity       smallint NOT NULL,
    hint         "char" NOT NULL,
    key          text NOT NULL,
    event_type   text,
    payload      jsonb,
    PRIMARY KEY (seq, processed_at)
) PARTITION BY RANGE (processed_at);
-- An entry of an index has 2,704 bytes at most. A key that fits its own table's index may be longer as text.
CREATE INDEX history_key ON syncline.history (key, entity, created_at) WHERE octet_length(key) <= 2000;
CREATE INDEX history_long_key ON syncline.history (entity, created_at) WHERE octet_length(key) > 2000;
COMMENT ON INDEX syncline.history_key IS 'Syncline: what was applied of one record.';
COMMENT ON INDEX syncline.history_long_key IS 'Syncline: what was applied of records whose key no index holds.';
CREATE TABLE syncline.history_other PARTITION OF syncline.history DEFAULT;
COMMENT ON TABLE syncline.history_other IS 'Syncline: applied marks of days that had no partition.';
COMMENT ON TABLE syncline.history IS 'Syncline: applied marks, a partition per UTC day, dropped whole when older than the configured time.';

CREATE TABLE syncline.lane (
    lane      smallint PRIMARY KEY,
    owner     uuid,
    epoch     bigint NOT NULL DEFAULT 0,
    confirmed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO syncline.lane (lane) SELECT generate_series(0, 63);
COMMENT ON TABLE syncline.lane IS 'Syncline: who may apply which records, under which epoch; a record''s key says its lane.';
COMMENT ON COLUMN syncline.lane.confirmed IS 'Highest epoch that is known to stand in the target too.';

CREATE TABLE syncline.worker (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    version    text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    report     jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON TABLE syncline.worker IS 'Syncline: live workers; one that is past expires_at holds no lane.';

CREATE TABLE syncline.task (
    tx            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('backfill', 'sweep')),
    entity        smallint NOT NULL,
    reason        text NOT NULL,
    options       jsonb NOT NULL DEFAULT '{}',
    progress      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by    uuid,
    claimed_until timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE syncline.task IS 'Syncline: marking of many records: backfill (keys of the source), sweep (keys that only the target has). Resumable.';

CREATE TABLE syncline.granted (
    role   text NOT NULL,
    schema text NOT NULL,
    name   text NOT NULL DEFAULT '',
    PRIMARY KEY (role, schema, name)
);
COMMENT ON TABLE syncline.granted IS
    'Syncline: what `syncline install` granted outside of this schema: SELECT on a table, or (no name) USAGE of a schema. `uninstall` revokes it.';

CREATE TABLE syncline.notice (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    name        text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    message     text NOT NULL,
    resolved_at timestamptz,
    entity      text
);
COMMENT ON TABLE syncline.notice IS 'Syncline: what an operator must know: a restored side, a column that is not mapped, a table that lost its key.';
COMMENT ON COLUMN syncline.notice.entity IS 'What it is about; one of a name is open for each.';

CREATE TABLE syncline.certificate (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity      smallint NOT NULL,
    as_of       timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    records     bigint NOT NULL,
    verdict     text NOT NULL,
    report      jsonb NOT NULL
);
COMMENT ON TABLE syncline.certificate IS 'Syncline: verification passes: what was proved, as of when.';

CREATE TABLE syncline.verification (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin        text NOT NULL CHECK (origin IN ('command', 'worker')),
    entity        smallint NOT NULL,
    scope         text NOT NULL,
    state         jsonb NOT NULL DEFAULT '{}',
    findings      text NOT NULL DEFAULT '[]',
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by    uuid,
    claimed_until timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX verification_worker ON syncline.verification (origin) WHERE origin = 'worker';
COMMENT ON INDEX syncline.verification_worker IS 'Syncline: one continuous verification for all workers.';
COMMENT ON TABLE syncline.verification IS
    'Syncline: passes under way: how far each has come, so that another run goes on. One row for all workers: who has it verifies.';

CREATE TABLE syncline.copy (
    entity    smallint PRIMARY KEY,
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    fenced    boolean NOT NULL DEFAULT false,
    looked_at timestamptz,
    copied_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE syncline.copy IS 'Syncline: tables that are being copied, or were: marks and sweeps of one wait until it is declared copied.';
COMMENT ON COLUMN syncline.copy.fenced IS 'No batch that was read before can be written any more: rows may be copied.';

CREATE FUNCTION syncline.lane_of(entity smallint, key text) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT (pg_catalog.hashtextextended(key, entity::bigint) & 63)::smallint $$;
COMMENT ON FUNCTION syncline.lane_of(smallint, text) IS 'Syncline: the lane of a record.';

-- What of the outbox is not as it was made; nothing: NULL or ''. VOLATILE, so that it sees what is committed now: a plan is made under
-- the snapshot of the statement that fires the trigger, which may be older than a change that it has waited for. A
-- transaction above READ COMMITTED cannot see that: there a row of the catalog that has a newer version is odd enough, and so
-- are triggers where there are any (one more leaves that row as it is) and indexes of another size than those that it sees.
CREATE FUNCTION syncline.odd_outbox() RETURNS text
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
COMMENT ON FUNCTION syncline.odd_outbox() IS 'Syncline: what of the outbox and of the blocks is not as it was made.';

-- What a capture trigger asks when its statement is planned, which happens again after every change of the outbox: so it costs
-- the writes nothing. IMMUTABLE is said for that reason alone. Where it raises an error a trigger marks within a
-- subtransaction, so that nothing of what is odd here reaches the user's statement.
CREATE FUNCTION syncline.markable() RETURNS boolean
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

-- An idle relay holds this advisory lock exclusively; a writer that cannot share it wakes the relay at its commit.
-- While a writer's transaction is open the relay cannot get it, and polls. So no wake is missed, and a busy relay costs
-- its writers nothing: a NOTIFY in every transaction would make them queue for one lock at commit. Where transactions can be
-- prepared nobody notifies, and the relay polls: PostgreSQL refuses PREPARE TRANSACTION after a NOTIFY.
-- (No SECURITY DEFINER and no SET: it needs neither, and row-level triggers call it for every row.)
CREATE FUNCTION syncline.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361667, 1)
       AND pg_catalog.current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_catalog.pg_notify('syncline', '');
    END IF;
END $$;
COMMENT ON FUNCTION syncline.wake() IS 'Syncline: wakes an idle worker at commit.';

-- The release before reads single marks only: an older installation has blocks when that one's time is over (`--finish`).
CREATE FUNCTION syncline.in_blocks() RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT true $$;
COMMENT ON FUNCTION syncline.in_blocks() IS 'Syncline: whether many keys may be marked in blocks.';

CREATE FUNCTION syncline.mark(entity smallint, keys text[], hint "char", event_type text DEFAULT NULL, payload jsonb DEFAULT NULL)
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
COMMENT ON FUNCTION syncline.mark(smallint, text[], "char", text, jsonb) IS 'Syncline: says that records have changed.';

-- Makes the history's partitions for today and tomorrow (UTC) and drops the ones older than `keep`. Whoever reads the view
-- for long (a dump, a report) must not hold every acknowledgement up behind this: then another time; until then rows go to
-- the default partition. A day that has rows there stays there.
CREATE FUNCTION syncline.rotate_history(keep interval) RETURNS integer
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
REVOKE ALL ON FUNCTION syncline.rotate_history(interval) FROM PUBLIC;
COMMENT ON FUNCTION syncline.rotate_history(interval) IS 'Syncline: makes the history''s partitions and drops old ones.';

CREATE FUNCTION syncline.event_name(entity text, hint "char", event_type text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(event_type, entity || CASE hint WHEN 'I' THEN '.created' WHEN 'U' THEN '.updated' WHEN 'D' THEN '.deleted'
                                                WHEN 'B' THEN '.backfilled' WHEN 'R' THEN '.repaired' ELSE '.changed' END) $$;
COMMENT ON FUNCTION syncline.event_name(text, "char", text) IS 'Syncline: how an event is called in the view.';

-- One join above the union, and no condition within its first two parts: so PostgreSQL goes through the outbox in the order of
-- its key for `ORDER BY id LIMIT n`, however long it is, and leaves out the parts that a question cannot mean.
CREATE VIEW syncline.changes AS
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
COMMENT ON VIEW syncline.changes IS 'Syncline: every change: waiting, parked and applied. Read only.';
