-- name: present
SELECT pg_catalog.to_regclass('syncline.meta') IS NOT NULL AS present,
       pg_catalog.to_regclass('syncline.migration') IS NOT NULL AS numbered

-- name: version
SELECT schema_version, last_entity FROM syncline.meta

-- name: migrations
-- (Another tool may have dropped the column.)
SELECT (to_jsonb(m) ->> 'number')::integer AS number FROM syncline.migration AS m WHERE to_jsonb(m) ->> 'number' IS NOT NULL

-- name: columns
SELECT id, known_columns FROM syncline.entity WHERE known_columns IS NOT NULL

-- name: known_columns
-- Another value when an installation has taken note of other columns.
SELECT md5(coalesce(string_agg(id || known_columns::text, ',' ORDER BY id), '')) AS known FROM syncline.entity

-- name: entities
-- (A schema before migration 7 has no states, one before 11 no masks.)
SELECT e.id, e.name, e.source_table, e.collection, e.key_columns, e.key_types, e.capture, e.definition,
       coalesce(to_jsonb(e) ->> 'state', 'armed') AS state,
       ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(to_jsonb(e) -> 'mask') WHEN 'array' THEN to_jsonb(e) -> 'mask' END)) AS mask,
       jsonb_typeof(to_jsonb(e) -> 'mask') = 'array' AS masked
FROM syncline.entity AS e ORDER BY e.id

-- name: declarations
-- Changes with what an installation says of any entity; not with what workers note.
SELECT md5(coalesce(string_agg(concat_ws(' ', id::text, name, source_table, collection, capture, definition::text,
                                         array_to_string(key_columns, ','), array_to_string(mask, ',')), ' ' ORDER BY id), ''))
FROM syncline.entity

-- name: parts
-- What there is of our schema; see ``parts.py``. A key is the index that PostgreSQL keeps for it.
SELECT 'relation', c.relname::text FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'syncline'
UNION ALL
SELECT 'function', p.proname::text FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'syncline'
UNION ALL
SELECT 'column', c.relname || '.' || a.attname FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'syncline' AND c.relkind IN ('r', 'p') AND c.relname !~ '^history_[0-9]'
UNION ALL
SELECT 'identity', c.relname || '.' || a.attname FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> '' AND NOT a.attisdropped
WHERE n.nspname = 'syncline' AND c.relkind = 'r'

-- name: shapes
-- How the columns of our tables are defined (not on CockroachDB, which spells types otherwise).
SELECT c.relname || '.' || a.attname AS name,
       CASE WHEN a.attgenerated <> '' THEN 'generated' ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END AS type,
       a.attnotnull AS not_null, a.atthasdef OR a.attidentity <> '' AS filled
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'syncline' AND c.relkind IN ('r', 'p') AND c.relname !~ '^history_[0-9]'

-- name: rows
SELECT EXISTS (SELECT FROM syncline.meta), EXISTS (SELECT FROM syncline.lane)

-- name: any_entity
SELECT EXISTS (SELECT FROM syncline.entity)

-- name: rows_without_lanes
SELECT EXISTS (SELECT FROM syncline.meta), true
