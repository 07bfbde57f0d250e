-- Statements of verification. Parameters are psycopg's.

-- name: clock
SELECT clock_timestamp()

-- name: unsettled
-- Why a difference of these keys may be only lag: marks (also second deletes, due or not) and parked entries. None of the
-- tables has an index on keys: each is read once, in the form (IN … IS TRUE) that looks keys up in a hash table.
SELECT key, 'mark' FROM syncline.outbox
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE
UNION
SELECT key, 'deferred' FROM syncline.deferred
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE
UNION
SELECT key, 'parked' FROM syncline.parked
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE

-- name: task
-- A task may be about to mark any key of its entity.
SELECT EXISTS (SELECT FROM syncline.task WHERE entity = %(entity)s)

-- name: lanes
SELECT syncline.lane_of(%(entity)s::smallint, k)::int FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS q (k, place) ORDER BY place

-- name: situation
-- Marks that wait, age of the oldest, live workers.
SELECT (SELECT count(*) FROM syncline.outbox WHERE hint <> 'G'),
       coalesce(extract(epoch FROM clock_timestamp()
           - (SELECT at FROM syncline.outbox WHERE hint <> 'G' ORDER BY seq LIMIT 1)), 0)::float8,
       (SELECT count(*) FROM syncline.worker WHERE expires_at > clock_timestamp())

-- name: waiting
-- Of one entity: marks from before a time, and tasks.
SELECT (SELECT count(*) FROM syncline.outbox WHERE entity = %(entity)s AND hint <> 'G' AND at < %(before)s),
       (SELECT count(*) FROM syncline.task WHERE entity = %(entity)s AND created_at < %(before)s)

-- name: parked
SELECT count(*) FROM syncline.parked WHERE entity = %(entity)s

-- name: certify
INSERT INTO syncline.certificate (entity, as_of, records, verdict, report)
VALUES (%(entity)s, %(as_of)s, %(records)s, %(verdict)s, %(report)s)

-- name: audit
INSERT INTO syncline.notice (name, severity, message, resolved_at) VALUES ('Repair', 'info', %(message)s, clock_timestamp())
