-- What migrations ask of a database, beside what Alembic asks.

-- name: take
-- The first number is "SYNC" in ASCII, as for all our locks.
SELECT pg_catalog.pg_try_advisory_lock(1398361667, 3)

-- name: holder
SELECT format('pid %s (%s), since %s', l.pid, coalesce(nullif(a.application_name, ''), 'no name'),
              to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS'))
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = 1398361667 AND l.objid = 3 AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())

-- name: foreign_tables
-- Tables that are no application's: Syncline's by their comments or schemas, and members of extensions.
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f')
  AND (is_ours(n)
       OR pg_catalog.obj_description(c.oid, 'pg_class') LIKE 'Syncline:%'
       OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))

-- name: invalid_indexes
SELECT c.oid::regclass::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND i.indislive AND c.relkind = 'i'
ORDER BY 1

-- name: has_table
SELECT pg_catalog.to_regclass(pg_catalog.quote_ident(%s)) IS NOT NULL

-- name: make_table
-- As Alembic makes it.
CREATE TABLE IF NOT EXISTS {table} (version_num varchar(32) NOT NULL, CONSTRAINT {key} PRIMARY KEY (version_num))

-- name: hold_gate
-- As a writer does that passes the gate of a move: its sides do not change before this transaction ends.
SELECT pg_catalog.pg_try_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(%s))

-- name: gate_is_open
SELECT mode = 'a' FROM syncline_gate.gate WHERE name = %s

-- name: has_moves
SELECT pg_catalog.to_regclass('syncline_gate.move') IS NOT NULL

-- name: move
SELECT phase FROM syncline_gate.move WHERE name = %s AND phase NOT IN ('finished', 'aborted')
