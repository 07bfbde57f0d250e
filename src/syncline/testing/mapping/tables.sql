-- What the harness for mappings asks the catalog. Parameters are psycopg's.

-- name: types
SELECT t.oid::bigint, t.typname::text, t.typtype::text, t.typbasetype::bigint, t.typtypmod,
       CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem::bigint END AS element,
       r.rngsubtype::bigint,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid)
FROM pg_catalog.pg_type AS t
LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid OR r.rngmultitypid = t.oid

-- name: tables
SELECT n.nspname::text, c.relname::text, c.oid::bigint
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT is_ours(n)
ORDER BY 1, 2

-- name: columns
SELECT a.attrelid::bigint, a.attname::text, a.atttypid::bigint, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR t.typnotnull, a.attgenerated <> '' OR a.attidentity = 'a', a.atthasdef OR a.attidentity <> '', a.attnum
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: constraints
SELECT k.conrelid::bigint, k.conname::text, k.contype::text, k.conkey, k.confrelid::bigint, k.confkey,
       pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid = ANY(%s) AND k.contype IN ('p', 'f', 'c', 'u')
ORDER BY k.conrelid, k.contype, k.conname
