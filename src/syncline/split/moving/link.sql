-- What the switch asks of a link of the move, in the database that is its source.

-- name: left
-- What is to be done before everything that was written here is on the other side.
SELECT EXISTS (SELECT FROM syncline.outbox) OR EXISTS (SELECT FROM syncline.block) OR EXISTS (SELECT FROM syncline.task) OR EXISTS (SELECT FROM syncline.deferred),
       (SELECT count(*) FROM syncline.parked)

-- name: drained
-- The same, asked again and again; when nothing is left, also how the tables are now ({catalog}), and how workers know them.
SELECT l.waits, l.parked, CASE WHEN NOT l.waits THEN ({catalog}) END, CASE WHEN NOT l.waits THEN array({catalogs}) END
FROM ({left}) AS l (waits, parked)

-- name: catalogs
-- From which catalogs workers have compiled their tables; where none lives, the last one: what one has written by another
-- catalog than the tables have lacks columns that came since, and nothing is marked for that before a worker sees them.
SELECT DISTINCT report->>'catalog' FROM syncline.worker
WHERE expires_at > pg_catalog.clock_timestamp() OR expires_at = (SELECT max(expires_at) FROM syncline.worker)

-- name: standing
-- Marks that wait (but for tables that are being copied), and since when; workers that live; records that are parked; tables that are still being copied; tasks.
SELECT queue_size(), lag_seconds(),
       (SELECT count(*) FROM syncline.worker WHERE expires_at > pg_catalog.clock_timestamp()),
       (SELECT count(*) FROM syncline.parked),
       array(SELECT e.name FROM syncline.copy AS c JOIN syncline.entity AS e ON e.id = c.entity
             WHERE c.copied_at IS NULL ORDER BY 1),
       (SELECT count(*) FROM syncline.task)

-- name: verified
-- Of each table: its newest full verification, and whether the copy is older.
SELECT e.name, e.source_table, c.verdict, c.as_of, c.as_of > k.copied_at
FROM syncline.entity AS e
LEFT JOIN syncline.copy AS k ON k.entity = e.id
LEFT JOIN LATERAL (SELECT verdict, as_of FROM syncline.certificate WHERE entity = e.id ORDER BY as_of DESC, id DESC LIMIT 1) AS c ON true
ORDER BY e.name

-- name: highest
-- The mark that was made last.
SELECT coalesce(greatest((SELECT max(seq) FROM syncline.outbox), (SELECT max(seq) FROM syncline.block)), 0)

-- name: up_to
-- Whether every mark up to one is done; those of parked records do not count.
SELECT NOT EXISTS (SELECT FROM syncline.outbox WHERE seq <= %(seq)s)
   AND NOT EXISTS (SELECT FROM syncline.block WHERE first <= %(seq)s)

-- name: up_to_of
-- The same of one table: those of a table that has stopped wait for as long as it does.
SELECT NOT EXISTS (SELECT FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity
                   WHERE o.seq <= %(seq)s AND e.name = %(entity)s)

-- name: has_copies
SELECT pg_catalog.to_regclass('syncline.copy') IS NOT NULL

-- name: held
-- Tables that were copied and wait all the same, with the copy that they were of: without those that are being copied.
CREATE TABLE IF NOT EXISTS syncline_gate.held (link text, entity text, copy uuid NOT NULL, PRIMARY KEY (link, entity))

-- name: are_held
SELECT pg_catalog.to_regclass('syncline_gate.held') IS NOT NULL

-- name: names_held
SELECT h.entity FROM syncline_gate.held AS h JOIN syncline.copy AS c ON c.id = h.copy AND c.copied_at IS NULL
WHERE h.link = %(link)s ORDER BY 1

-- name: hold
-- A copied table's marks wait, as while it is copied; those of one that is still being copied do so already.
WITH one AS (SELECT id FROM syncline.entity WHERE name = %(entity)s),
copied AS (
    UPDATE syncline.copy SET copied_at = NULL WHERE entity = (SELECT id FROM one) AND copied_at IS NOT NULL RETURNING id
), made AS (
    INSERT INTO syncline.copy (entity, fenced) SELECT id, true FROM one WHERE %(copied)s ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO syncline_gate.held (link, entity, copy)
SELECT %(link)s::text, %(entity)s::text, id FROM copied UNION ALL SELECT %(link)s::text, %(entity)s::text, id FROM made
ON CONFLICT (link, entity) DO UPDATE SET copy = excluded.copy

-- name: let_go
-- It counts as copied now: what was proved before the halt says nothing. A copy that goes on is let alone.
WITH gone AS (DELETE FROM syncline_gate.held WHERE link = %(link)s AND entity = %(entity)s RETURNING copy)
UPDATE syncline.copy SET copied_at = pg_catalog.clock_timestamp() FROM gone
WHERE id = gone.copy AND copied_at IS NULL AND entity = (SELECT e.id FROM syncline.entity AS e WHERE e.name = %(entity)s)

-- name: tail
-- What was carried over last, as the history knows it: of each table its key's columns, their types, and keys.
SELECT e.source_table, e.key_columns, e.key_types, array_agg(DISTINCT h.key)
FROM (SELECT entity, key FROM syncline.history WHERE processed_at > pg_catalog.clock_timestamp() - interval '1 hour'
      ORDER BY seq DESC LIMIT %(limit)s) AS h
JOIN syncline.entity AS e ON e.id = h.entity
GROUP BY e.id

-- name: pinned
-- Values look the same on both sides within this transaction.
SELECT pg_catalog.set_config(s.name, s.value, true) FROM (VALUES
    ('timezone', 'UTC'), ('datestyle', 'ISO, MDY'), ('intervalstyle', 'iso_8601'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('lc_monetary', 'C'), ('row_security', 'off'), ('statement_timeout', '2s')) AS s (name, value)

-- name: rows
-- Rows of keys: their key, and a sum of what they are, whatever the order of the columns.
SELECT {key}, pg_catalog.md5(pg_catalog.to_jsonb(t)::text) FROM {table} AS t JOIN ROWS FROM ({arrays}) AS k ({names}) ON {same}
