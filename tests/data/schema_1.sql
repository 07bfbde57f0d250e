-- An installation of schema version 1 with waiting, deferred and parked marks, history, tasks, a pass under way and
-- certificates: what a worker left behind, as pg_dump --inserts wrote it. Migrations start from here.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA syncline;
COMMENT ON SCHEMA syncline IS 'Syncline: which records changed (marks), who may apply them (lanes), what became of them.';
CREATE FUNCTION syncline.capture_1_moved() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    IF true THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES (1, syncline.lane_of(1::smallint, old."id"::text), 'D'::"char", old."id"::text);
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_1_statement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ DECLARE
    is_durable boolean := current_setting('synchronous_commit') <> 'off';
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, durable, key)
    SELECT 1, syncline.lane_of(1::smallint, q.k), left(TG_OP, 1)::"char", is_durable, q.k
    FROM (SELECT r."id"::text AS k FROM changed AS r) AS q;
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_1_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT 'sweep', 1, 'truncate'
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = 1 AND t.kind = 'sweep');
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_embed_1_moved() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    IF old."author_id" IS NOT NULL THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES (2, syncline.lane_of(2::smallint, old."author_id"::text), 'U'::"char", old."author_id"::text);
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_embed_1_statement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ DECLARE
    is_durable boolean := current_setting('synchronous_commit') <> 'off';
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, durable, key)
    SELECT 2, syncline.lane_of(2::smallint, q.k), 'U'::"char", is_durable, q.k
    FROM (SELECT DISTINCT r."author_id"::text AS k FROM changed AS r WHERE r."author_id" IS NOT NULL) AS q;
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_embed_1_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT 'backfill', 2, 'truncate'
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = 2 AND t.kind = 'backfill');
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_moved() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    IF true THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES (2, syncline.lane_of(2::smallint, old."id"::text), 'D'::"char", old."id"::text);
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_statement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ DECLARE
    is_durable boolean := current_setting('synchronous_commit') <> 'off';
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, durable, key)
    SELECT 2, syncline.lane_of(2::smallint, q.k), left(TG_OP, 1)::"char", is_durable, q.k
    FROM (SELECT r."id"::text AS k FROM changed AS r) AS q;
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_2_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT 'sweep', 2, 'truncate'
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = 2 AND t.kind = 'sweep');
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_3_moved() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    IF true THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES (3, syncline.lane_of(3::smallint, old."id"::text), 'D'::"char", old."id"::text);
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_3_statement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ DECLARE
    is_durable boolean := current_setting('synchronous_commit') <> 'off';
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, durable, key)
    SELECT 3, syncline.lane_of(3::smallint, q.k), left(TG_OP, 1)::"char", is_durable, q.k
    FROM (SELECT r."id"::text AS k FROM changed AS r) AS q;
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.capture_3_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
/* syncline */ BEGIN
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT 'sweep', 3, 'truncate'
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = 3 AND t.kind = 'sweep');
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION syncline.event_name(entity text, hint "char", event_type text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(event_type, entity || CASE hint WHEN 'I' THEN '.created' WHEN 'U' THEN '.updated' WHEN 'D' THEN '.deleted'
                                                WHEN 'B' THEN '.backfilled' WHEN 'R' THEN '.repaired' ELSE '.changed' END) $$;
CREATE FUNCTION syncline.key_1(bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $_$SELECT $1::pg_catalog.text$_$;
CREATE FUNCTION syncline.key_2(uuid) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $_$SELECT $1::pg_catalog.text$_$;
CREATE FUNCTION syncline.key_3(integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $_$SELECT $1::pg_catalog.text$_$;
CREATE FUNCTION syncline.lane_of(entity smallint, key text) RETURNS smallint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT (pg_catalog.hashtextextended(key, entity::bigint) & 63)::smallint $$;
CREATE FUNCTION syncline.mark(entity smallint, keys text[], hint "char", event_type text DEFAULT NULL::text, payload jsonb DEFAULT NULL::jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    marked bigint;
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, key, event_type, payload)
    SELECT mark.entity, syncline.lane_of(mark.entity, k), mark.hint, k, mark.event_type, mark.payload
    FROM unnest(mark.keys) AS k;
    GET DIAGNOSTICS marked = ROW_COUNT;
    IF marked > 0 THEN
        PERFORM syncline.wake();
    END IF;
    RETURN marked;
END $$;
CREATE FUNCTION syncline.rotate_history(keep interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '200ms'
    AS $_$
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
        END IF;
    END LOOP;
    FOREACH part IN ARRAY old LOOP
        EXECUTE format('DROP TABLE IF EXISTS syncline.%I', part);
    END LOOP;
    RETURN cardinality(old);
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $_$;
CREATE FUNCTION syncline.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361667, 1) THEN
        PERFORM pg_catalog.pg_notify('syncline', '');
    END IF;
END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE syncline.entity (
    id smallint NOT NULL,
    name text NOT NULL,
    source_table text NOT NULL,
    collection text NOT NULL,
    key_columns text[] NOT NULL,
    key_types text[] NOT NULL,
    capture text NOT NULL,
    definition jsonb NOT NULL,
    fingerprint text,
    CONSTRAINT entity_capture_check CHECK ((capture = ANY (ARRAY['triggers'::text, 'session'::text])))
);
COMMENT ON TABLE syncline.entity IS 'What is synced. Ids are never reused: marks and tickets refer to them.';
COMMENT ON COLUMN syncline.entity.fingerprint IS 'Of declaration and tables as the worker last compiled them; a change marks every record.';
CREATE TABLE syncline.history (
    seq bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    processed_at timestamp with time zone NOT NULL,
    entity smallint NOT NULL,
    hint "char" NOT NULL,
    key text NOT NULL,
    event_type text,
    payload jsonb
)
PARTITION BY RANGE (processed_at);
COMMENT ON TABLE syncline.history IS 'Applied marks, a partition per UTC day, dropped whole when older than the configured time.';
CREATE TABLE syncline.outbox (
    tx xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    entity smallint NOT NULL,
    lane smallint NOT NULL,
    hint "char" NOT NULL,
    durable boolean DEFAULT (current_setting('synchronous_commit'::text) <> 'off'::text) NOT NULL,
    key text NOT NULL,
    event_type text,
    payload jsonb
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='1000000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='100000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);
COMMENT ON TABLE syncline.outbox IS 'Marks: this record changed. Read and deleted; an empty outbox is the normal state.';
COMMENT ON COLUMN syncline.outbox.hint IS 'I insert, U update, D delete, B backfill, R repair, E event, G second delete.';
CREATE TABLE syncline.parked (
    id bigint NOT NULL,
    first_tx xid8,
    tx xid8,
    seq bigint NOT NULL,
    entity smallint NOT NULL,
    lane smallint NOT NULL,
    hint "char" NOT NULL,
    key text NOT NULL,
    event_type text,
    payload jsonb,
    created_at timestamp with time zone NOT NULL,
    changes bigint DEFAULT 1 NOT NULL,
    retry_count integer DEFAULT 1 NOT NULL,
    code text NOT NULL,
    error text NOT NULL,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    tried_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
COMMENT ON TABLE syncline.parked IS 'Records that the target rejects, one row a key, with the newest error.';
COMMENT ON COLUMN syncline.parked.tx IS 'With first_tx a range that holds every transaction whose change is parked here: a token in it is not synced.';
CREATE VIEW syncline."Outbox" AS
 SELECT o.seq AS id,
    syncline.event_name(e.name, o.hint, o.event_type) AS event_type,
    e.name AS aggregate_type,
    o.key AS aggregate_id,
    o.payload,
    o.at AS created_at,
    0 AS retry_count,
    NULL::text AS last_error,
    false AS processed,
    NULL::timestamp with time zone AS processed_at
   FROM (syncline.outbox o
     JOIN syncline.entity e ON ((e.id = o.entity)))
  WHERE (o.hint <> 'G'::"char")
UNION ALL
 SELECT p.seq AS id,
    syncline.event_name(e.name, p.hint, p.event_type) AS event_type,
    e.name AS aggregate_type,
    p.key AS aggregate_id,
    p.payload,
    p.created_at,
    p.retry_count,
    p.error AS last_error,
    false AS processed,
    NULL::timestamp with time zone AS processed_at
   FROM (syncline.parked p
     JOIN syncline.entity e ON ((e.id = p.entity)))
UNION ALL
 SELECT h.seq AS id,
    syncline.event_name(e.name, h.hint, h.event_type) AS event_type,
    e.name AS aggregate_type,
    h.key AS aggregate_id,
    h.payload,
    h.created_at,
    0 AS retry_count,
    NULL::text AS last_error,
    true AS processed,
    h.processed_at
   FROM (syncline.history h
     JOIN syncline.entity e ON ((e.id = h.entity)))
  WHERE (octet_length(h.key) <= 2000)
UNION ALL
 SELECT h.seq AS id,
    syncline.event_name(e.name, h.hint, h.event_type) AS event_type,
    e.name AS aggregate_type,
    h.key AS aggregate_id,
    h.payload,
    h.created_at,
    0 AS retry_count,
    NULL::text AS last_error,
    true AS processed,
    h.processed_at
   FROM (syncline.history h
     JOIN syncline.entity e ON ((e.id = h.entity)))
  WHERE (octet_length(h.key) > 2000);
COMMENT ON VIEW syncline."Outbox" IS 'Every change: waiting, parked and applied. Read only.';
CREATE VIEW public."Outbox" AS
 SELECT id,
    event_type,
    aggregate_type,
    aggregate_id,
    payload,
    created_at,
    retry_count,
    last_error,
    processed,
    processed_at
   FROM syncline."Outbox";
COMMENT ON VIEW public."Outbox" IS 'Syncline: every change, waiting, parked and applied. Read only.';
CREATE TABLE public.author (
    id uuid NOT NULL,
    name text NOT NULL
);
CREATE TABLE public.book (
    id integer NOT NULL,
    author_id uuid NOT NULL,
    title text
);
CREATE TABLE public.huge (
    id integer NOT NULL,
    n numeric
);
CREATE TABLE public.item (
    id bigint NOT NULL,
    name text,
    qty integer DEFAULT 0 NOT NULL
);
CREATE TABLE syncline.certificate (
    id bigint NOT NULL,
    entity smallint NOT NULL,
    as_of timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    records bigint NOT NULL,
    verdict text NOT NULL,
    report jsonb NOT NULL
);
COMMENT ON TABLE syncline.certificate IS 'Verification passes: what was proved, as of when.';
ALTER TABLE syncline.certificate ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.certificate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE syncline.deferred (
    id bigint NOT NULL,
    due timestamp with time zone NOT NULL,
    entity smallint NOT NULL,
    lane smallint NOT NULL,
    key text NOT NULL
);
COMMENT ON TABLE syncline.deferred IS 'Deletes that are done a second time, when no older write of the key can still arrive.';
ALTER TABLE syncline.deferred ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.deferred_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE syncline.history_20261129 (
    seq bigint CONSTRAINT history_seq_not_null NOT NULL,
    created_at timestamp with time zone CONSTRAINT history_created_at_not_null NOT NULL,
    processed_at timestamp with time zone CONSTRAINT history_processed_at_not_null NOT NULL,
    entity smallint CONSTRAINT history_entity_not_null NOT NULL,
    hint "char" CONSTRAINT history_hint_not_null NOT NULL,
    key text CONSTRAINT history_key_not_null NOT NULL,
    event_type text,
    payload jsonb
);
CREATE TABLE syncline.history_20261130 (
    seq bigint CONSTRAINT history_seq_not_null NOT NULL,
    created_at timestamp with time zone CONSTRAINT history_created_at_not_null NOT NULL,
    processed_at timestamp with time zone CONSTRAINT history_processed_at_not_null NOT NULL,
    entity smallint CONSTRAINT history_entity_not_null NOT NULL,
    hint "char" CONSTRAINT history_hint_not_null NOT NULL,
    key text CONSTRAINT history_key_not_null NOT NULL,
    event_type text,
    payload jsonb
);
CREATE TABLE syncline.history_other (
    seq bigint CONSTRAINT history_seq_not_null NOT NULL,
    created_at timestamp with time zone CONSTRAINT history_created_at_not_null NOT NULL,
    processed_at timestamp with time zone CONSTRAINT history_processed_at_not_null NOT NULL,
    entity smallint CONSTRAINT history_entity_not_null NOT NULL,
    hint "char" CONSTRAINT history_hint_not_null NOT NULL,
    key text CONSTRAINT history_key_not_null NOT NULL,
    event_type text,
    payload jsonb
);
CREATE TABLE syncline.lane (
    lane smallint NOT NULL,
    owner uuid,
    epoch bigint DEFAULT 0 NOT NULL,
    confirmed bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
COMMENT ON COLUMN syncline.lane.confirmed IS 'Highest epoch that is known to stand in the target too.';
CREATE TABLE syncline.meta (
    only_row boolean DEFAULT true NOT NULL,
    schema_version integer NOT NULL,
    package text NOT NULL,
    installation uuid DEFAULT gen_random_uuid() NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    last_entity smallint DEFAULT 0 NOT NULL,
    beat bigint DEFAULT 0 NOT NULL,
    confirmed_beat bigint DEFAULT 0 NOT NULL,
    installed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT meta_only_row_check CHECK (only_row)
)
WITH (fillfactor='10');
COMMENT ON COLUMN syncline.meta.epoch IS 'Highest epoch ever given out; one counter for all lanes.';
COMMENT ON COLUMN syncline.meta.last_entity IS 'Highest entity id ever given out, so that none is used twice.';
COMMENT ON COLUMN syncline.meta.beat IS 'Advanced by every renewal of every worker, here and in the target: shows a restore of either side.';
CREATE TABLE syncline.notice (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    name text NOT NULL,
    severity text NOT NULL,
    message text NOT NULL,
    resolved_at timestamp with time zone,
    CONSTRAINT notice_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])))
);
COMMENT ON TABLE syncline.notice IS 'What an operator must know: a restored side, a column that is not mapped, a table that lost its key.';
ALTER TABLE syncline.notice ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.notice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE syncline.outbox ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.outbox_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE syncline.parked ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.parked_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE syncline.task (
    tx xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    entity smallint NOT NULL,
    reason text NOT NULL,
    options jsonb DEFAULT '{}'::jsonb NOT NULL,
    progress jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    claimed_by uuid,
    claimed_until timestamp with time zone,
    CONSTRAINT task_kind_check CHECK ((kind = ANY (ARRAY['backfill'::text, 'sweep'::text])))
)
WITH (fillfactor='50');
COMMENT ON TABLE syncline.task IS 'Marking of many records: backfill (keys of the source), sweep (keys that only the target has). Resumable.';
ALTER TABLE syncline.task ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE syncline.verification (
    id bigint NOT NULL,
    origin text NOT NULL,
    entity smallint NOT NULL,
    scope text NOT NULL,
    state jsonb DEFAULT '{}'::jsonb NOT NULL,
    findings text DEFAULT '[]'::text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    claimed_by uuid,
    claimed_until timestamp with time zone,
    CONSTRAINT verification_origin_check CHECK ((origin = ANY (ARRAY['command'::text, 'worker'::text])))
)
WITH (fillfactor='50');
COMMENT ON TABLE syncline.verification IS 'Passes under way: how far each has come, so that another run goes on. One row for all workers: who has it verifies.';
ALTER TABLE syncline.verification ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME syncline.verification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE syncline.worker (
    id uuid NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    report jsonb DEFAULT '{}'::jsonb NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE syncline.worker IS 'Live workers; one that is past expires_at holds no lane.';
ALTER TABLE ONLY syncline.history ATTACH PARTITION syncline.history_20261129 FOR VALUES FROM ('2026-11-29 00:00:00+00') TO ('2026-11-30 00:00:00+00');
ALTER TABLE ONLY syncline.history ATTACH PARTITION syncline.history_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-01 00:00:00+00');
ALTER TABLE ONLY syncline.history ATTACH PARTITION syncline.history_other DEFAULT;
INSERT INTO public.author VALUES ('00000000-0000-4000-8000-000000000001', 'author 1');
INSERT INTO public.author VALUES ('00000000-0000-4000-8000-000000000002', 'author 2');
INSERT INTO public.book VALUES (1, '00000000-0000-4000-8000-000000000001', 'one');
INSERT INTO public.book VALUES (2, '00000000-0000-4000-8000-000000000001', 'two');
INSERT INTO public.book VALUES (3, '00000000-0000-4000-8000-000000000002', 'three');
INSERT INTO public.huge VALUES (1, 1.5);
INSERT INTO public.huge VALUES (2, 1000000000000000000000000000000000000000000000000001);
INSERT INTO public.item VALUES (6, 'item 6', 6);
INSERT INTO public.item VALUES (7, 'item 7', 7);
INSERT INTO public.item VALUES (8, 'item 8', 8);
INSERT INTO public.item VALUES (9, 'item 9', 9);
INSERT INTO public.item VALUES (10, 'item 10', 10);
INSERT INTO public.item VALUES (11, 'item 11', 11);
INSERT INTO public.item VALUES (12, 'item 12', 12);
INSERT INTO public.item VALUES (13, 'item 13', 13);
INSERT INTO public.item VALUES (14, 'item 14', 14);
INSERT INTO public.item VALUES (15, 'item 15', 15);
INSERT INTO public.item VALUES (16, 'item 16', 16);
INSERT INTO public.item VALUES (17, 'item 17', 17);
INSERT INTO public.item VALUES (18, 'item 18', 18);
INSERT INTO public.item VALUES (1, 'item 1', 101);
INSERT INTO public.item VALUES (2, 'item 2', 102);
INSERT INTO public.item VALUES (3, 'item 3', 103);
INSERT INTO public.item VALUES (4, 'item 4', 104);
INSERT INTO public.item VALUES (5, 'item 5', 105);
INSERT INTO public.item VALUES (21, 'new', 1);
INSERT INTO syncline.certificate OVERRIDING SYSTEM VALUE VALUES (1, 1, '2026-11-29 17:15:36.221507+00', '2026-11-29 17:15:36.228552+00', 19, 'equal', '{"to": null, "hot": [], "from": null, "mode": "full", "as_of": "2026-11-29T17:15:36.221507+00:00", "digest": "4a19151f5e1c9670f2482f642af960f82a6239563bcddc6878466e4c120c89f9", "entity": "item", "parked": 0, "sample": ["1", "2", "3"], "lagging": 0, "mapping": "1464095d6b65f332", "records": 19, "resumed": [], "seconds": 0.007, "verdict": "equal", "findings": [], "divergent": {}, "documents": 19, "obstacles": [], "findings_omitted": 0}');
INSERT INTO syncline.certificate OVERRIDING SYSTEM VALUE VALUES (2, 2, '2026-11-29 17:15:36.234938+00', '2026-11-29 17:15:36.245607+00', 2, 'equal', '{"to": null, "hot": [], "from": null, "mode": "full", "as_of": "2026-11-29T17:15:36.234938+00:00", "digest": "885edeaf080143c1a1a1a59d84d4d33d73d140c39603cd47a9c7e27c0d7bf2bf", "entity": "author", "parked": 0, "sample": ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"], "lagging": 0, "mapping": "dedbea39097dc838", "records": 2, "resumed": [], "seconds": 0.01, "verdict": "equal", "findings": [], "divergent": {}, "documents": 2, "obstacles": [], "findings_omitted": 0}');
INSERT INTO syncline.certificate OVERRIDING SYSTEM VALUE VALUES (3, 3, '2026-11-29 17:15:36.250965+00', '2026-11-29 17:15:36.575465+00', 2, 'divergent', '{"to": null, "hot": [], "from": null, "mode": "full", "as_of": "2026-11-29T17:15:36.250965+00:00", "digest": "37665c570a18b7d6f21ad27074ca32757d1e1d69debcff2a0cd8abc7af0486bb", "entity": "huge", "parked": 1, "sample": ["1"], "lagging": 0, "mapping": "c641d16496a603af", "records": 2, "resumed": [], "seconds": 0.324, "verdict": "divergent", "findings": [], "divergent": {}, "documents": 1, "obstacles": [], "findings_omitted": 0}');
INSERT INTO syncline.deferred OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-29 17:15:35.624581+00', 1, 15, '20');
INSERT INTO syncline.entity VALUES (1, 'item', 'public.item', 'item', '{id}', '{bigint}', 'triggers', '{"key": [], "name": "item", "table": "public.item", "where": null, "embeds": [], "fields": {"types": {}, "naming": "same", "rename": {}, "exclude": [], "include": null, "computed": {}}, "indexes": [], "collection": "item"}', '1464095d6b65f332');
INSERT INTO syncline.entity VALUES (2, 'author', 'public.author', 'author', '{id}', '{uuid}', 'triggers', '{"key": [], "name": "author", "table": "public.author", "where": null, "embeds": [{"on": ["author_id"], "field": "books", "table": "public.book", "where": null, "fields": {"types": {}, "naming": "same", "rename": {}, "exclude": [], "include": null, "computed": {}}, "order_by": []}], "fields": {"types": {}, "naming": "same", "rename": {}, "exclude": [], "include": null, "computed": {}}, "indexes": [], "collection": "author"}', 'dedbea39097dc838');
INSERT INTO syncline.entity VALUES (3, 'huge', 'public.huge', 'huge', '{id}', '{integer}', 'triggers', '{"key": [], "name": "huge", "table": "public.huge", "where": null, "embeds": [], "fields": {"types": {}, "naming": "same", "rename": {}, "exclude": [], "include": null, "computed": {}}, "indexes": [], "collection": "huge"}', 'c641d16496a603af');
INSERT INTO syncline.history_20261129 VALUES (1, '2026-11-29 17:15:34.484227+00', '2026-11-29 17:15:34.587583+00', 1, 'I', '1', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (2, '2026-11-29 17:15:34.484343+00', '2026-11-29 17:15:34.587803+00', 1, 'I', '2', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (3, '2026-11-29 17:15:34.484346+00', '2026-11-29 17:15:34.587809+00', 1, 'I', '3', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (4, '2026-11-29 17:15:34.484348+00', '2026-11-29 17:15:34.587812+00', 1, 'I', '4', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (5, '2026-11-29 17:15:34.484349+00', '2026-11-29 17:15:34.587817+00', 1, 'I', '5', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (6, '2026-11-29 17:15:34.484351+00', '2026-11-29 17:15:34.587822+00', 1, 'I', '6', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (7, '2026-11-29 17:15:34.484352+00', '2026-11-29 17:15:34.587824+00', 1, 'I', '7', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (8, '2026-11-29 17:15:34.484353+00', '2026-11-29 17:15:34.587826+00', 1, 'I', '8', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (9, '2026-11-29 17:15:34.484354+00', '2026-11-29 17:15:34.587828+00', 1, 'I', '9', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (10, '2026-11-29 17:15:34.484355+00', '2026-11-29 17:15:34.58783+00', 1, 'I', '10', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (11, '2026-11-29 17:15:34.484357+00', '2026-11-29 17:15:34.587832+00', 1, 'I', '11', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (12, '2026-11-29 17:15:34.48436+00', '2026-11-29 17:15:34.587835+00', 1, 'I', '12', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (13, '2026-11-29 17:15:34.484361+00', '2026-11-29 17:15:34.587837+00', 1, 'I', '13', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (14, '2026-11-29 17:15:34.484363+00', '2026-11-29 17:15:34.587839+00', 1, 'I', '14', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (15, '2026-11-29 17:15:34.484364+00', '2026-11-29 17:15:34.587841+00', 1, 'I', '15', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (16, '2026-11-29 17:15:34.484365+00', '2026-11-29 17:15:34.587843+00', 1, 'I', '16', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (17, '2026-11-29 17:15:34.484366+00', '2026-11-29 17:15:34.587845+00', 1, 'I', '17', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (18, '2026-11-29 17:15:34.484367+00', '2026-11-29 17:15:34.587848+00', 1, 'I', '18', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (19, '2026-11-29 17:15:34.484369+00', '2026-11-29 17:15:34.58785+00', 1, 'I', '19', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (20, '2026-11-29 17:15:34.48437+00', '2026-11-29 17:15:34.587852+00', 1, 'I', '20', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (21, '2026-11-29 17:15:34.491298+00', '2026-11-29 17:15:34.587854+00', 2, 'I', '00000000-0000-4000-8000-000000000001', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (22, '2026-11-29 17:15:34.494741+00', '2026-11-29 17:15:34.587857+00', 2, 'I', '00000000-0000-4000-8000-000000000002', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (23, '2026-11-29 17:15:34.503774+00', '2026-11-29 17:15:34.587862+00', 2, 'U', '00000000-0000-4000-8000-000000000001', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (24, '2026-11-29 17:15:34.507128+00', '2026-11-29 17:15:34.587865+00', 3, 'I', '1', NULL, NULL);
INSERT INTO syncline.history_20261129 VALUES (26, '2026-11-29 17:15:34.60147+00', '2026-11-29 17:15:34.611611+00', 1, 'E', '3', 'item.counted', '{"by": 3}');
INSERT INTO syncline.history_20261129 VALUES (27, '2026-11-29 17:15:34.619075+00', '2026-11-29 17:15:34.624554+00', 1, 'D', '20', NULL, NULL);
INSERT INTO syncline.lane VALUES (0, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (1, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (2, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (3, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (4, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (5, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (6, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (7, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (8, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (9, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (10, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (11, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (12, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (13, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (14, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (15, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (16, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (17, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (18, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (19, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (20, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (21, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (22, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (23, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (24, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (25, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (26, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (27, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (28, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (29, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (30, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (31, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (32, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (33, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (34, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (35, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (36, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (37, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (38, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (39, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (40, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (41, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (42, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (43, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (44, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (45, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (46, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (47, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (48, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (49, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (50, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (51, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (52, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (53, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (54, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (55, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (56, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (57, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (58, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (59, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (60, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (61, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (62, NULL, 1, 1);
INSERT INTO syncline.lane VALUES (63, NULL, 1, 1);
INSERT INTO syncline.meta VALUES (true, 1, '0.1.0', '80ff567f-74e5-4657-824e-72eb95093bd2', 1, 3, 1, 0, '2026-11-29 17:15:33.994491+00');
INSERT INTO syncline.notice OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-29 17:15:36.646447+00', 'TargetRestored', 'warning', 'the target was restored', '2026-11-29 17:15:36.646285+00');
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('789', 28, '2026-11-29 17:15:36.623637+00', 1, 22, 'U', true, '1', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('789', 29, '2026-11-29 17:15:36.623653+00', 1, 6, 'U', true, '2', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('789', 30, '2026-11-29 17:15:36.623656+00', 1, 53, 'U', true, '3', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('789', 31, '2026-11-29 17:15:36.623658+00', 1, 54, 'U', true, '4', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('789', 32, '2026-11-29 17:15:36.62366+00', 1, 59, 'U', true, '5', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('790', 33, '2026-11-29 17:15:36.628846+00', 1, 52, 'I', true, '21', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('791', 34, '2026-11-29 17:15:36.633841+00', 1, 40, 'D', true, '19', NULL, NULL);
INSERT INTO syncline.outbox OVERRIDING SYSTEM VALUE VALUES ('792', 35, '2026-11-29 17:15:36.637081+00', 2, 52, 'U', true, '00000000-0000-4000-8000-000000000002', NULL, NULL);
INSERT INTO syncline.parked OVERRIDING SYSTEM VALUE VALUES (1, '767', '767', 25, 3, 5, 'I', '2', NULL, NULL, '2026-11-29 17:15:34.507139+00', 1, 1, 'mapping', 'field n: a number of more than 34 digits, or out of Decimal128''s range', '2026-11-29 17:15:34.587978+00', '2026-11-29 17:15:34.587978+00');
INSERT INTO syncline.task OVERRIDING SYSTEM VALUE VALUES ('793', 1, 'backfill', 1, 'command', '{}', '{}', '2026-11-29 17:15:36.642808+00', NULL, NULL);
INSERT INTO syncline.task OVERRIDING SYSTEM VALUE VALUES ('793', 2, 'sweep', 1, 'command', '{}', '{}', '2026-11-29 17:15:36.64301+00', NULL, NULL);
INSERT INTO syncline.verification OVERRIDING SYSTEM VALUE VALUES (4, 'worker', 1, '{}', '{}', '[]', '2026-11-29 17:15:36.645263+00', '2026-11-29 17:15:36.645263+00', NULL, NULL);
SELECT pg_catalog.setval('syncline.certificate_id_seq', 3, true);
SELECT pg_catalog.setval('syncline.deferred_id_seq', 1, true);
SELECT pg_catalog.setval('syncline.notice_id_seq', 1, true);
SELECT pg_catalog.setval('syncline.outbox_seq_seq', 35, true);
SELECT pg_catalog.setval('syncline.parked_id_seq', 1, true);
SELECT pg_catalog.setval('syncline.task_id_seq', 2, true);
SELECT pg_catalog.setval('syncline.verification_id_seq', 4, true);
ALTER TABLE ONLY public.author
    ADD CONSTRAINT author_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.book
    ADD CONSTRAINT book_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.huge
    ADD CONSTRAINT huge_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.certificate
    ADD CONSTRAINT certificate_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.deferred
    ADD CONSTRAINT deferred_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.entity
    ADD CONSTRAINT entity_name_key UNIQUE (name);
ALTER TABLE ONLY syncline.entity
    ADD CONSTRAINT entity_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (lane);
ALTER TABLE ONLY syncline.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY syncline.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY syncline.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);
ALTER TABLE ONLY syncline.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);
CREATE INDEX deferred_due ON syncline.deferred USING btree (due);
CREATE INDEX history_long_key ON ONLY syncline.history USING btree (entity, created_at) WHERE (octet_length(key) > 2000);
CREATE INDEX history_20261129_entity_created_at_idx ON syncline.history_20261129 USING btree (entity, created_at) WHERE (octet_length(key) > 2000);
CREATE INDEX history_key ON ONLY syncline.history USING btree (key, entity, created_at) WHERE (octet_length(key) <= 2000);
CREATE INDEX history_20261129_key_entity_created_at_idx ON syncline.history_20261129 USING btree (key, entity, created_at) WHERE (octet_length(key) <= 2000);
CREATE INDEX history_20261130_entity_created_at_idx ON syncline.history_20261130 USING btree (entity, created_at) WHERE (octet_length(key) > 2000);
CREATE INDEX history_20261130_key_entity_created_at_idx ON syncline.history_20261130 USING btree (key, entity, created_at) WHERE (octet_length(key) <= 2000);
CREATE INDEX history_other_entity_created_at_idx ON syncline.history_other USING btree (entity, created_at) WHERE (octet_length(key) > 2000);
CREATE INDEX history_other_key_entity_created_at_idx ON syncline.history_other USING btree (key, entity, created_at) WHERE (octet_length(key) <= 2000);
CREATE UNIQUE INDEX parked_key ON syncline.parked USING btree (entity, md5(key));
CREATE UNIQUE INDEX verification_worker ON syncline.verification USING btree (origin) WHERE (origin = 'worker'::text);
ALTER INDEX syncline.history_long_key ATTACH PARTITION syncline.history_20261129_entity_created_at_idx;
ALTER INDEX syncline.history_key ATTACH PARTITION syncline.history_20261129_key_entity_created_at_idx;
ALTER INDEX syncline.history_long_key ATTACH PARTITION syncline.history_20261130_entity_created_at_idx;
ALTER INDEX syncline.history_key ATTACH PARTITION syncline.history_20261130_key_entity_created_at_idx;
ALTER INDEX syncline.history_long_key ATTACH PARTITION syncline.history_other_entity_created_at_idx;
ALTER INDEX syncline.history_key ATTACH PARTITION syncline.history_other_key_entity_created_at_idx;
CREATE TRIGGER syncline_1_delete AFTER DELETE ON public.item REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_1_statement();
ALTER TABLE public.item ENABLE ALWAYS TRIGGER syncline_1_delete;
CREATE TRIGGER syncline_1_insert AFTER INSERT ON public.item REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_1_statement();
ALTER TABLE public.item ENABLE ALWAYS TRIGGER syncline_1_insert;
CREATE TRIGGER syncline_1_moved AFTER UPDATE ON public.item FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION syncline.capture_1_moved();
ALTER TABLE public.item ENABLE ALWAYS TRIGGER syncline_1_moved;
CREATE TRIGGER syncline_1_truncate AFTER TRUNCATE ON public.item FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_1_truncate();
ALTER TABLE public.item ENABLE ALWAYS TRIGGER syncline_1_truncate;
CREATE TRIGGER syncline_1_update AFTER UPDATE ON public.item REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_1_statement();
ALTER TABLE public.item ENABLE ALWAYS TRIGGER syncline_1_update;
CREATE TRIGGER syncline_2_delete AFTER DELETE ON public.author REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_statement();
ALTER TABLE public.author ENABLE ALWAYS TRIGGER syncline_2_delete;
CREATE TRIGGER syncline_2_embed_1_delete AFTER DELETE ON public.book REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_embed_1_statement();
ALTER TABLE public.book ENABLE ALWAYS TRIGGER syncline_2_embed_1_delete;
CREATE TRIGGER syncline_2_embed_1_insert AFTER INSERT ON public.book REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_embed_1_statement();
ALTER TABLE public.book ENABLE ALWAYS TRIGGER syncline_2_embed_1_insert;
CREATE TRIGGER syncline_2_embed_1_moved AFTER UPDATE ON public.book FOR EACH ROW WHEN ((old.author_id IS DISTINCT FROM new.author_id)) EXECUTE FUNCTION syncline.capture_2_embed_1_moved();
ALTER TABLE public.book ENABLE ALWAYS TRIGGER syncline_2_embed_1_moved;
CREATE TRIGGER syncline_2_embed_1_truncate AFTER TRUNCATE ON public.book FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_embed_1_truncate();
ALTER TABLE public.book ENABLE ALWAYS TRIGGER syncline_2_embed_1_truncate;
CREATE TRIGGER syncline_2_embed_1_update AFTER UPDATE ON public.book REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_embed_1_statement();
ALTER TABLE public.book ENABLE ALWAYS TRIGGER syncline_2_embed_1_update;
CREATE TRIGGER syncline_2_insert AFTER INSERT ON public.author REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_statement();
ALTER TABLE public.author ENABLE ALWAYS TRIGGER syncline_2_insert;
CREATE TRIGGER syncline_2_moved AFTER UPDATE ON public.author FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION syncline.capture_2_moved();
ALTER TABLE public.author ENABLE ALWAYS TRIGGER syncline_2_moved;
CREATE TRIGGER syncline_2_truncate AFTER TRUNCATE ON public.author FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_truncate();
ALTER TABLE public.author ENABLE ALWAYS TRIGGER syncline_2_truncate;
CREATE TRIGGER syncline_2_update AFTER UPDATE ON public.author REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_2_statement();
ALTER TABLE public.author ENABLE ALWAYS TRIGGER syncline_2_update;
CREATE TRIGGER syncline_3_delete AFTER DELETE ON public.huge REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_3_statement();
ALTER TABLE public.huge ENABLE ALWAYS TRIGGER syncline_3_delete;
CREATE TRIGGER syncline_3_insert AFTER INSERT ON public.huge REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_3_statement();
ALTER TABLE public.huge ENABLE ALWAYS TRIGGER syncline_3_insert;
CREATE TRIGGER syncline_3_moved AFTER UPDATE ON public.huge FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION syncline.capture_3_moved();
ALTER TABLE public.huge ENABLE ALWAYS TRIGGER syncline_3_moved;
CREATE TRIGGER syncline_3_truncate AFTER TRUNCATE ON public.huge FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_3_truncate();
ALTER TABLE public.huge ENABLE ALWAYS TRIGGER syncline_3_truncate;
CREATE TRIGGER syncline_3_update AFTER UPDATE ON public.huge REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION syncline.capture_3_statement();
ALTER TABLE public.huge ENABLE ALWAYS TRIGGER syncline_3_update;
ALTER TABLE ONLY public.book
    ADD CONSTRAINT book_author_id_fkey FOREIGN KEY (author_id) REFERENCES public.author(id);
REVOKE ALL ON FUNCTION syncline.capture_1_moved() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_1_statement() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_1_truncate() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_embed_1_moved() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_embed_1_statement() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_embed_1_truncate() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_moved() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_statement() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_2_truncate() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_3_moved() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_3_statement() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.capture_3_truncate() FROM PUBLIC;
REVOKE ALL ON FUNCTION syncline.rotate_history(keep interval) FROM PUBLIC;
