-- name: present
SELECT pg_catalog.to_regclass('syncline.meta') IS NOT NULL AS present

-- name: version
SELECT schema_version, last_entity FROM syncline.meta

-- name: entities
SELECT id, name, source_table, collection, key_columns, key_types, capture, definition FROM syncline.entity ORDER BY id
