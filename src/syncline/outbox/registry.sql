-- name: present
SELECT pg_catalog.to_regclass('syncline.meta') IS NOT NULL AS present,
       pg_catalog.to_regclass('syncline.migration') IS NOT NULL AS numbered

-- name: version
SELECT schema_version, last_entity FROM syncline.meta

-- name: migrations
SELECT number FROM syncline.migration

-- name: entities
-- (A schema before migration 7 has no states.)
SELECT e.id, e.name, e.source_table, e.collection, e.key_columns, e.key_types, e.capture, e.definition,
       coalesce(to_jsonb(e) ->> 'state', 'armed') AS state
FROM syncline.entity AS e ORDER BY e.id
