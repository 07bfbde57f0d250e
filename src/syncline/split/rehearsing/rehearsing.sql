-- A rehearsal of a move.

-- name: locale
-- How a database was made; names of some columns differ between releases.
SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'),
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale')
FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()

-- name: left_over
-- Scratch databases that nobody is connected to, of this move or of none that is known: their rehearsal was killed, or kept them.
SELECT d.datname::text
FROM pg_catalog.pg_database AS d
WHERE pg_catalog.starts_with(d.datname::text, %(prefix)s)
  AND coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), %(purpose)s) = %(purpose)s
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
  AND pg_catalog.pg_has_role(d.datdba, 'USAGE')

-- name: is_marked
SELECT pg_catalog.to_regnamespace('syncline_rehearsal') IS NOT NULL

-- name: mark
-- Whatever is in a database that has this schema was made by a rehearsal.
CREATE SCHEMA syncline_rehearsal

-- name: unmark
DROP SCHEMA IF EXISTS syncline_rehearsal

-- name: empty
-- Drops everything that the role has made here; the mark comes last.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT n.nspname FROM pg_catalog.pg_namespace AS n
               WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public', 'syncline_rehearsal')
    LOOP
        EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', one.nspname);
    END LOOP;
    FOR one IN SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                                WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind
               FROM pg_catalog.pg_class AS c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
               ORDER BY c.relkind IN ('r', 'p') DESC  -- with their sequences
    LOOP
        EXECUTE pg_catalog.format('DROP %s IF EXISTS public.%I CASCADE', one.kind, one.relname);
    END LOOP;
    FOR one IN SELECT p.oid::regprocedure::text AS name FROM pg_catalog.pg_proc AS p
               WHERE p.pronamespace = 'public'::regnamespace
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                 WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE 'DROP ROUTINE IF EXISTS ' || one.name || ' CASCADE';
    END LOOP;
    FOR one IN SELECT t.typname FROM pg_catalog.pg_type AS t
               WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r')
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                 WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
    LOOP
        EXECUTE pg_catalog.format('DROP TYPE IF EXISTS public.%I CASCADE', one.typname);
    END LOOP;
END
$$

-- name: columns
-- What rows of a table are read and written by: everything that is not computed.
SELECT coalesce(pg_catalog.array_agg(a.attname::text ORDER BY a.attnum), '{}')
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = pg_catalog.to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''

-- name: read
COPY (SELECT {columns} FROM {table}) TO STDOUT

-- name: write
COPY {table} ({columns}) FROM STDIN

-- name: touch
-- A row becomes what it is: that is a write like any other.
UPDATE {table} AS t SET {column} = t.{column}
FROM (SELECT {keys} FROM {table} ORDER BY {keys} OFFSET %(skip)s LIMIT 1) AS r WHERE {same}

-- name: anew
-- A row goes, and is there again.
WITH r AS (SELECT {keys} FROM {table} ORDER BY {keys} OFFSET %(skip)s LIMIT 1),
gone AS (DELETE FROM {table} AS t USING r WHERE {same} RETURNING {taken})
INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM gone

-- name: table
-- The newest rehearsal of each move that has come to its end; report: what it says with --json.
CREATE TABLE IF NOT EXISTS syncline_gate.rehearsal (
    move text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    tables text[] NOT NULL,
    report jsonb NOT NULL
)

-- name: is_there
SELECT pg_catalog.to_regclass('syncline_gate.rehearsal') IS NOT NULL

-- name: record
INSERT INTO syncline_gate.rehearsal (move, tables, report) VALUES (%(move)s, %(tables)s, %(report)s)
ON CONFLICT (move) DO UPDATE SET at = pg_catalog.clock_timestamp(), tables = excluded.tables, report = excluded.report

-- name: recorded
SELECT at, extract(epoch FROM pg_catalog.clock_timestamp() - at)::float8, tables, report FROM syncline_gate.rehearsal
WHERE move = %(move)s
