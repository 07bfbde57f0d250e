-- What a move has come to; in the database in which its tables are at first, beside the journal of the switch.

-- name: turn
SELECT pg_catalog.pg_advisory_xact_lock(1398361671, 0)

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_gate

-- name: open_schema
GRANT USAGE ON SCHEMA syncline_gate TO PUBLIC

-- name: table
-- tables: what moves, with the entity's name and key; opening: what is done on the side that opens, and undone on the other.
CREATE TABLE IF NOT EXISTS syncline_gate.move (
    name text PRIMARY KEY,
    home text NOT NULL,
    phase text NOT NULL,
    tables jsonb NOT NULL,
    opening jsonb NOT NULL DEFAULT '[]',
    notes jsonb NOT NULL DEFAULT '[]',
    begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)

-- name: exists
SELECT pg_catalog.to_regclass('syncline_gate.move') IS NOT NULL

-- name: read
SELECT phase, home, tables, opening, notes, begun_at, changed_at FROM syncline_gate.move WHERE name = %(name)s

-- name: begin
INSERT INTO syncline_gate.move (name, home, phase, tables) VALUES (%(name)s, %(home)s, %(phase)s, %(tables)s)
ON CONFLICT DO NOTHING

-- name: reach
UPDATE syncline_gate.move SET phase = %(phase)s, changed_at = pg_catalog.clock_timestamp()
WHERE name = %(name)s AND phase <> %(phase)s

-- name: keep_opening
UPDATE syncline_gate.move SET opening = %(opening)s WHERE name = %(name)s

-- name: note
-- What was done though something spoke against it, and why.
UPDATE syncline_gate.move SET notes = notes || %(note)s WHERE name = %(name)s

-- name: forget
DELETE FROM syncline_gate.move WHERE name = %(name)s

-- name: roots
-- Tables as a link takes them: a partitioned one stands for its partitions. Their primary keys, in order.
SELECT n.nspname, c.relname,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.place)
                 FROM pg_catalog.pg_index AS i
                 CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int[]) WITH ORDINALITY AS k (number, place)
                 JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
                 WHERE i.indrelid = c.oid AND i.indisprimary), '{}')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS t (schema, name) ON t.schema = n.nspname AND t.name = c.relname
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname, c.relname

-- name: opened
-- When a side was opened to applications, and how many seconds ago.
SELECT opened_at, extract(epoch FROM pg_catalog.clock_timestamp() - opened_at)::float8
FROM syncline_gate.gate WHERE name = %(name)s AND opened > 0
