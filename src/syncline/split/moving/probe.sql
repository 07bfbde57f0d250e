-- The test of the way back: what its role does at home, and whether the new side marks what is written there. Everything but
-- the record of the test is rolled back.

-- name: columns
-- Of a table: its columns, their types, whether they are of the key, may be set, are computed; whether policies bind its owner.
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(a.attnum = ANY (i.indkey::smallint[]), false),
       a.attidentity = 'a', a.attgenerated <> '', c.relforcerowsecurity
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.oid = pg_catalog.to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: limits
SELECT pg_catalog.set_config('lock_timeout', '300ms', true), pg_catalog.set_config('row_security', 'on', true)

-- name: as_link
-- The gate lets a link in that has read its number; capture passes over the other way's writes only, by its name.
SELECT pg_catalog.set_config('syncline.link', 'probe', true), pg_catalog.set_config('syncline.gate_link', %(admission)s, true)

-- name: row
-- The oldest ones: the newest are in use.
SELECT {texts} FROM {table} AS t ORDER BY {keys} LIMIT 1 OFFSET %(skip)s FOR UPDATE

-- name: update
UPDATE {table} AS t SET {sets} FROM (SELECT {values}) AS r ({names}) WHERE %(real)s AND {same}

-- name: insert
INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {taken} FROM (SELECT {values}) AS r ({names})
WHERE %(real)s AND NOT EXISTS (SELECT FROM {table} AS t WHERE {same})

-- name: delete
-- The right to, and the gate; a row would take others along, or be refused by those that refer to it.
DELETE FROM {table} WHERE false

-- name: marked
SELECT EXISTS (SELECT FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity
               WHERE e.name = %(entity)s AND o.tx = pg_catalog.pg_current_xact_id())

-- name: table
-- Of each moving table: when its way back was tested last, and what was wrong; in_the_way: others held what was asked for.
CREATE TABLE IF NOT EXISTS syncline_gate.probe (
    move text NOT NULL,
    entity text NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    problem text,
    in_the_way boolean NOT NULL,
    PRIMARY KEY (move, entity)
)

-- name: is_there
SELECT pg_catalog.to_regclass('syncline_gate.probe') IS NOT NULL

-- name: record
INSERT INTO syncline_gate.probe (move, entity, problem, in_the_way) VALUES (%(move)s, %(entity)s, %(problem)s, %(in_the_way)s)
ON CONFLICT (move, entity) DO UPDATE SET at = excluded.at, problem = excluded.problem, in_the_way = excluded.in_the_way

-- name: recorded
SELECT entity, at, extract(epoch FROM pg_catalog.clock_timestamp() - at)::float8, problem, in_the_way FROM syncline_gate.probe
WHERE move = %(move)s ORDER BY entity

-- name: forget
DELETE FROM syncline_gate.probe WHERE move = %(move)s
