-- What MongoDB lacks of what was written in PostgreSQL, and what it does not take: the marks of the way back.

-- name: there
SELECT pg_catalog.to_regclass('syncline.outbox') IS NOT NULL

-- name: captured
SELECT name FROM syncline.entity

-- name: workers
-- Roles that carry documents forward, and do not own the tables.
SELECT DISTINCT r.rolname::text
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = pg_catalog.to_regclass('syncline_documents.link') AND a.privilege_type = 'UPDATE' AND r.oid <> c.relowner
ORDER BY 1

-- name: counts
-- Of records: one write leaves a mark for each of its statements. Second deletes (hint G) are no changes.
SELECT e.name, count(DISTINCT o.key), coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - min(o.at)), 0)::float8,
       (SELECT count(*) FROM syncline.parked AS p WHERE p.entity = e.id)
FROM syncline.entity AS e LEFT JOIN syncline.waiting AS o ON o.entity = e.id AND o.hint <> 'G'
GROUP BY e.id, e.name

-- name: of_key
SELECT EXISTS (SELECT FROM syncline.waiting AS o
               WHERE o.entity = e.id AND o.lane = syncline.lane_of(e.id, %(key)s) AND o.key = %(key)s AND o.hint <> 'G'),
       p.error, p.retry_count
FROM syncline.entity AS e
LEFT JOIN syncline.parked AS p ON p.entity = e.id AND md5(p.key) = md5(%(key)s) AND p.key = %(key)s
WHERE e.name = %(collection)s

-- name: failures
SELECT e.name, p.key, p.error, p.retry_count, p.parked_at, p.tried_at
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE e.name = ANY(%(collections)s::text[])
ORDER BY p.tried_at DESC, e.name, p.key LIMIT %(limit)s

-- name: again
-- A new mark: the worker tries the record once more, and clears the entry when it succeeds.
SELECT coalesce(sum(syncline.mark(grouped.entity, grouped.keys, 'R')), 0)::bigint
FROM (
    SELECT p.entity, array_agg(p.key ORDER BY p.id) AS keys
    FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
    WHERE e.name = ANY(%(collections)s::text[]) AND (%(key)s::text IS NULL OR p.key = %(key)s)
    GROUP BY p.entity
) AS grouped

-- name: keys
SELECT o.key FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity
WHERE e.name = %(collection)s AND o.key = ANY(%(keys)s::text[]) AND o.hint <> 'G'
UNION
SELECT p.key FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE e.name = %(collection)s AND p.key = ANY(%(keys)s::text[])
