-- A full resync: backfill and sweep of every entity, under one number, which is its notice's.

-- name: only_one
-- Two that ask at the same time get the same resync.
SELECT FROM syncline.meta FOR UPDATE

-- name: unfinished_resync
SELECT id FROM syncline.notice WHERE name = 'ResyncRunning' AND resolved_at IS NULL ORDER BY id DESC LIMIT 1

-- name: entities
-- All that are installed, or those of them that are named.
SELECT id, name FROM syncline.entity WHERE %(names)s::text[] IS NULL OR name = ANY(%(names)s::text[]) ORDER BY name

-- name: begin
INSERT INTO syncline.notice (name, severity, message) VALUES ('ResyncRunning', 'info', %(message)s) RETURNING id

-- name: request_all
INSERT INTO syncline.task (kind, entity, reason, options)
SELECT k.kind, e.id, %(reason)s, %(options)s || jsonb_build_object('resync_tasks', count(*) OVER ())
FROM syncline.entity AS e CROSS JOIN unnest(ARRAY['backfill', 'sweep']) WITH ORDINALITY AS k (kind, place)
WHERE e.id = ANY(%(entities)s::smallint[])
ORDER BY e.id, k.place

-- name: resync
SELECT n.id, n.name, n.at, n.resolved_at, n.message,
       queue_size() AS queue_size,
       EXISTS (SELECT FROM syncline.outbox AS o WHERE o.hint IN ('B', 'R'))
           OR EXISTS (SELECT FROM syncline.block AS b WHERE b.hint IN ('B', 'R')) AS applying,
       (SELECT count(*) FROM syncline.worker AS w WHERE w.expires_at > clock_timestamp()) AS workers
FROM syncline.notice AS n
WHERE n.id = %(id)s AND n.name IN ('ResyncRunning', 'ResyncFinished', 'ResyncCancelled')

-- name: resync_tasks
SELECT t.kind, coalesce(e.name, t.entity::text) AS entity, t.progress, t.options,
       coalesce(t.claimed_until > clock_timestamp(), false) AS running
FROM syncline.task AS t LEFT JOIN syncline.entity AS e ON e.id = t.entity
WHERE t.reason = %(reason)s
ORDER BY t.id

-- name: end
UPDATE syncline.notice SET name = %(name)s, resolved_at = clock_timestamp()
WHERE id = %(id)s AND name = 'ResyncRunning'
RETURNING id

-- name: drop_tasks
DELETE FROM syncline.task WHERE reason = %(reason)s
