-- What the session hook must know of the source, read once for each engine. Without parameters, so that every driver takes it.

-- name: present
SELECT pg_catalog.to_regclass('syncline.entity') IS NOT NULL

-- name: entities
SELECT id, name, source_table, key_columns, key_types, capture, definition::text AS definition FROM syncline.entity ORDER BY id

-- name: columns
-- With their modifiers: a value must become what the column holds before it becomes text (1.5 in a numeric(10,2) is 1.50).
SELECT n.nspname::text AS schema, c.relname::text AS table, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(a.attnum = ANY (i.indkey), false) AS primary_key
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'syncline') AND n.nspname !~ '^pg_(toast|temp)'

-- name: aliases
-- Other relations through which a table's rows can be written: partitions, inheritance in both directions, views.
WITH RECURSIVE edge AS (
    SELECT inhrelid AS base, inhparent AS alias FROM pg_catalog.pg_inherits
    UNION SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits
    UNION SELECT d.refobjid, r.ev_class
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
    WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
), reach AS (
    SELECT base, alias FROM edge
    UNION SELECT reach.base, edge.alias FROM reach JOIN edge ON edge.base = reach.alias
)
SELECT bn.nspname::text AS schema, b.relname::text AS table, an.nspname::text AS alias_schema, a.relname::text AS alias
FROM reach
JOIN pg_catalog.pg_class AS b ON b.oid = reach.base
JOIN pg_catalog.pg_namespace AS bn ON bn.oid = b.relnamespace
JOIN pg_catalog.pg_class AS a ON a.oid = reach.alias
JOIN pg_catalog.pg_namespace AS an ON an.oid = a.relnamespace
WHERE reach.base <> reach.alias AND a.relkind IN ('r', 'p', 'v', 'f')
  AND bn.nspname NOT IN ('pg_catalog', 'information_schema') AND an.nspname NOT IN ('pg_catalog', 'information_schema', 'syncline')

-- name: cascades
-- Foreign keys by which PostgreSQL itself changes rows of the referencing table: not those that are NOT ENFORCED (18).
SELECT n.nspname::text AS schema, c.relname::text AS table, pn.nspname::text AS parent_schema, p.relname::text AS parent,
       f.confdeltype::text AS on_delete, f.confupdtype::text AS on_update,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = k.num ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = k.num ORDER BY k.place) AS parent_columns
FROM pg_catalog.pg_constraint AS f
JOIN pg_catalog.pg_class AS c ON c.oid = f.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = f.confrelid
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND coalesce((to_jsonb(f) ->> 'conenforced')::boolean, true)
  AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
