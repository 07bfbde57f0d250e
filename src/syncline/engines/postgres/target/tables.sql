-- What the target's catalog says about users' tables. Types come with their schema: search_path is empty here.

-- name: plain_path
SET LOCAL search_path = ''

-- name: system
-- Which server this is, and which database, in the same words as the source says it (journal/queries.sql). A copy of a
-- data directory has the same identifiers: it was started at another moment.
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) || '/'
       || (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       || ' ' || pg_catalog.pg_postmaster_start_time()::text AS system

-- name: find
SELECT c.oid, n.nspname, c.relname, c.relkind
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s

-- name: columns
-- The type without its modifier: a cast with one cuts texts off, and would hide what does not fit.
SELECT a.attname, pg_catalog.format_type(a.atttypid, -1), a.attgenerated <> '', a.attidentity = 'a', a.attnotnull,
       t.typcategory IN ('S') AND t.typtype = 'b', t.typcategory = 'N' AND t.typtype = 'b',
       'citext' IN (t.typname, (SELECT b.typname FROM pg_catalog.pg_type AS b WHERE b.oid = t.typbasetype))
           OR EXISTS (SELECT FROM pg_catalog.pg_collation AS l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: catalog
-- Another answer when anything has changed that is read of these tables.
WITH t AS MATERIALIZED (SELECT pg_catalog.to_regclass(n)::oid AS oid FROM unnest(%(names)s::text[]) AS n)
SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(x.version, ' ' ORDER BY x.version), ''))
FROM (SELECT concat_ws(':', 'c', c.oid, c.xmin) AS version FROM pg_catalog.pg_class AS c JOIN t ON t.oid = c.oid
      UNION ALL
      SELECT concat_ws(':', 'a', a.attrelid, a.attnum, a.xmin) FROM pg_catalog.pg_attribute AS a JOIN t ON t.oid = a.attrelid
      UNION ALL
      SELECT concat_ws(':', 'i', i.indexrelid, i.xmin) FROM pg_catalog.pg_index AS i JOIN t ON t.oid = i.indrelid
      UNION ALL
      SELECT concat_ws(':', 'k', k.oid, k.xmin) FROM pg_catalog.pg_constraint AS k JOIN t ON t.oid = k.conrelid
      UNION ALL
      SELECT concat_ws(':', 'r', k.oid, k.xmin) FROM pg_catalog.pg_constraint AS k JOIN t ON t.oid = k.confrelid) AS x

-- name: uniques
-- Unique indexes over columns alone, which hold for every row and are checked at once or (deferrable) at the end.
SELECT c.relname, i.indimmediate, i.indisprimary,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.n
             WHERE k.place <= i.indnkeyatts ORDER BY k.place)
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL

-- name: references
-- Foreign keys from and to the table; a partitioned table's clones are left to their parent.
SELECT k.conname, k.conrelid = %(oid)s, n.nspname, c.relname, p.nspname, r.relname,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.place),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.place),
       ARRAY(SELECT pg_catalog.format_type(a.atttypid, -1) FROM unnest(k.confkey) WITH ORDINALITY AS u(n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.place),
       k.confdeltype
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid JOIN pg_catalog.pg_namespace AS p ON p.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = %(oid)s OR k.confrelid = %(oid)s)

-- name: triggers
SELECT tgname FROM pg_catalog.pg_trigger
WHERE tgrelid = %(oid)s AND NOT tgisinternal AND tgenabled IN ('O', 'A') ORDER BY tgname

-- name: rights
SELECT privilege
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE NOT pg_catalog.has_table_privilege(%(oid)s::oid, privilege)
