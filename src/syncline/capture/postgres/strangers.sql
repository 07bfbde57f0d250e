-- What of our schema is not ours.

-- name: strangers
-- Ours are known by their names, those of other releases by their comments, parts of a partitioned table by that.
SELECT c.relname::text
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'syncline' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname::text <> ALL(%(known)s::text[])
  AND left(coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''), 9) <> 'Syncline:'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid)
ORDER BY 1
