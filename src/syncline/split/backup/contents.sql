-- What a database holds, for the comparison of a restored one with the one that was dumped. Nothing is written.

-- name: settings
-- Rows are compared as text: whatever has a say in how values are written is fixed.
SELECT set_config(name, value, true) FROM (VALUES
    ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), ('timezone', 'UTC'), ('extra_float_digits', '1'),
    ('bytea_output', 'hex'), ('lc_monetary', 'C'), ('xmlbinary', 'base64'), ('search_path', ''),
    ('row_security', 'off'), ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0')
) AS wanted (name, value)
WHERE EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE lower(s.name) = wanted.name)

-- name: tables
-- Those whose rows pg_dump dumps, the largest first, with the columns that are stored (generated ones follow).
SELECT n.nspname, c.relname,
       coalesce((SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}')::text[]
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY pg_catalog.pg_relation_size(c.oid) DESC, 1, 2

-- name: sequences
SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value - increment_by)::text, increment_by::text
FROM pg_catalog.pg_sequences

-- name: large_objects
SELECT count(*) FROM pg_catalog.pg_largeobject_metadata

-- name: objects
-- What a restore can lose or change without an error. Definitions are written with schemas, since search_path is empty.
WITH own AS (
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT 'trigger ' || own.name || '.' || t.tgname, md5(pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text)
FROM pg_catalog.pg_trigger t JOIN own ON own.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'constraint ' || own.name || '.' || k.conname, md5(pg_catalog.pg_get_constraintdef(k.oid) || k.convalidated::text)
FROM pg_catalog.pg_constraint k JOIN own ON own.oid = k.conrelid WHERE k.contype <> 'n'
UNION ALL
SELECT 'index ' || own.name, md5(pg_catalog.pg_get_indexdef(own.oid) || i.indisvalid::text)
FROM own JOIN pg_catalog.pg_index i ON i.indexrelid = own.oid
UNION ALL
SELECT 'view ' || own.name, md5(pg_catalog.pg_get_viewdef(own.oid)) FROM own WHERE own.relkind IN ('v', 'm')
UNION ALL
SELECT 'columns of ' || own.name,
       md5(string_agg(format('%s %s %s %s %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
                             a.attidentity, pg_catalog.pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY a.attnum))
FROM own JOIN pg_catalog.pg_attribute a ON a.attrelid = own.oid AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = own.oid AND d.adnum = a.attnum
WHERE own.relkind IN ('r', 'p', 'f') GROUP BY own.name
UNION ALL
SELECT 'function ' || p.oid::regprocedure::text, md5(pg_catalog.pg_get_functiondef(p.oid))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')

-- name: is_empty
-- Nothing of a user's is there: no relation, function or type outside of extensions, no schema beside public.
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'public') AND n.nspname !~ '^pg_(toast|temp)'
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = n.oid AND d.deptype = 'e'))
