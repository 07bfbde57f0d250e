-- Our own tables in an SQL target: whose copy it is, and who owns which lane. {schema} is ours alone.

-- name: turn
-- One at a time: CREATE … IF NOT EXISTS of two sessions may collide.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%(schema)s, 20))

-- name: exists
-- Everything, also after another tool has dropped a part. Whether there is a row in `link` is asked apart.
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc
               WHERE oid = pg_catalog.to_regprocedure(%(schema)s || '.enter(integer[], bigint[])') AND prosrc LIKE '%%link IS NULL%%')
       AND NOT EXISTS (SELECT FROM unnest(ARRAY['link', 'lane_epoch', 'heartbeat', 'probe']) AS name
                       WHERE pg_catalog.to_regclass(%(schema)s || '.' || name) IS NULL)

-- name: schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: link
-- The number by which this link's locks are told from others' in the database.
CREATE TABLE IF NOT EXISTS {schema}.link (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    lock integer NOT NULL DEFAULT (pg_catalog.random() * 2147483646)::integer + 1
)

-- name: lane_epoch
CREATE TABLE IF NOT EXISTS {schema}.lane_epoch (lane integer PRIMARY KEY, epoch bigint NOT NULL)

-- name: heartbeat
CREATE TABLE IF NOT EXISTS {schema}.heartbeat (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    installation text NOT NULL,
    system text NOT NULL,
    count bigint NOT NULL,
    timeline text NOT NULL,
    nonce text NOT NULL,
    worker text NOT NULL
)

-- name: probe_table
CREATE TABLE IF NOT EXISTS {schema}.probe (one boolean PRIMARY KEY DEFAULT true CHECK (one), count bigint NOT NULL)

-- name: no_batches
-- Before another number is drawn: a batch has read `link` in its transaction, so this waits for all that hold locks by the old one.
LOCK TABLE {schema}.link IN ACCESS EXCLUSIVE MODE

-- name: draw
INSERT INTO {schema}.link DEFAULT VALUES ON CONFLICT DO NOTHING

-- name: drawn
SELECT EXISTS (SELECT FROM {schema}.link)

-- name: enter
-- Locks the lanes (in their order, or two batches and a takeover could wait for each other) and then, in a new statement,
-- looks at their epochs. VOLATILE: a STABLE function would look with the snapshot from before the wait.
CREATE OR REPLACE FUNCTION {schema}.enter(lanes integer[], epochs bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    link integer := (SELECT l.lock FROM {schema}.link AS l);
    lost integer[];
BEGIN
    IF link IS NULL THEN  -- a lock of NULL is none
        RAISE EXCEPTION 'Syncline''s table "link" is empty: there is no number to lock lanes by' USING ERRCODE = '55000',
            HINT = 'the next renewal of a worker''s leases draws one';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(link, o.lane) FROM (SELECT unnest(lanes) AS lane ORDER BY 1) AS o;
    SELECT array_agg(w.lane ORDER BY w.lane) INTO lost
    FROM unnest(lanes, epochs) AS w(lane, epoch) LEFT JOIN {schema}.lane_epoch AS e USING (lane)
    WHERE e.epoch IS DISTINCT FROM w.epoch;
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'lanes % belong to another worker', lost USING ERRCODE = 'SL001', DETAIL = array_to_string(lost, ',');
    END IF;
END
$$

-- name: enter_call
-- Says beside whose writes these are (the capture of the same link's way back passes over them, that of others does not),
-- and what the gates of moves said before the marks were read.
SELECT {schema}.enter(%s::integer[], %s::bigint[]), pg_catalog.set_config('syncline.link', %s, true),
       pg_catalog.set_config('syncline.gate_link', %s, true)

-- name: lock_lane
-- Waits for every open batch of the lane. The number is read each time: who puts back a dropped table draws another one.
-- No row: there is no number, and nothing is locked.
SELECT pg_catalog.pg_advisory_xact_lock(l.lock, %(lane)s) FROM {schema}.link AS l

-- name: holders_end
-- Batches that have a lane's lock for too long: their worker is frozen, or waits for somebody's row. They are ours, and
-- an ended one is read again.
SELECT pg_catalog.pg_terminate_backend(l.pid)
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.classid = (SELECT lock FROM {schema}.link)::bigint::oid AND l.objid = %(lane)s::bigint::oid AND l.objsubid = 2
  AND l.pid <> pg_catalog.pg_backend_pid()

-- name: lock_free
-- Those lanes of which no batch is open; none is waited for, so that they may be held together.
SELECT o.lane FROM {schema}.link AS l, unnest(%(lanes)s::integer[]) AS o(lane) WHERE pg_catalog.pg_try_advisory_xact_lock(l.lock, o.lane)

-- name: raise_epochs
INSERT INTO {schema}.lane_epoch AS l SELECT * FROM unnest(%(lanes)s::integer[], %(epochs)s::bigint[]) AS o(lane, epoch) ORDER BY o.lane
ON CONFLICT (lane) DO UPDATE SET epoch = excluded.epoch WHERE l.epoch <= excluded.epoch
RETURNING lane

-- name: epochs
SELECT lane, epoch FROM {schema}.lane_epoch

-- name: read_beat
SELECT installation, system, count, timeline, nonce, worker FROM {schema}.heartbeat

-- name: lock_beat
SELECT installation, system, count, timeline, nonce, worker FROM {schema}.heartbeat FOR UPDATE

-- name: write_beat
INSERT INTO {schema}.heartbeat (installation, system, count, timeline, nonce, worker)
VALUES (%(installation)s, %(system)s, %(count)s, %(timeline)s, %(nonce)s, %(worker)s)
ON CONFLICT (one) DO UPDATE SET installation = excluded.installation, system = excluded.system, count = excluded.count,
    timeline = excluded.timeline, nonce = excluded.nonce, worker = excluded.worker

-- name: probe
INSERT INTO {schema}.probe AS p (count) VALUES (1) ON CONFLICT (one) DO UPDATE SET count = p.count + 1
