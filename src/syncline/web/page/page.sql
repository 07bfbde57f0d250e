-- What only the operations page asks; the rest is in insight/queries.sql. Each is bounded, however long the queue is.

-- name: entities
WITH waiting AS (
    SELECT entity, count(*) AS changes
    FROM (SELECT entity FROM syncline.waiting WHERE hint <> 'G' LIMIT 20000) AS first_ones GROUP BY entity
), parked AS (
    SELECT entity, count(*) AS records FROM (SELECT entity FROM syncline.parked LIMIT 20000) AS first_ones GROUP BY entity
)
SELECT e.name, e.source_table AS "table", e.collection, e.capture, coalesce(w.changes, 0) AS waiting,
       coalesce(p.records, 0) AS parked
FROM syncline.entity AS e
LEFT JOIN waiting AS w ON w.entity = e.id
LEFT JOIN parked AS p ON p.entity = e.id
ORDER BY e.name LIMIT 500

-- name: lane_owners
SELECT l.lane, w.id::text AS worker
FROM syncline.lane AS l LEFT JOIN syncline.worker AS w ON w.id = l.owner AND w.expires_at > clock_timestamp()
ORDER BY l.lane

-- name: parked
SELECT p.id, e.name AS entity, left(p.key, 200) AS key, p.code, left(p.error, 600) AS error, p.changes, p.retry_count,
       p.created_at, p.parked_at, p.tried_at
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE p.id > %(after)s
ORDER BY p.id LIMIT %(limit)s

-- name: parked_total
SELECT count(*) AS records, coalesce(sum(changes), 0)::bigint AS changes FROM syncline.parked

-- name: parked_one
SELECT p.id, e.name AS entity, p.key, p.code, p.error, p.changes, p.retry_count, p.created_at, p.parked_at, p.tried_at,
       syncline.event_name(e.name, p.hint, p.event_type) AS event_type, left(p.payload::text, 100000) AS payload
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE p.id = %(id)s

-- name: parked_keys
SELECT e.name AS entity, array_agg(p.key ORDER BY p.id) AS keys
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE p.id = ANY(%(ids)s::bigint[])
GROUP BY e.name ORDER BY e.name

-- name: audit
INSERT INTO syncline.notice (name, severity, message, resolved_at)
VALUES ('OperationsPage', 'info', %(message)s, clock_timestamp())

-- name: newest_part
-- Where applied changes go at present; none when there is no history.
SELECT coalesce(
    (SELECT c.relname::text FROM pg_catalog.pg_class AS c
     WHERE c.oid = to_regclass('syncline.history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'))),
    (SELECT c.relname::text FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass('syncline.history_other'))
) AS part

-- name: newest
-- The last blocks of a table that only grows hold what came last.
SELECT e.name AS entity, syncline.event_name(e.name, h.hint, h.event_type) AS event_type, left(h.key, 200) AS key,
       h.created_at, h.processed_at, clock_timestamp() AS now
FROM {part} AS h JOIN syncline.entity AS e ON e.id = h.entity
WHERE h.ctid >= format('(%%s,0)', greatest(pg_relation_size(%(part)s::regclass) / current_setting('block_size')::bigint - %(blocks)s, 0))::tid
ORDER BY h.processed_at DESC, h.seq DESC

-- name: request
INSERT INTO syncline.task (kind, entity, reason)
SELECT k.kind, e.id, 'operations page'
FROM syncline.entity AS e CROSS JOIN unnest(ARRAY['backfill', 'sweep']) WITH ORDINALITY AS k (kind, place)
WHERE e.name = %(entity)s AND NOT EXISTS
    (SELECT FROM syncline.task AS t WHERE t.entity = e.id AND t.kind = k.kind AND t.reason = 'operations page')
ORDER BY k.place
RETURNING id
