-- What the target remembers of a copy. {schema} is ours alone.

-- name: exists
SELECT pg_catalog.to_regclass(%(table)s) IS NOT NULL

-- name: turn
-- One copy at a time: held by the session.
SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%(schema)s, 21))

-- name: holder
SELECT a.pid, a.client_addr::text
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32) + l.objid::bigint = pg_catalog.hashtextextended(%(schema)s, 21)

-- name: schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: table
CREATE TABLE IF NOT EXISTS {schema}.copy_range (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    copy    uuid NOT NULL,
    entity  integer NOT NULL,
    number  integer NOT NULL,
    bounds  jsonb NOT NULL,
    attempt bigint NOT NULL DEFAULT 0,
    done    boolean NOT NULL DEFAULT false,
    rows    bigint NOT NULL DEFAULT 0,
    UNIQUE (copy, number)
) WITH (fillfactor = 50)

-- name: ranges
SELECT id, number, bounds, done, rows FROM {schema}.copy_range WHERE copy = %(copy)s::uuid ORDER BY number

-- name: tag
-- Says whose writes these are, so that the capture of the way back passes over them, and what gates of moves have said.
SELECT pg_catalog.set_config('syncline.link', %(link)s, true),
       pg_catalog.set_config('syncline.gate_link', %(admission)s, true)

-- name: forget
-- Waits for open transactions of earlier copiers; whoever comes later finds no range.
DELETE FROM {schema}.copy_range WHERE entity = %(entity)s

-- name: forget_copy
DELETE FROM {schema}.copy_range WHERE copy = %(copy)s::uuid

-- name: lay
INSERT INTO {schema}.copy_range (copy, entity, number, bounds)
SELECT %(copy)s::uuid, %(entity)s, r.number, r.bounds
FROM pg_catalog.jsonb_array_elements(%(bounds)s) WITH ORDINALITY AS r (bounds, number)

-- name: attempt
-- Waits for an earlier copier's open transaction, or shuts it out.
UPDATE {schema}.copy_range SET attempt = attempt + 1 WHERE id = %(id)s AND NOT done RETURNING attempt

-- name: holders
-- Who holds the range for too long: its copier is frozen. What it has written is rolled back.
SELECT pg_catalog.pg_terminate_backend(b.pid)
FROM (SELECT unnest(pg_catalog.pg_blocking_pids(%(pid)s)) AS pid) AS b JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE a.application_name = 'syncline copy'

-- name: enter
SELECT id FROM {schema}.copy_range WHERE id = %(id)s AND attempt = %(attempt)s AND NOT done FOR UPDATE

-- name: done
UPDATE {schema}.copy_range SET done = true, rows = %(rows)s WHERE id = %(id)s
