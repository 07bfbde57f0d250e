-- Syncline's own tables in a CockroachDB source (24.3 or newer). `syncline install` runs these blocks one by one, each a
-- transaction of its own: CockroachDB commits before every schema change (autocommit_before_ddl), so that an installation
-- that breaks off goes on where it stopped. The row of syncline.meta comes last and says that it is complete.
--
-- Other than in schema.sql: numbers come from unique_rowid() (about in order of time, not of commit); no transaction
-- column is filled, so there are no read-your-writes tokens; history is one table, its old rows are deleted; nobody is
-- woken. Column and function names are the same.

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline;

-- name: meta
CREATE TABLE IF NOT EXISTS syncline.meta (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    schema_version integer NOT NULL,
    package        text NOT NULL,
    cluster        text NOT NULL,
    installation   uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch          bigint NOT NULL DEFAULT 0,
    last_entity    smallint NOT NULL DEFAULT 0,
    beat           bigint NOT NULL DEFAULT 0,
    confirmed_beat bigint NOT NULL DEFAULT 0,
    installed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    nonces         text[] NOT NULL DEFAULT '{}',
    contested      text,
    search_path    text
);

-- name: migration
CREATE TABLE IF NOT EXISTS syncline.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: entity
CREATE TABLE IF NOT EXISTS syncline.entity (
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

-- name: outbox
-- hint: I insert, U update, D delete, B backfill, R repair, E event, G second delete.
CREATE TABLE IF NOT EXISTS syncline.outbox (
    seq        bigint PRIMARY KEY DEFAULT unique_rowid(),
    tx         text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity     smallint NOT NULL,
    lane       smallint NOT NULL,
    hint       text NOT NULL,
    durable    boolean NOT NULL DEFAULT true,
    key        text NOT NULL,
    event_type text,
    payload    jsonb
);

-- name: block
-- Marks in blocks: nothing makes any here; what counts and shows marks is said as for PostgreSQL.
CREATE TABLE IF NOT EXISTS syncline.block (
    seq     bigint PRIMARY KEY,
    first   bigint NOT NULL,
    tx      text,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity  smallint NOT NULL,
    lane    smallint NOT NULL,
    hint    text NOT NULL,
    durable boolean NOT NULL DEFAULT true,
    seqs    bigint[] NOT NULL,
    keys    text[] NOT NULL,
    size    integer NOT NULL
);

-- name: waiting
CREATE OR REPLACE VIEW syncline.waiting AS
SELECT tx, seq, at, entity, lane, hint, durable, key, event_type, payload FROM syncline.outbox;

-- name: deferred
CREATE TABLE IF NOT EXISTS syncline.deferred (
    id     bigint PRIMARY KEY DEFAULT unique_rowid(),
    due    timestamptz NOT NULL,
    entity smallint NOT NULL,
    lane   smallint NOT NULL,
    key    text NOT NULL
);

-- name: deferred_due
CREATE INDEX IF NOT EXISTS deferred_due ON syncline.deferred (due);

-- name: parked
CREATE TABLE IF NOT EXISTS syncline.parked (
    id          bigint PRIMARY KEY DEFAULT unique_rowid(),
    first_tx    text,
    tx          text,
    seq         bigint NOT NULL,
    entity      smallint NOT NULL,
    lane        smallint NOT NULL,
    hint        text NOT NULL,
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

-- name: parked_key
-- The key itself: expressions are no ON CONFLICT targets there (known limitation).
CREATE UNIQUE INDEX IF NOT EXISTS parked_key ON syncline.parked (entity, key);

-- name: history
CREATE TABLE IF NOT EXISTS syncline.history (
    id           bigint PRIMARY KEY DEFAULT unique_rowid(),
    seq          bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    processed_at timestamptz NOT NULL,
    entity       smallint NOT NULL,
    hint         text NOT NULL,
    key          text NOT NULL,
    event_type   text,
    payload      jsonb
);

-- name: history_key
CREATE INDEX IF NOT EXISTS history_key ON syncline.history (key, entity, created_at);

-- name: history_age
CREATE INDEX IF NOT EXISTS history_age ON syncline.history (processed_at);

-- name: lane
CREATE TABLE IF NOT EXISTS syncline.lane (
    lane      smallint PRIMARY KEY,
    owner     uuid,
    epoch     bigint NOT NULL DEFAULT 0,
    confirmed bigint NOT NULL DEFAULT 0
);

-- name: lanes
INSERT INTO syncline.lane (lane) SELECT generate_series(0, 63) ON CONFLICT (lane) DO NOTHING;

-- name: worker
CREATE TABLE IF NOT EXISTS syncline.worker (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    version    text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    report     jsonb NOT NULL DEFAULT '{}'
);

-- name: task
CREATE TABLE IF NOT EXISTS syncline.task (
    id            bigint PRIMARY KEY DEFAULT unique_rowid(),
    tx            text,
    kind          text NOT NULL CHECK (kind IN ('backfill', 'sweep')),
    entity        smallint NOT NULL,
    reason        text NOT NULL,
    options       jsonb NOT NULL DEFAULT '{}',
    progress      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by    uuid,
    claimed_until timestamptz
);

-- name: notice
CREATE TABLE IF NOT EXISTS syncline.notice (
    id          bigint PRIMARY KEY DEFAULT unique_rowid(),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    name        text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    message     text NOT NULL,
    resolved_at timestamptz,
    entity      text
);

-- name: copy
CREATE TABLE IF NOT EXISTS syncline.copy (
    entity    smallint PRIMARY KEY,
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    fenced    boolean NOT NULL DEFAULT false,
    looked_at timestamptz,
    copied_at timestamptz
);

-- name: certificate
CREATE TABLE IF NOT EXISTS syncline.certificate (
    id          bigint PRIMARY KEY DEFAULT unique_rowid(),
    entity      smallint NOT NULL,
    as_of       timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    records     bigint NOT NULL,
    verdict     text NOT NULL,
    report      jsonb NOT NULL
);

-- name: verification
CREATE TABLE IF NOT EXISTS syncline.verification (
    id            bigint PRIMARY KEY DEFAULT unique_rowid(),
    origin        text NOT NULL CHECK (origin IN ('command', 'worker')),
    entity        smallint NOT NULL,
    scope         text NOT NULL,
    state         jsonb NOT NULL DEFAULT '{}',
    findings      text NOT NULL DEFAULT '[]',
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by    uuid,
    claimed_until timestamptz
);

-- name: verification_worker
CREATE UNIQUE INDEX IF NOT EXISTS verification_worker ON syncline.verification (origin) WHERE origin = 'worker';

-- name: capture
-- Which triggers there must be; CockroachDB's catalog says little about them.
CREATE TABLE IF NOT EXISTS syncline.capture (
    name         text PRIMARY KEY,
    entity       smallint NOT NULL,
    source_table text NOT NULL,
    complete     boolean NOT NULL DEFAULT false
);

-- name: lane_of
CREATE OR REPLACE FUNCTION syncline.lane_of(p_entity smallint, p_key text) RETURNS smallint
    LANGUAGE SQL IMMUTABLE
    AS $$ SELECT ((crc32ieee(p_key) + p_entity) & 63)::smallint $$;

-- name: wake
-- Nobody can be woken: the relay polls.
CREATE OR REPLACE FUNCTION syncline.wake() RETURNS boolean
    LANGUAGE SQL
    AS $$ SELECT true $$;

-- name: mark
CREATE OR REPLACE FUNCTION syncline.mark(p_entity smallint, p_keys text[], p_hint "char", p_event_type text DEFAULT NULL, p_payload jsonb DEFAULT NULL)
    RETURNS bigint
    LANGUAGE SQL SECURITY DEFINER
    AS $$
    INSERT INTO syncline.outbox (entity, lane, hint, key, event_type, payload)
    SELECT p_entity, ((crc32ieee(q.k) + p_entity) & 63)::smallint, p_hint::text, q.k, p_event_type, p_payload
    FROM unnest(p_keys) AS q (k);
    SELECT coalesce(array_length(p_keys, 1), 0)::bigint;
$$;

-- name: event_name
CREATE OR REPLACE FUNCTION syncline.event_name(p_entity text, p_hint text, p_event_type text) RETURNS text
    LANGUAGE SQL IMMUTABLE
    AS $$ SELECT coalesce(p_event_type, p_entity || CASE p_hint WHEN 'I' THEN '.created' WHEN 'U' THEN '.updated' WHEN 'D' THEN '.deleted'
                                                     WHEN 'B' THEN '.backfilled' WHEN 'R' THEN '.repaired' ELSE '.changed' END) $$;

-- name: changes
CREATE OR REPLACE VIEW syncline.changes AS
WITH every AS (
    SELECT seq, entity, hint, event_type, key, payload, at AS created_at, 0 AS retry_count, NULL::text AS last_error,
           false AS processed, NULL::timestamptz AS processed_at
    FROM syncline.outbox WHERE hint <> 'G'
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, retry_count, error, false, NULL::timestamptz
    FROM syncline.parked
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history
)
SELECT o.seq AS id, syncline.event_name(e.name, o.hint, o.event_type) AS event_type,
       e.name AS aggregate_type, o.key AS aggregate_id, o.payload, o.created_at, o.retry_count, o.last_error, o.processed,
       o.processed_at
FROM every AS o JOIN syncline.entity AS e ON e.id = o.entity;
