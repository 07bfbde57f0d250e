-- name: present
SELECT pg_catalog.to_regclass('syncline.meta') IS NOT NULL AS present,
       pg_catalog.to_regclass('syncline.migration') IS NOT NULL AS numbered

-- name: version
SELECT schema_version, last_entity FROM syncline.meta

-- name: migrations
SELECT number FROM syncline.migration

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
