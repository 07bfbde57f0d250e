-- What CockroachDB's catalog says about tables: no domains, no inheritance, partitions are no tables of their own.

-- name: shapes
-- Keys are primary keys only. A rowid that fills itself is the hidden key of a table without one, and triggers do not see it
-- (known limitation); shard columns are computed.
WITH rel AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.reltuples
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'm')
      AND CASE WHEN %(names)s::text[] IS NOT NULL THEN
                    (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[]))
               WHEN %(schemas)s::text[] IS NOT NULL THEN n.nspname::text = ANY(%(schemas)s::text[])
               ELSE n.nspname::text NOT LIKE 'pg\_%%' AND n.nspname::text NOT IN ('information_schema', 'crdb_internal') AND NOT is_ours(n) END
), visible AS (
    SELECT a.* FROM rel JOIN pg_catalog.pg_attribute AS a ON a.attrelid = rel.oid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname::text NOT LIKE 'crdb\_internal\_%%'
      AND NOT (a.attname::text = 'rowid' AND coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') LIKE '%%unique_rowid()%%')
), cols AS (
    SELECT a.attrelid, json_agg(json_build_object(
        'name', a.attname::text,
        'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
        'base', CASE coalesce(e.typtype, t.typtype)::text WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite'
                     ELSE coalesce(e.typname, t.typname)::text END,
        'oid', coalesce(e.oid, t.oid)::bigint,
        'array', e.oid IS NOT NULL,
        'not_null', a.attnotnull,
        'scale', CASE WHEN coalesce(e.typname, t.typname)::text = 'numeric' AND a.atttypmod >= 4 THEN (a.atttypmod - 4) & 2047 END,
        'number', a.attnum,
        'precision', CASE WHEN coalesce(e.typname, t.typname)::text = 'numeric' AND a.atttypmod >= 4
                          THEN ((a.atttypmod - 4) >> 16) & 65535 END
    ) ORDER BY a.attnum) AS columns
    FROM visible AS a
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND t.typcategory::text = 'A'
    GROUP BY a.attrelid
), keys AS (
    SELECT k.table_schema, k.table_name, json_agg(k.column_name::text ORDER BY k.ordinal_position) AS columns
    FROM information_schema.table_constraints AS p
    JOIN information_schema.key_column_usage AS k
      ON k.table_schema = p.table_schema AND k.table_name = p.table_name AND k.constraint_name = p.constraint_name
    WHERE p.constraint_type = 'PRIMARY KEY'
      AND EXISTS (SELECT 1 FROM visible AS a JOIN rel ON rel.oid = a.attrelid
                  WHERE rel.nspname::text = k.table_schema AND rel.relname::text = k.table_name AND a.attname::text = k.column_name)
    GROUP BY k.table_schema, k.table_name
)
SELECT rel.nspname::text AS schema, rel.relname::text AS name, rel.oid::bigint AS oid, rel.relkind::text AS kind,
       coalesce(cols.columns, '[]') AS columns,
       CASE WHEN keys.columns IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(jsonb_build_array(true, keys.columns)) END AS keys,
       false AS is_partition, false AS inherits, false AS has_children, rel.relrowsecurity AS row_security,
       greatest(coalesce(rel.reltuples, 0), 0)::bigint AS estimated_rows
FROM rel
LEFT JOIN cols ON cols.attrelid = rel.oid
LEFT JOIN keys ON keys.table_schema = rel.nspname::text AND keys.table_name = rel.relname::text
ORDER BY rel.nspname, rel.relname

-- name: table_names
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname::text NOT LIKE 'pg\_%' AND n.nspname::text NOT IN ('information_schema', 'crdb_internal') AND NOT is_ours(n)

-- name: fingerprint
SELECT md5(coalesce(string_agg(f.line, ',' ORDER BY f.line), ''))
FROM (
    SELECT concat_ws(':', c.oid::text, n.nspname::text, c.relname::text, a.attnum::text, a.attname::text, a.atttypid::text, a.atttypmod::text,
                     a.attnotnull::text, i.indkey::text) AS line
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname::text = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname::text = w.name
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
) AS f
