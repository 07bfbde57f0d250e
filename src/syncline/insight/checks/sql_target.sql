-- What the doctor asks a PostgreSQL that is a target.

-- name: server
SELECT pg_catalog.current_setting('fsync') AS fsync, pg_catalog.current_setting('full_page_writes') AS full_page_writes,
       pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
       pg_catalog.current_setting('autovacuum') AS autovacuum, pg_catalog.current_setting('track_counts') AS track_counts

-- name: tables
-- A trigger that is enabled for replicas alone does not fire for us; what ON SELECT does is no concern here.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name, c.relpersistence = 'u' AS unlogged,
       pg_catalog.row_security_active(c.oid) AS secured,
       coalesce('autovacuum_enabled=false' = ANY (c.reloptions), false) AS unvacuumed,
       coalesce(s.n_dead_tup, 0) AS dead, coalesce(s.n_live_tup, 0) AS live,
       ARRAY(SELECT t.tgname::text FROM pg_catalog.pg_trigger AS t
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') ORDER BY 1) AS triggers,
       ARRAY(SELECT r.rulename::text FROM pg_catalog.pg_rewrite AS r
             WHERE r.ev_class = c.oid AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A') ORDER BY 1) AS rules
FROM unnest(%(schemas)s::text[], %(tables)s::text[]) WITH ORDINALITY AS w(schema, table_name, place)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.table_name
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
ORDER BY w.place

-- name: columns
-- Types with their modifiers and schemas, in the words of the source's catalogue; whether a row has a value without us.
SELECT n.nspname || '.' || c.relname AS place, a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull OR t.typnotnull AS not_null,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' OR t.typdefault IS NOT NULL AS filled,
       a.attgenerated <> '' AS generated
FROM unnest(%(schemas)s::text[], %(tables)s::text[]) AS w(schema, table_name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.table_name
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
ORDER BY c.oid, a.attnum
