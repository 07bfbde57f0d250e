-- What the source remembers of a copy, and how it is divided.

-- name: copies
SELECT entity, id::text, begun_at, fenced, copied_at FROM syncline.copy

-- name: begin
INSERT INTO syncline.copy AS c (entity) SELECT unnest(%(entities)s::smallint[])
ON CONFLICT (entity) DO UPDATE
SET id = gen_random_uuid(), begun_at = clock_timestamp(), fenced = false, looked_at = NULL, copied_at = NULL

-- name: compiled
-- From what its rows are read; no worker compiles them before they are copied, and the first one that does marks every
-- record if their tables have changed since.
UPDATE syncline.entity AS e SET fingerprint = g.fingerprint
FROM unnest(%(entities)s::smallint[], %(fingerprints)s::text[]) AS g (id, fingerprint) WHERE e.id = g.id

-- name: cover
-- The copy does what `install` has asked for, and nobody else begins it meanwhile: rows are read after this.
UPDATE syncline.task AS t
SET options = t.options || jsonb_build_object('copy', c.id), claimed_by = NULL, claimed_until = NULL
FROM syncline.copy AS c
WHERE c.entity = t.entity AND t.entity = ANY(%(entities)s::smallint[]) AND t.reason = 'install'

-- name: drop_covered
DELETE FROM syncline.task WHERE options ->> 'copy' = %(id)s

-- name: take_lanes
-- Whoever has a lane loses it: what was read under an older epoch is not written once this one stands in the target.
WITH counter AS (
    UPDATE syncline.meta SET epoch = greatest(epoch, %(above)s) + 1 RETURNING epoch
)
UPDATE syncline.lane AS l SET owner = NULL, epoch = counter.epoch FROM counter RETURNING l.lane, l.epoch

-- name: fenced
UPDATE syncline.copy SET fenced = true WHERE entity = ANY(%(entities)s::smallint[])

-- name: declare
UPDATE syncline.copy SET copied_at = clock_timestamp()
WHERE entity = %(entity)s AND id = %(id)s::uuid AND fenced AND copied_at IS NULL
RETURNING entity

-- name: wake
SELECT syncline.wake()

-- name: look
UPDATE syncline.copy SET looked_at = clock_timestamp() WHERE entity = %(entity)s AND id = %(id)s::uuid

-- name: size
SELECT coalesce(sum(pg_catalog.pg_table_size(p.oid)), 0)::bigint, coalesce(sum(pg_catalog.pg_relation_size(p.oid)), 0)::bigint / 8192,
       coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
FROM (
    SELECT relid::oid AS oid FROM pg_catalog.pg_partition_tree(%(table)s::oid)
    UNION SELECT %(table)s::oid
    UNION SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = %(table)s::oid
) AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.oid

-- name: types
-- What a type's binary form depends on.
SELECT t.oid::bigint, n.nspname, t.typname, t.typtype::text, t.typbasetype::bigint,
       CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc THEN t.typelem::bigint ELSE 0 END,
       coalesce((SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)), 0)::bigint,
       ARRAY(SELECT a.atttypid::bigint FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = t.typrelid AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       t.typsend <> 0 AND t.typreceive <> 0,
       coalesce((SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
                   AND d.refclassid = 'pg_catalog.pg_extension'::regclass), '')
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.oid = ANY(%(oids)s::oid[])

-- name: give_up
DELETE FROM syncline.copy WHERE entity = ANY(%(entities)s::smallint[])

-- name: say
INSERT INTO syncline.notice (name, severity, message, entity)
SELECT 'Copying', 'warning', e.name || ': its table is being copied, and its changes wait until `syncline copy` has come to its end', e.name
FROM syncline.entity AS e
WHERE e.id = ANY(%(entities)s::smallint[])
  AND NOT EXISTS (SELECT FROM syncline.notice AS n WHERE n.name = 'Copying' AND n.entity = e.name AND n.resolved_at IS NULL)

-- name: say_no_more
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE name = 'Copying' AND resolved_at IS NULL
  AND entity IN (SELECT e.name FROM syncline.entity AS e WHERE e.id = ANY(%(entities)s::smallint[]))
