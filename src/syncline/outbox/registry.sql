-- name: present
SELECT pg_catalog.to_regclass('syncline.meta') IS NOT NULL AS present,
       pg_catalog.to_regclass('syncline.migration') IS NOT NULL AS numbered

-- name: version
SELECT schema_version, last_entity FROM syncline.meta

-- name: migrations
SELECT number FROM syncline.migration

-- name: entities
SELECT id, name, source_table, collection, key_columns, key_types, capture, definition FROM syncline.entity ORDER BY id
